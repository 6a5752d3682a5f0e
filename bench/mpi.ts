/**
 * What several processes gain, and what limits them: `mpirun -n 2 npx tsx bench/mpi.ts`. Prints rates of reading
 * back, summing and writing, and the time of a training step in one process, in all at once without exchanging
 * gradients, and in all together, by turns. On a software adapter, give each process its core
 * (`--bind-to core`, and LP_NUM_THREADS=1 for lavapipe).
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ArrayDataset } from '../src/data/dataset.ts';
import { Random } from '../src/data/random.ts';
import { AutoConfig, AutoModelForSequenceClassification } from '../src/models/auto.ts';
import type { ProcessGroup } from '../src/platform/contract.ts';
import { type Device, requestDevice } from '../src/tensor/device.ts';
import type { TrainableModel } from '../src/train/predict.ts';
import { initProcessGroup } from '../src/train/ranks.ts';
import { Trainer } from '../src/train/trainer.ts';
import { reduceFloat16 } from '../src/train/wire.ts';

const option = (name: string, usual: number): number => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? usual : Number(process.argv[at + 1]);
};
const [width, layers, batch, length, steps, rounds] = [
  option('width', 256),
  option('layers', 4),
  option('batch', 8),
  option('length', 64),
  option('steps', 6),
  option('rounds', 5),
];
const MIB = 2 ** 20;
const BUCKET = 4 * MIB;

const seconds = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
};

const best = async (work: () => Promise<unknown>): Promise<number> => {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round += 1) least = Math.min(least, await seconds(work));
  return least;
};

/** MB/s of float32 gradients, in buckets of 16 MiB. */
async function rates(device: Device, group: ProcessGroup): Promise<Record<string, number>> {
  const values = new Float32Array(BUCKET).fill(0.001);
  const sums = new Float32Array(BUCKET);
  const tensor = device.zeros([BUCKET]);
  const staging = device.gpu.stagingBuffer(4 * BUCKET);
  const { buffer, offset } = tensor.memory;
  const tiny = new Float64Array(1);
  await device.sync();
  const times = {
    'read back': await best(async () => {
      await device.gpu.readRanges(staging, [{ buffer, offset, to: 0, bytes: 4 * BUCKET }]);
      staging.unmap();
    }),
    'sum as float32': await best(() => group.allReduce(values, sums)),
    'sum as float16': await best(() => reduceFloat16(group, values, sums)),
    'write back': await best(async () => {
      tensor.write(sums);
      await device.sync();
    }),
  };
  const small = await best(() => group.allReduce(tiny, tiny.slice()));
  staging.destroy();
  tensor.dispose();
  const perSecond = Object.entries(times).map(([name, time]) => [`${name}, MB/s`, (4 * BUCKET) / time / 1e6]);
  return { ...Object.fromEntries(perSecond), 'sum of one number, ms': small * 1000 };
}

const folder = join(tmpdir(), `dawngrad-mpi-bench-${process.pid}`);

interface StepTime {
  seconds: number;
  /** Of this process's cores, with the adapter's if it computes on the CPU. */
  cpu: number;
}

/** A step's time, after two steps that compile kernels and lay out buckets. */
async function stepTime(device: Device, group: ProcessGroup | null): Promise<StepTime> {
  device.manualSeed(1);
  const config = AutoConfig.forModel('bert', {
    vocabSize: 2000,
    hiddenSize: width,
    numHiddenLayers: layers,
    numAttentionHeads: width / 32,
    intermediateSize: 4 * width,
    maxPositionEmbeddings: length,
  });
  const model = await AutoModelForSequenceClassification.fromConfig(config, { device });
  const random = new Random(1);
  const total = batch * (group?.size ?? 1) * (steps + 2);
  const rows = Array.from({ length: total }, () => ({
    inputIds: Array.from({ length }, () => random.integer(2000)),
    label: random.integer(2),
  }));
  let [start, end, used] = [0, 0, process.cpuUsage()];
  const callback = {
    async onStepEnd({ state }: { state: { globalStep: number } }) {
      if (state.globalStep !== 2 && state.globalStep !== steps + 2) return;
      await device.sync();
      if (state.globalStep === 2) [start, used] = [performance.now(), process.cpuUsage()];
      else [end, used] = [performance.now(), process.cpuUsage(used)];
    },
  };
  const trainer = new Trainer({
    model: model as TrainableModel,
    processGroup: group,
    trainDataset: new ArrayDataset(rows),
    callbacks: [callback],
    args: {
      outputDir: folder,
      numTrainEpochs: 1,
      perDeviceTrainBatchSize: batch,
      saveStrategy: 'no',
      loggingSteps: 1000,
    },
  });
  await trainer.train();
  model.dispose();
  return { seconds: (end - start) / 1000 / steps, cpu: (used.user + used.system) / 1e6 / steps };
}

const group = await initProcessGroup();
if (group === null) throw new Error('start it with mpirun -n 2');
const device = await requestDevice();
const say = (text: string): void => {
  if (group.rank === 0) console.log(text);
};
say(`${group.size} processes, ${group.description}, ${device.description}`);
for (const [name, value] of Object.entries(await rates(device, group)))
  say(`${name}: ${value.toPrecision(3)}`);
say(`BERT of ${layers} layers, ${width} wide, ${batch}×${length} a process; ms a step`);
const found: Record<string, number[]> = { efficiency: [], 'to apart': [], 'of CPU time': [] };
for (let round = 0; round < rounds; round += 1) {
  const none = { seconds: 0, cpu: 0 };
  const alone = (await group.allGatherObject(group.rank === 0 ? await stepTime(device, null) : none))[0]!;
  const apart = await group.allGatherObject(await stepTime(device, null));
  const together = await group.allGatherObject(await stepTime(device, group));
  const slowest = (all: StepTime[]): number => Math.max(...all.map(({ seconds }) => seconds));
  const mean = (all: StepTime[]): number => all.reduce((sum, { cpu }) => sum + cpu, 0) / all.length;
  found.efficiency!.push(alone.seconds / slowest(together));
  found['to apart']!.push(slowest(apart) / slowest(together));
  found['of CPU time']!.push(mean(apart) / mean(together));
  const ms = [alone.seconds, slowest(apart), slowest(together)].map((time) => (1000 * time).toFixed(0));
  const cpu = [mean(apart), mean(together)].map((time) => (1000 * time).toFixed(0));
  say(`one ${ms[0]} · all at once, apart ${ms[1]} (CPU ${cpu[0]}) · together ${ms[2]} (CPU ${cpu[1]})`);
}
for (const [name, values] of Object.entries(found)) {
  const sorted = values.sort((a, b) => a - b).map((value) => value.toFixed(2));
  say(`${name}: median ${sorted[Math.floor(sorted.length / 2)]} (${sorted[0]} to ${sorted.at(-1)})`);
}
device.destroy();
await group.finalize();
process.exit();
