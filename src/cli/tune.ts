/** `dawngrad tune`: measures the fastest kernels for a model's products, and stores the choice. */
import { type Command, InvalidArgumentError } from 'commander';
import { writeTuning } from '../gpu/tuning.ts';
import { layerProducts, tuneMatmul } from '../kernels/matmul/tune.ts';
import { requestDevice } from '../tensor/device.ts';
import { adapterOf, addAdapterOption, type CommonOptions, integer } from './options.ts';

interface TuneOptions extends CommonOptions {
  hiddenSize: number;
  batchSize: number;
  maxLength: number;
}

function positive(text: string): number {
  const value = integer(text);
  if (value < 1) throw new InvalidArgumentError('It must be at least 1.');
  return value;
}

export function addTune(program: Command): void {
  const command = program
    .command('tune')
    .description('measure which kernels are fastest on this adapter, and keep the choice for later runs')
    .option('--hidden-size <n>', "the model's width", positive, 768)
    .option('--batch-size <n>', 'texts in a batch', positive, 32)
    .option('--max-length <n>', 'tokens of a text', positive, 128)
    .option('--fp16', 'for runs in mixed precision: products of float16 (default: of float32)');
  addAdapterOption(command).action(tune);
}

async function tune(options: TuneOptions): Promise<void> {
  const device = await requestDevice(adapterOf(options));
  const { gpu } = device;
  const { fp16 = false } = options;
  if (fp16) device.requireFloat16();
  console.log(`tuning on ${device.description}`);
  const rows = options.batchSize * options.maxLength;
  for (const shape of layerProducts(options.hiddenSize, rows, fp16 ? 'float16' : 'float32')) {
    const tuned = await tuneMatmul(gpu, shape);
    for (const technique of tuned.wrong) console.warn(`wrong on this adapter, and not used: ${technique}`);
    const [best] = tuned.times;
    gpu.tuning.choose(tuned.class, best!.technique);
    const { m, n, k } = shape;
    const rate = (2 * m * n * k) / best!.seconds / 1e9;
    console.log(
      `${tuned.class.slice(0, 9)} ${m}×${n}×${k}`.padEnd(32),
      `${rate.toFixed(1)} GFLOP/s`.padStart(16),
      ` ${best!.technique}`,
    );
  }
  await writeTuning(device.description, gpu.tuning);
  console.log('kept for later runs on this adapter');
  device.destroy();
}
