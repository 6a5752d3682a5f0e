/**
 * The memory of training steps, by what saves some: gradient checkpointing, mixed precision, LoRA. No step is
 * computed: a rehearsal asks for the same buffers. With --run, steps are also computed, by turns, for the price
 * in time, and their measured peak stands beside the rehearsed one.
 *
 *     npm run memory -- --model bert-base --shape 8x512
 *     npm run memory -- --model MiniLM --shape 8x128 --run 3
 *     npm run memory -- --shape 2x128 --run 5 --only float32 checkpointing
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Batch } from '../src/data/collate.ts';
import { summarize } from '../src/gpu/measure.ts';
import { LoraConfig } from '../src/models/peft/config.ts';
import { getPeftModel } from '../src/models/peft/peft-model.ts';
import { attentionTargets } from '../src/models/peft/targets.ts';
import { Device, requestDevice } from '../src/tensor/device.ts';
import type { FloatDtype } from '../src/tensor/ops/elementwise.ts';
import { resolveArguments } from '../src/train/argument-checks.ts';
import type { TrainingArguments } from '../src/train/arguments.ts';
import { estimateMemory, type MemoryEstimate } from '../src/train/estimate.ts';
import type { TrainableModel } from '../src/train/predict.ts';
import { TrainingStep } from '../src/train/step.ts';
import { jobSizes, makeModel } from './jobs.ts';
import { textTable } from './lib/table.ts';

interface Options {
  model: string;
  shape: [batch: number, length: number];
  padded?: boolean;
  only?: string[];
  run?: number;
  adapter?: string;
}

interface Variant {
  name: string;
  args: Partial<TrainingArguments>;
  /** Trains an adapter, with PEFT's defaults, over a base of this type. */
  lora?: FloatDtype;
}

function readShape(text: string): [number, number] {
  const [, batch, length] = /^([1-9]\d*)x([1-9]\d*)$/.exec(text) ?? [];
  if (batch === undefined) throw new InvalidArgumentError('Give batch and length, as in 8x512.');
  return [Number(batch), Number(length)];
}

const options = new Command('memory')
  .addOption(
    new Option('--model <name>', 'size of the model')
      .choices(jobSizes.map(({ name }) => name))
      .default('bert-base'),
  )
  .option('--shape <batch>x<length>', 'of a step', readShape, [8, 512] as [number, number])
  .option('--padded', 'texts of all lengths up to the longest, so that half is padding')
  .option('--only <names...>', 'these rows, by their names')
  .option('--run <steps>', 'also compute so many steps', Number)
  .option('--adapter <name>', 'as for the dawngrad command')
  .parse()
  .opts<Options>();

const variants: readonly Variant[] = [false, true].flatMap((fp16) =>
  [undefined, 'float32' as const, 'float16' as const].flatMap((lora) =>
    [false, true].map((gradientCheckpointing): Variant => {
      const adapter = lora === undefined ? [] : [lora === 'float16' ? 'LoRA, float16 base' : 'LoRA'];
      const names = [
        ...(fp16 ? ['fp16'] : []),
        ...adapter,
        ...(gradientCheckpointing ? ['checkpointing'] : []),
      ];
      return {
        name: names.join(', ') || 'float32',
        args: { fp16, gradientCheckpointing },
        ...(lora && { lora }),
      };
    }),
  ),
);

const size = jobSizes.find(({ name }) => name === options.model)!;
const [count, length] = options.shape;

function batchOf(): Batch {
  const lengthOf = (row: number): number =>
    options.padded === true && count > 1 ? Math.max(1, Math.round(length * (1 - row / (count - 1)))) : length;
  const shape: [number, number] = [count, length];
  return {
    inputIds: Int32Array.from({ length: count * length }, (_, i) => 1000 + ((i * 7919) % 20_000)),
    attentionMask: Int32Array.from({ length: count * length }, (_, i) =>
      i % length < lengthOf(Math.floor(i / length)) ? 1 : 0,
    ),
    labels: Int32Array.from({ length: count }, (_, row) => row % 2),
    shape,
  };
}

const argsOf = (variant: Variant): TrainingArguments =>
  resolveArguments({ outputDir: 'none', ...variant.args });

async function modelOf(device: Device, { args, lora }: Variant): Promise<TrainableModel> {
  const model = await makeModel(device, size);
  const targetModules = attentionTargets(model);
  if (lora !== undefined)
    getPeftModel(model, new LoraConfig({ taskType: 'SEQ_CLS', targetModules }), { baseDtype: lora });
  if (args.gradientCheckpointing === true) model.gradientCheckpointingEnable();
  return model as TrainableModel;
}

async function estimate(gpu: Device['gpu'], variant: Variant): Promise<MemoryEstimate> {
  const model = await modelOf(new Device(gpu.rehearsal().gpu), variant);
  return estimateMemory({ model, args: argsOf(variant), maxSteps: 10 }, [[batchOf()]]);
}

interface Run {
  step(): Promise<number>;
  end(): number;
}

/** Steps that are computed, on a device of their own. */
async function run(variant: Variant): Promise<Run> {
  const device = await requestDevice(options.adapter === undefined ? {} : { adapter: options.adapter });
  const model = await modelOf(device, variant);
  model.train();
  const step = new TrainingStep({ model, args: argsOf(variant), maxSteps: 1000 });
  return {
    async step() {
      const start = performance.now();
      await step.run([batchOf()]);
      await device.sync();
      return (performance.now() - start) / 1000;
    },
    end() {
      const { peakBytes } = device.statistics();
      device.destroy();
      return peakBytes;
    },
  };
}

/** Seconds of a step and the measured peak of each variant, whose steps take turns. */
async function runAll(able: readonly Variant[], steps: number): Promise<{ seconds: number; peak: number }[]> {
  const runs: Run[] = [];
  for (const variant of able) runs.push(await run(variant));
  // The first step compiles.
  for (const { step } of runs) await step();
  const times = runs.map((): number[] => []);
  for (let turn = 0; turn < steps; turn += 1)
    for (const [at, { step }] of runs.entries()) times[at]!.push(await step());
  return runs.map(({ end }, at) => ({ seconds: summarize(times[at]!).median, peak: end() }));
}

const device = await requestDevice(options.adapter === undefined ? {} : { adapter: options.adapter });
const { gpu, description } = device;
const runs = ({ args, lora }: Variant): boolean => gpu.float16 || (args.fp16 !== true && lora !== 'float16');
const able = variants.filter((variant) => (options.only?.includes(variant.name) ?? true) && runs(variant));
const rows: MemoryEstimate[] = [];
for (const variant of able) rows.push(await estimate(gpu, variant));
const measured = options.run === undefined ? null : await runAll(able, options.run);
const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);
const padding = options.padded === true ? ', half padding' : '';
console.log(`${description}\n${size.name} ${count}×${length}${padding}, MiB\n`);
console.log(
  textTable({
    head: [
      ...['', 'peak', 'weights', 'gradients', 'state', 'activations'],
      ...(measured === null ? [] : ['measured peak', 'seconds a step', 'relative']),
    ],
    rows: able.map(({ name }, at) => {
      const { peak, weights, gradients, state, activations } = rows[at]!;
      const real = measured?.[at];
      return [
        name,
        ...[peak, weights, gradients, state, activations].map(mib),
        ...(real
          ? [mib(real.peak), real.seconds.toFixed(2), (real.seconds / measured![0]!.seconds).toFixed(2)]
          : []),
      ];
    }),
  }),
);
device.destroy();
