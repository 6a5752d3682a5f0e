/**
 * Compares matmul's techniques by CPU time, each in turn, on an adapter that computes on the CPU: other work on
 * the machine, which doubles what the clock shows, changes CPU time by a few percent. Prints the best rate of a
 * thread, and its share of the best multiply-adds from registers.
 *
 *     LP_NUM_THREADS=1 npx tsx bench/techniques.ts 512x512x512 512x1536x384NT 1536x384x512TN
 */
import { candidates, type MatmulShape } from '../src/kernels/matmul/choose.ts';
import { matmul } from '../src/kernels/matmul/matmul.ts';
import { techniqueName } from '../src/kernels/matmul/techniques.ts';
import { requestDevice } from '../src/tensor/device.ts';
import { fmaWork, SHAPES } from './ceilings.ts';

const ROUNDS = 5;
/** Microseconds that a sample takes at least. */
const SAMPLE = 60_000;

function readShape(text: string): MatmulShape {
  const [, m, n, k, a, b] = /^(\d+)x(\d+)x(\d+)(?:([NT])([NT]))?$/.exec(text) ?? [];
  if (k === undefined) throw new Error(`give products as 512x1536x384NT, not ${text}`);
  const [transposeA, transposeB] = [a === 'T', b === 'T'];
  return { m: Number(m), n: Number(n), k: Number(k), transposeA, transposeB, dtype: 'float32' };
}

const device = await requestDevice();
const { gpu } = device;
const best = new Map<string, number>();

/** Keeps the best rate of some work, in GFLOP/s of a thread. */
async function sample(name: string, operations: number, record: () => void): Promise<void> {
  for (let runs = 1; ; runs *= 2) {
    const start = process.cpuUsage();
    for (let i = 0; i < runs; i += 1) record();
    await device.sync();
    const { user, system } = process.cpuUsage(start);
    if (user + system < SAMPLE) continue;
    best.set(name, Math.max(best.get(name) ?? 0, (operations * runs) / (user + system) / 1000));
    return;
  }
}

for (let round = 0; round < ROUNDS; round += 1) {
  for (const shape of SHAPES) {
    const { operations, record, result } = fmaWork(device, { ...shape, HALF: false });
    await sample('ceiling', operations, record);
    result.dispose();
  }
  for (const text of process.argv.slice(2)) {
    const shape = readShape(text);
    const { m, n, k } = shape;
    const [a, b, c] = [device.zeros([m * k]), device.zeros([k * n]), device.zeros([m * n])] as const;
    for (const technique of candidates(gpu, shape))
      await sample(`${text} ${techniqueName(technique)}`, 2 * m * n * k, () =>
        matmul(gpu, { ...shape, a: a.slot, b: b.slot, c: c.slot, technique }),
      );
    for (const tensor of [a, b, c]) tensor.dispose();
  }
}
console.log(device.description);
for (const [name, rate] of best)
  console.log(name.padEnd(60), rate.toFixed(1), `${((100 * rate) / best.get('ceiling')!).toFixed(0)} %`);
device.destroy();
