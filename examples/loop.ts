/**
 * Fine-tuning with your own loop: forward, backward, clip, step.
 *
 *     npx tsx examples/loop.ts
 */
import { fileURLToPath } from 'node:url';
import {
  AdamW,
  AutoModelForSequenceClassification,
  AutoTokenizer,
  clipGradNorm,
  DataLoader,
  dataCollatorWithPadding,
  encodeLabels,
  encodeTable,
  getLinearScheduleWithWarmup,
  inferLabels,
  noGrad,
  readTable,
  requestDevice,
  toTensors,
} from 'dawngrad';

const file = (name: string): string => fileURLToPath(new URL(`sentiment/${name}`, import.meta.url));

/** Trains for some epochs and returns the mean loss of each. */
export async function loop(epochs = 3, folder = file('model')): Promise<number[]> {
  const device = await requestDevice();
  device.manualSeed(42);
  const tokenizer = await AutoTokenizer.fromPretrained(folder);
  const table = await readTable(file('train.tsv'));
  const labels = inferLabels(table);
  const dataset = encodeTable(table, encodeLabels(table, labels), tokenizer, {
    maxLength: 64,
    truncation: true,
  });
  const collate = dataCollatorWithPadding({
    padTokenId: tokenizer.padTokenId,
    paddingSide: tokenizer.paddingSide,
  });
  const loader = new DataLoader(dataset, { batchSize: 16, shuffle: true, seed: 42, collate });

  const model = await AutoModelForSequenceClassification.fromPretrained(folder, {
    device,
    // Named, so that a checkpoint with its own classes matches them by name.
    id2label: { ...labels.names },
    onReport: () => {},
  });
  const optimizer = new AdamW(model.parameters(), { lr: 5e-4, weightDecay: 0.01 });
  const scheduler = getLinearScheduleWithWarmup(optimizer, 5, epochs * loader.length);

  const means: number[] = [];
  for (let epoch = 0; epoch < epochs; epoch += 1) {
    model.train();
    const losses: number[] = [];
    for (const batch of loader.batches(epoch)) {
      // Closing the scope at the end of this block disposes of every tensor made in it.
      using _scope = device.scope();
      const { loss } = model.forward(toTensors(device, batch));
      loss!.backward();
      clipGradNorm(model.parameters(), 1);
      optimizer.step();
      scheduler.step();
      optimizer.zeroGrad();
      losses.push(await loss!.item());
    }
    means.push(losses.reduce((a, b) => a + b, 0) / losses.length);
  }

  model.eval();
  using _scope = device.scope();
  const { logits } = noGrad(() => model.forward(toTensors(device, collate([dataset.get(0)], [0]))));
  console.log('logits of the first row:', await logits.data());
  device.destroy();
  return means;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log('mean loss of each epoch:', await loop());
