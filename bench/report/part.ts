/** The process of one part of the report, so that a crashing driver does not take the report along. */
import { requestDevice } from '../../src/tensor/device.ts';
import type { PartMessage, PartName, PartRequest, Results } from './data.ts';
import { adapterPart } from './parts/adapter.ts';
import { pyTorchPart } from './parts/pytorch.ts';
import { ceilingsPart, jobsPart, kernelsPart, tunedJobsPart } from './parts/speed.ts';
import { testsPart } from './parts/tests.ts';
import { tuningPart } from './parts/tuning.ts';
import { unitsPart } from './parts/units.ts';

/** The context of a part. */
export interface PartContext extends Omit<PartRequest, 'part'> {
  found: (found: Partial<Results>) => void;
  /** Reports skipped work; does nothing if `items` is empty. */
  leaveOut: (why: string, items?: readonly string[]) => void;
  /** Seconds left. */
  remaining: () => number;
  /** Opens a device as users do, but without the stored choices of `dawngrad tune`. */
  openDevice: () => ReturnType<typeof requestDevice>;
}

const parts: Record<PartName, (context: PartContext) => Promise<void>> = {
  adapter: adapterPart,
  tests: testsPart,
  'matrix units': unitsPart,
  ceilings: ceilingsPart,
  kernels: kernelsPart,
  jobs: jobsPart,
  tuning: tuningPart,
  'jobs, tuned': tunedJobsPart,
  PyTorch: pyTorchPart,
};

function tell(message: PartMessage): Promise<void> {
  return new Promise((resolve) => process.send!(message, () => resolve()));
}

async function run({ part, ...request }: PartRequest): Promise<void> {
  const { adapter, kernels } = request.options;
  const context: PartContext = {
    ...request,
    found: (found) => void tell({ found }),
    leaveOut: (why, items) => {
      if (items === undefined) void tell({ leftOut: why });
      else if (items.length > 0) void tell({ leftOut: `${why} (${items.length}): ${items.join('; ')}` });
    },
    remaining: () => (request.deadline - Date.now()) / 1000,
    openDevice: async () => {
      const device = await requestDevice({
        ...(adapter !== undefined && { adapter }),
        ...(kernels !== undefined && { kernels }),
      });
      device.gpu.tuning.clear();
      return device;
    },
  };
  try {
    await parts[part](context);
    await tell({ done: true });
  } catch (error) {
    await tell({ failed: error instanceof Error ? error.message : String(error) });
  }
  process.exit();
}

// The supervising process is gone.
process.on('disconnect', () => process.exit(1));
process.once('message', (request: PartRequest) => void run(request));
