/**
 * Fine-tunes the embedded example in a loop of its own, by the installed package alone, and prints the losses as
 * JSON: `loop.mjs <folder of the example, or its URL> <steps>`. Plain JavaScript that every runtime reads.
 */
import {
  AdamW,
  AutoModelForSequenceClassification,
  AutoTokenizer,
  clipGradNorm,
  DataLoader,
  dataCollatorWithPadding,
  encodeLabels,
  encodeTable,
  inferLabels,
  noGrad,
  readTable,
  requestDevice,
  toTensors,
} from 'dawngrad';

const [example, steps] = (globalThis.Deno?.args ?? process.argv.slice(2)).map(String);
const device = await requestDevice();
device.manualSeed(42);
const tokenizer = await AutoTokenizer.fromPretrained(`${example}/model`);
const table = await readTable(`${example}/train.tsv`);
const labels = inferLabels(table);
const dataset = encodeTable(table, encodeLabels(table, labels), tokenizer, {
  maxLength: 64,
  truncation: true,
});
const collate = dataCollatorWithPadding({ padTokenId: tokenizer.padTokenId });
const loader = new DataLoader(dataset, { batchSize: 16, shuffle: true, seed: 42, collate });
const model = await AutoModelForSequenceClassification.fromPretrained(`${example}/model`, {
  device,
  id2label: { ...labels.names },
  onReport: () => {},
});
const optimizer = new AdamW(model.parameters(), { lr: 5e-4, weightDecay: 0.01 });

const losses = [];
model.train();
for (const batch of loader.batches(0)) {
  if (losses.length === Number(steps)) break;
  const scope = device.scope();
  const { loss } = model.forward(toTensors(device, batch));
  loss.backward();
  clipGradNorm(model.parameters(), 1);
  optimizer.step();
  optimizer.zeroGrad();
  losses.push(await loss.item());
  scope.close();
}
model.eval();
const { logits } = noGrad(() => model.forward(toTensors(device, collate([dataset.get(0)], [0]))));
console.log(JSON.stringify({ adapter: device.description, losses, logits: [...(await logits.data())] }));
device.destroy();
(globalThis.Deno ?? process).exit(0);
