/**
 * Compares with training steps (AdamW, clipping) and inference in PyTorch and transformers, from checkpoints
 * that our models save.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { measure, summarize } from '../../src/gpu/measure.ts';
import type { Device } from '../../src/tensor/device.ts';
import { adam, type Batch, type PeerJob } from './job.ts';
import type { Work } from './library.ts';
import { inference, makeModel, training } from './ours.ts';
import { differenceOf, messageOf, type PeerResult, resultsOf } from './results.ts';

const script = fileURLToPath(new URL('pytorch.py', import.meta.url));
const fineTuning = { weightDecay: 0.01, maxNorm: 1 } as const;

export type JobKind = 'training' | 'inference';

/** One model and batch: `bert-base`, `32×128`. */
export interface PyTorchCase {
  model: string;
  shape: string;
  kinds: readonly JobKind[];
  make: () => PeerJob;
}

export interface PyTorchOptions {
  python: string;
  device: Device;
  cases: readonly PyTorchCase[];
  /** For each way of running each job. */
  seconds: number;
  /** Seconds that torch.compile may take; 0 skips it. */
  compileSeconds: number;
  /** Called with each result as it arrives; for each job ours comes first. */
  report: (result: PeerResult) => void;
  /** Called with the versions. */
  note: (version: string) => void;
}

/** A line printed by the script: first its environment, then one for each way of running a job. */
type Line =
  | { torch: string; transformers: string; device: string }
  | { job: number; kind: JobKind; way: string; reduced: boolean; error: string }
  | { job: number; kind: JobKind; way: string; reduced: boolean; values: number[]; seconds: number[] };

function batchJson({ size, length, ids, mask, labels }: Batch) {
  const rows = (values: Int32Array): number[][] =>
    Array.from({ length: size }, (_, i) => [...values.subarray(i * length, (i + 1) * length)]);
  return { ids: rows(ids), mask: rows(mask), labels: [...labels] };
}

/** Runs the script and passes on each line. Rejects with the last line of its error output. */
function runScript(python: string, file: string, onLine: (line: Line) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, HF_HUB_OFFLINE: '1' };
    const child = spawn(python, [script, file], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let complaint = '';
    child.stderr.on('data', (data: Buffer) => {
      complaint = (complaint + data.toString()).slice(-4000);
    });
    createInterface({ input: child.stdout }).on('line', (text) => {
      if (text.startsWith('{')) onLine(JSON.parse(text) as Line);
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(complaint.trim().split('\n').at(-1) || `${python} ended with ${code}`));
    });
  });
}

/** The result of our own run, which PyTorch's numbers and times are compared with. */
interface Own {
  values: Float32Array;
  seconds: number;
}

const nameOf = ({ model, shape }: PyTorchCase, kind: JobKind): string => `${model} ${kind} ${shape}`;

async function runOurs(
  { device, seconds, report }: PyTorchOptions,
  job: PeerJob,
  name: string,
  kind: JobKind,
): Promise<Own> {
  const make = (fp16: boolean): Work =>
    kind === 'training' ? training(device, job, { ...fineTuning, fp16 }) : inference(device, job, fp16);
  let own: Own | undefined;
  for (const fp16 of device.gpu.float16 && !device.software ? [false, true] : [false]) {
    const library = `dawngrad${fp16 ? ', fp16' : ''}`;
    const work = make(fp16);
    try {
      const values = await resultsOf(work, kind === 'training' ? 3 : 1);
      const timing = await measure(work, work.run, { seconds });
      own ??= { values, seconds: timing.median };
      report({
        job: name,
        library,
        timing,
        ratio: timing.median / own.seconds,
        difference: differenceOf(values, own.values),
      });
    } catch (error) {
      // Without our own numbers and time in float32 there is nothing to compare with.
      if (own === undefined) throw error;
      report({ job: name, library, error: messageOf(error) });
    } finally {
      work.dispose();
    }
  }
  return own!;
}

function resultOf(line: Exclude<Line, { torch: string }>, name: string, own: Own): PeerResult {
  const base = { job: name, library: `PyTorch, ${line.way}` };
  if ('error' in line) return { ...base, error: line.error };
  const difference = differenceOf(line.values, own.values);
  // bfloat16 has 8 bits of mantissa.
  if (!(difference <= (line.reduced ? 0.05 : 2e-4)))
    return { ...base, error: `its numbers differ from ours by ${difference.toPrecision(2)}` };
  const timing = summarize(line.seconds);
  return { ...base, timing, ratio: timing.median / own.seconds, difference };
}

/**
 * Compares our run with PyTorch's, first uncompiled and then compiled, for every job. A Python that fails
 * yields a result with an error.
 */
export async function comparePyTorch(options: PyTorchOptions): Promise<void> {
  const { python, device, cases, seconds, compileSeconds, report, note } = options;
  if (cases.length === 0) return;
  const folder = mkdtempSync(join(tmpdir(), 'dawngrad-pytorch-'));
  try {
    const jobs: object[] = [];
    const own = new Map<string, Own>();
    for (const [i, one] of cases.entries()) {
      const job = one.make();
      for (const kind of one.kinds)
        own.set(nameOf(one, kind), await runOurs(options, job, nameOf(one, kind), kind));
      const saved = makeModel(device, job);
      await saved.savePretrained(join(folder, `model-${i}`));
      saved.dispose();
      jobs.push({ model: join(folder, `model-${i}`), kinds: one.kinds, ...batchJson(job.batch) });
    }
    // Frees our GPU memory for the other process.
    device.trim();
    await device.sync();
    const file = join(folder, 'jobs.json');
    writeFileSync(file, JSON.stringify({ lr: adam.lr, ...fineTuning, seconds, compileSeconds, jobs }));
    await runScript(python, file, (line) => {
      if ('torch' in line) note(`${line.torch}, transformers ${line.transformers}, on ${line.device}`);
      else {
        const name = nameOf(cases[line.job]!, line.kind);
        report(resultOf(line, name, own.get(name)!));
      }
    });
  } catch (error) {
    report({ job: 'start', library: 'PyTorch', error: messageOf(error) });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
