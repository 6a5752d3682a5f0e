/** A fine-tuning step (AdamW, clipping) in PyTorch and transformers, from the checkpoint that our model saves. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Device } from '../../src/tensor/device.ts';
import { measure, summarize } from '../lib/measure.ts';
import { adam, type Batch, type PeerJob } from './job.ts';
import { makeModel, training } from './ours.ts';
import { differenceOf, messageOf, type PeerResult, resultsOf } from './results.ts';

const script = fileURLToPath(new URL('pytorch.py', import.meta.url));
const fineTuning = { weightDecay: 0.01, maxNorm: 1 } as const;

interface Answer {
  torch: string;
  transformers: string;
  runs: { way: string; reduced: boolean; losses: number[]; seconds: number[] }[];
}

function batchJson({ size, length, ids, mask, labels }: Batch): string {
  const rows = (values: Int32Array): number[][] =>
    Array.from({ length: size }, (_, i) => [...values.subarray(i * length, (i + 1) * length)]);
  const options = { lr: adam.lr, ...fineTuning };
  return JSON.stringify({ ids: rows(ids), mask: rows(mask), labels: [...labels], ...options });
}

async function ask(python: string, device: Device, job: PeerJob, seconds: number): Promise<Answer> {
  const folder = mkdtempSync(join(tmpdir(), 'dawngrad-pytorch-'));
  try {
    const model = makeModel(device, job);
    await model.savePretrained(join(folder, 'model'));
    model.dispose();
    writeFileSync(join(folder, 'batch.json'), batchJson(job.batch));
    const options = { maxBuffer: 2 ** 26, env: { ...process.env, HF_HUB_OFFLINE: '1' } };
    const parameters = [script, join(folder, 'model'), join(folder, 'batch.json'), String(seconds)];
    const { stdout } = await promisify(execFile)(python, parameters, options);
    return JSON.parse(stdout.trim().split('\n').at(-1)!) as Answer;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Ours first, then every way PyTorch can run here. `note` is told the versions. */
export async function comparePyTorch(
  python: string,
  device: Device,
  { name, ...job }: PeerJob & { name: string },
  seconds: number,
  note: (version: string) => void,
): Promise<PeerResult[]> {
  const work = training(device, job, fineTuning);
  const expected = await resultsOf(work, 3);
  const timing = await measure(work, work.run, { seconds });
  work.dispose();
  const own: PeerResult = { job: name, library: 'dawngrad', timing, ratio: 1, difference: 0 };
  try {
    const answer = await ask(python, device, job, seconds);
    note(`${answer.torch}, transformers ${answer.transformers}`);
    const others = answer.runs.map(({ way, reduced, losses, seconds: times }): PeerResult => {
      const base = { job: name, library: `PyTorch, ${way}` };
      const difference = differenceOf(losses, expected);
      // bfloat16 has 8 bits of mantissa.
      if (!(difference <= (reduced ? 0.05 : 2e-4)))
        return { ...base, error: `its losses differ from ours by ${difference.toPrecision(2)}` };
      const measured = summarize(times);
      return { ...base, timing: measured, ratio: measured.median / timing.median, difference };
    });
    return [own, ...others];
  } catch (error) {
    return [own, { job: name, library: 'PyTorch', error: messageOf(error) }];
  }
}
