/**
 * Whether transformers.js runs exported folders and computes what this engine does: every family and head of
 * the fixtures by transformers.js' classes, and in WebAssembly by ONNX Runtime Web; models with a tokenizer by
 * transformers.js' pipelines. Prints the largest difference of each; ends with 1 if one is above 1e-4 (fp16:
 * 0.05, q8: 0.3).
 *
 *     npm run bench:peers-setup && npm run check:onnx [-- <folder to keep the exports in>]
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as hf from '@huggingface/transformers';
import * as ort from 'onnxruntime-web';
import * as dawngrad from '../../../src/index.ts';
import type { ModelType } from '../../../src/models/registry.ts';
import { families, tasksOf } from '../../../test/support/families.ts';
import {
  type FixtureInputs,
  maxDifference,
  models,
  readJson,
  readTensors,
} from '../../../test/support/fixtures.ts';

type Dtype = dawngrad.OnnxDtype;
const dtypes = ['fp32', 'fp16', 'q8'] as const;
const limits = { fp32: 1e-4, fp16: 0.05, q8: 0.3 } as const;
const fileOf = { fp32: 'model', fp16: 'model_fp16', q8: 'model_quantized' } as const;
/** transformers.js' classes by the ends of the fixtures' names; it has none for other heads. */
const classes = {
  base: hf.AutoModel,
  single: hf.AutoModelForSequenceClassification,
  multi: hf.AutoModelForSequenceClassification,
  regression: hf.AutoModelForSequenceClassification,
  token: hf.AutoModelForTokenClassification,
  qa: hf.AutoModelForQuestionAnswering,
  mlm: hf.AutoModelForMaskedLM,
};
/** A pipeline of transformers.js, and the class here for a model that it takes. */
const pipelines = {
  'text-classification': dawngrad.AutoModelForSequenceClassification,
  'token-classification': dawngrad.AutoModelForTokenClassification,
  'fill-mask': dawngrad.AutoModelForMaskedLM,
  'feature-extraction': dawngrad.AutoModel,
  'question-answering': dawngrad.AutoModelForQuestionAnswering,
} as const;

ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'error';
hf.env.allowRemoteModels = false;
hf.env.localModelPath = '';
const device = await dawngrad.requestDevice();
const [kept] = process.argv.slice(2);
const folder = kept ?? (await mkdtemp(join(tmpdir(), 'dawngrad-onnx-')));
let failed = false;

function report(name: string, dtype: Dtype, difference: number): void {
  const bad = !(difference <= limits[dtype]);
  failed ||= bad;
  console.log(`${name.padEnd(40)} ${dtype} ${difference.toExponential(1)}${bad ? '  too large' : ''}`);
}

const floats = (tensor: hf.Tensor): Float32Array => tensor.data as Float32Array;
const tensorOf = (rows: number[][]): hf.Tensor =>
  new hf.Tensor('int64', BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]!.length]);

/** What ONNX Runtime Web computes of a batch. */
async function inWebAssembly(name: string, dtype: Dtype, inputs: FixtureInputs) {
  const file = await readFile(join(folder, name, 'onnx', `${fileOf[dtype]}.onnx`));
  const session = await ort.InferenceSession.create(file, { executionProviders: ['wasm'] });
  const flat = (rows: unknown): number[] => [rows].flat(4) as number[];
  const sizes = (rows: unknown): number[] => (Array.isArray(rows) ? [rows.length, ...sizes(rows[0])] : []);
  const shape = sizes(inputs.input_ids);
  const feeds = session.inputNames.map((input) => {
    const rows = inputs[input as keyof FixtureInputs] ?? flat(inputs.input_ids).map(() => 0);
    return [input, new ort.Tensor('int64', BigInt64Array.from(flat(rows), BigInt), shape)] as const;
  });
  const outputs = await session.run(Object.fromEntries(feeds));
  await session.release();
  return outputs;
}

async function checkFixture(name: string, task: string, auto: dawngrad.AutoClass<dawngrad.PreTrainedModel>) {
  const model = await auto.fromPretrained(models + name, { device });
  await dawngrad.exportOnnx(model, join(folder, name));
  model.dispose();
  const { inputs } = await readJson<{ inputs: FixtureInputs }>(`${models}${name}/expected.json`);
  const expected = await readTensors(`${models}${name}/expected.safetensors`);
  const differences = (outputs: Record<string, { data: unknown }>): number[] =>
    Object.entries(outputs).map(([key, { data }]) =>
      maxDifference(data as Float32Array, (expected.get(`out.${key}`) ?? expected.get(key))!),
    );
  for (const dtype of dtypes)
    report(`${name}, WebAssembly`, dtype, Math.max(...differences(await inWebAssembly(name, dtype, inputs))));
  if (!Object.hasOwn(classes, task)) return;
  const Class = classes[task as keyof typeof classes];
  for (const dtype of dtypes) {
    const load = Class.from_pretrained(join(folder, name), { dtype, device: 'cpu' });
    const theirs = await load.catch((error: Error) => {
      if (error.message.startsWith('Unsupported model type')) return null;
      throw error;
    });
    if (theirs === null) {
      console.log(`${name.padEnd(40)} ${dtype} has no class in transformers.js`);
      continue;
    }
    const feeds = Object.entries(inputs).map(([key, rows]) => [key, tensorOf(rows as number[][])]);
    const outputs = (await theirs(Object.fromEntries(feeds))) as Record<string, hf.Tensor>;
    const tensors = Object.entries(outputs).filter(([, value]) => value instanceof hf.Tensor);
    report(name, dtype, Math.max(...differences(Object.fromEntries(tensors))));
    await theirs.dispose();
  }
}

