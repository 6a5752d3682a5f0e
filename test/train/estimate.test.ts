/** The memory of a training, rehearsed, is what the training takes. */
import { expect, it } from 'vitest';
import type { Batch } from '../../src/data/collate.ts';
import { AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import { makeConfig } from '../../src/models/config.ts';
import { requestDevice } from '../../src/tensor/device.ts';
import { resolveArguments } from '../../src/train/argument-checks.ts';
import type { TrainingArguments } from '../../src/train/arguments.ts';
import { estimateMemory } from '../../src/train/estimate.ts';
import { TrainingStep } from '../../src/train/step.ts';

const config = makeConfig('bert', {
  vocabSize: 500,
  hiddenSize: 64,
  numHiddenLayers: 4,
  numAttentionHeads: 4,
  intermediateSize: 128,
  maxPositionEmbeddings: 64,
});

function batchOf(lengths: readonly number[], width: number): Batch {
  const seen = Int32Array.from(lengths.flatMap((n) => Array.from({ length: width }, (_, i) => +(i < n))));
  return {
    inputIds: seen.map((one, i) => one * (5 + ((i * 7) % 400))),
    attentionMask: seen,
    labels: Int32Array.from(lengths, (_, row) => row % 2),
    shape: [lengths.length, width],
  };
}

const [long, short] = [batchOf([60, 31, 60, 60], 60), batchOf([9, 9, 4], 9)];

it.each<[string, Partial<TrainingArguments>, Batch[][]]>([
  ['float32', {}, [[long]]],
  ['mixed precision', { fp16: true }, [[long]]],
  ['gradient checkpointing', { gradientCheckpointing: true }, [[long]]],
  ['Adafactor', { optim: 'adafactor' }, [[long]]],
  [
    'accumulation over batches of several lengths',
    { gradientAccumulationSteps: 2 },
    [
      [short, long],
      [long, short],
    ],
  ],
])('with %s', async (_, given, steps) => {
  const device = await requestDevice();
  try {
    if (given.fp16 === true && !device.gpu.float16) return;
    const model = await AutoModelForSequenceClassification.fromConfig(config, { device });
    const args = resolveArguments({ outputDir: 'none', ...given });
    if (args.gradientCheckpointing) model.gradientCheckpointingEnable();
    const before = device.statistics();
    const estimate = await estimateMemory({ model, args, maxSteps: 9 }, steps);
    expect(device.statistics()).toEqual(before);
    const step = new TrainingStep({ model, args, maxSteps: 9 });
    for (const batches of [steps[0]!, ...steps]) await step.run(batches);
    await device.sync();
    const { peakBytes } = device.statistics();
    // Drawing the weights took buffers of its own.
    expect(Math.abs(estimate.peak / peakBytes - 1)).toBeLessThan(0.02);
    const { weights, gradients, state, activations } = estimate;
    expect(weights + gradients + state + activations).toBe(estimate.peak);
    step.dispose();
  } finally {
    device.destroy();
  }
});
