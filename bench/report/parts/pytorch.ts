/** Runs the same jobs in PyTorch, on the card that it finds. */

import { jobSizes } from '../../jobs.ts';
import { pyTorchCase } from '../../peers/cases.ts';
import { comparePyTorch } from '../../peers/pytorch.ts';
import type { PartContext } from '../part.ts';

/** Seconds that torch.compile may take for one job. */
const COMPILE_SECONDS = 60;

export async function pyTorchPart({ options, found, leaveOut, openDevice }: PartContext): Promise<void> {
  if (options.python === undefined) {
    leaveOut('no Python was named: --python python3');
    return;
  }
  const device = await openDevice();
  const named = (name: string) => jobSizes.find((size) => size.name === name)!;
  const cases = device.software
    ? [pyTorchCase(named('bert-mini'), [8, 64])]
    : [
        pyTorchCase(named('bert-base'), [32, 128]),
        pyTorchCase(named('MiniLM'), [32, 128]),
        pyTorchCase(named('bert-base'), [8, 512]),
      ];
  let failure: string | undefined;
  await comparePyTorch({
    python: options.python,
    device,
    cases,
    seconds: 1,
    compileSeconds: COMPILE_SECONDS,
    report: (result) => {
      found({ pytorch: [result] });
      if (result.job === 'start') failure = result.error;
    },
    note: (PyTorch) => found({ versions: { PyTorch } }),
  });
  device.destroy();
  if (failure !== undefined) throw new Error(failure);
}