const texts = ['a charming film, wonderfully acted', 'dull [MASK] and far too long'];
const source = new URL('../../../examples/sentiment/model', import.meta.url).pathname;

/** A small model of another family than the example's. */
async function smallModel(family: ModelType, task: keyof typeof pipelines, vocabSize: number) {
  const sizes = { hiddenSize: 48, numHiddenLayers: 3, numAttentionHeads: 4, intermediateSize: 64 };
  const values = { ...sizes, vocabSize, padTokenId: 0, maxPositionEmbeddings: 128, initializerRange: 0.1 };
  const relative = { relativeAttention: true, positionBuckets: 16, posAttType: ['c2p', 'p2c'] };
  const config = dawngrad.AutoConfig.forModel(family, {
    ...values,
    ...(family === 'deberta-v2' && relative),
  });
  const model = await pipelines[task].fromConfig(config, { device });
  return model.eval() as dawngrad.PreTrainedModel;
}

/** A pipeline's tokens, its model's outputs and, of classes, its scores, for two texts of different lengths. */
async function checkPipeline(task: keyof typeof pipelines, family: ModelType = 'bert'): Promise<void> {
  const tokenizer = await dawngrad.AutoTokenizer.fromPretrained(source);
  device.manualSeed(1);
  const model =
    family === 'bert'
      ? await pipelines[task].fromPretrained(source, { device, onReport: () => {} })
      : await smallModel(family, task, tokenizer.vocabSize);
  const path = join(folder, `${family}-${task}`);
  await dawngrad.exportOnnx(model, path, { tokenizer, dtypes: ['fp32'] });
  const pipe = (await hf.pipeline(task, path, { dtype: 'fp32', device: 'cpu' })) as hf.Pipeline;
  const pairs = task === 'question-answering';
  const batch = tokenizer.encodeBatch(
    pairs ? texts.map((text, at) => [text, texts[1 - at]!] as const) : texts,
  );
  const theirs = pipe.tokenizer(texts, { padding: true, ...(pairs && { text_pair: texts.toReversed() }) });
  const ids = Float32Array.from(theirs.input_ids.data as BigInt64Array, Number);
  if (maxDifference(ids, batch.inputIds) !== 0) throw new Error(`${task}: other tokens`);
  using _scope = device.scope();
  const forward = (model as unknown as { forward(inputs: object): Record<string, dawngrad.Tensor> }).forward;
  const ours = forward.call(model, { ...dawngrad.toTensors(device, batch), skipPadding: false });
  const outputs = (await pipe.model(theirs)) as Record<string, hf.Tensor>;
  for (const [name, value] of Object.entries(outputs)) {
    if (!(value instanceof hf.Tensor)) continue;
    const camel = name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
    report(
      `${family}, pipeline('${task}'): ${name}`,
      'fp32',
      maxDifference(floats(value), await ours[camel]!.float32Data()),
    );
  }
  const call = pipe as unknown as (...args: unknown[]) => Promise<unknown>;
  const answers = await (pairs
    ? call(texts[0], texts[1])
    : call(task === 'fill-mask' ? texts[1] : texts, { top_k: null }));
  if (task === 'text-classification') {
    const scores = (answers as { label: string; score: number }[][]).map((row) =>
      row.sort((a, b) => a.label.localeCompare(b.label)).map(({ score }) => score),
    );
    report(
      `${family}, pipeline('${task}'): scores`,
      'fp32',
      maxDifference(scores.flat(), await dawngrad.softmax(ours.logits!).float32Data()),
    );
  } else console.log(`${family}, pipeline('${task}') gives ${JSON.stringify(answers).slice(0, 90)} …`);
  await pipe.dispose();
  model.dispose();
}

for (const family of families)
  for (const [task, auto] of Object.entries({ ...tasksOf(family), base: dawngrad.AutoModel }))
    await checkFixture(`${family}-${task}`, task, auto as never);
for (const task of Object.keys(pipelines)) await checkPipeline(task as keyof typeof pipelines);
for (const family of ['mpnet', 'modernbert', 'deberta-v2'] as const)
  for (const task of ['text-classification', 'token-classification', 'fill-mask'] as const)
    await checkPipeline(task, family);
device.destroy();
if (kept === undefined) await rm(folder, { recursive: true });
process.exit(failed ? 1 : 0);
