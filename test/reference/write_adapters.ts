/** Draws the adapters of fixtures/peft/ anew, and one of a model of vectors, and saves them for check_peft.py. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as dawngrad from '../../src/index.ts';

const [output] = process.argv.slice(2);
if (output === undefined) throw new Error('name a folder');
const root = new URL('fixtures/', import.meta.url).pathname;
const device = await dawngrad.requestDevice();
const autos = {
  SEQ_CLS: dawngrad.AutoModelForSequenceClassification,
  TOKEN_CLS: dawngrad.AutoModelForTokenClassification,
  QUESTION_ANS: dawngrad.AutoModelForQuestionAnswering,
  none: dawngrad.AutoModelForMaskedLM,
};

interface Reference {
  task: keyof typeof autos | null;
  base: string;
  inputs: Record<string, number[][]>;
}

for (const name of readdirSync(join(root, 'peft'))) {
  const folder = join(root, 'peft', name);
  const reference = JSON.parse(readFileSync(join(folder, 'reference.json'), 'utf8')) as Reference;
  const base = join(root, 'models', reference.base);
  const plain = await autos[reference.task ?? 'none'].fromPretrained(base, { device, onReport: () => {} });
  plain.nameOrPath = base;
  const theirs = (await dawngrad.LoraConfig.fromPretrained(folder)).with({ baseModelNameOrPath: base });
  const model = dawngrad.getPeftModel(plain as dawngrad.BertForSequenceClassification, theirs);
  device.manualSeed(3);
  for (const [, tensor] of model.namedParameters())
    if (tensor.requiresGrad) device.fillNormal(tensor, { std: 0.1 });
  model.eval();
  const tensorOf = (rows: number[][]) =>
    device.tensor(Int32Array.from(rows.flat()), [rows.length, rows[0]!.length]);
  const { input_ids: ids, attention_mask: mask } = reference.inputs;
  const out = dawngrad.noGrad(() =>
    model.forward({ inputIds: tensorOf(ids!), attentionMask: tensorOf(mask!) }),
  ) as Partial<Record<'logits' | 'startLogits' | 'endLogits', dawngrad.Tensor>>;
  const parts = [out.logits, out.startLogits, out.endLogits].filter((one) => one !== undefined);
  const values = (await Promise.all(parts.map((one) => one.float32Data()))).flatMap((some) => [...some]);
  await model.savePretrained(join(output, name));
  const content = { task: reference.task, inputs: reference.inputs, logits: values };
  writeFileSync(join(output, name, 'logits.json'), `${JSON.stringify(content)}\n`);
  model.dispose();
}
const base = join(root, 'sentence/model');
const { texts } = JSON.parse(readFileSync(join(root, 'sentence/expected.json'), 'utf8')) as {
  texts: string[];
};
const sentences = await dawngrad.SentenceTransformer.fromPretrained(base, { device });
await sentences.addAdapter(new dawngrad.LoraConfig({ targetModules: ['query', 'value', 'dense'] }));
for (const tensor of sentences.parameters()) if (tensor.requiresGrad) device.fillNormal(tensor, { std: 0.1 });
await sentences.savePretrained(join(output, 'sentence'));
const vectors = (await sentences.encode(texts)).map((vector) => [...vector]);
writeFileSync(join(output, 'sentence/logits.json'), `${JSON.stringify({ texts, vectors })}\n`);
device.destroy();
