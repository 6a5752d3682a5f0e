/** ONNX files: what they say of themselves, and what they compute, against transformers' own outputs. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AutoModel, AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import { makeConfig } from '../../src/models/config.ts';
import type { ModelType } from '../../src/models/registry.ts';
import { Linear } from '../../src/nn/layers.ts';
import { exportOnnx } from '../../src/onnx/export.ts';
import { Graph } from '../../src/onnx/graph.ts';
import { float16ToFloat32, float32ToFloat16 } from '../../src/tensor/float16.ts';
import { eq, ge, gt, le, lt, maximum, minimum, ne, where } from '../../src/tensor/ops/compare.ts';
import { add, dropout, mul, scale, sub } from '../../src/tensor/ops/elementwise.ts';
import { amax, amin, argmax, argmin, max, min } from '../../src/tensor/ops/extremes.ts';
import { abs, clamp, log, pow, sqrt } from '../../src/tensor/ops/functions.ts';
import { cat, stack } from '../../src/tensor/ops/join.ts';
import { mean } from '../../src/tensor/ops/reduction.ts';
import { narrow, select } from '../../src/tensor/ops/view.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { AutoTokenizer } from '../../src/text/auto.ts';
import { useDevice } from '../support/device.ts';
import { families, tasksOf } from '../support/families.ts';
import {
  type FixtureInputs,
  fixtures,
  maxDifference,
  modelInputs,
  models,
  type Rows,
  readJson,
  readTensors,
} from '../support/fixtures.ts';
import { liveBesideTables } from '../support/live.ts';
import { type NdArray, nd } from '../support/ndarray.ts';
import { decodeOnnx, type OnnxModel, runOnnx } from '../support/onnx.ts';

const device = useDevice();
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dawngrad-onnx-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function exported(name = 'model'): Promise<OnnxModel> {
  return decodeOnnx(await readFile(join(folder, 'onnx', `${name}.onnx`)));
}

/** A fixture's batch by the names of the file's inputs; those that it lacks are what models take for them. */
function feeds({ inputs }: OnnxModel, batch: Partial<FixtureInputs>): Record<string, NdArray> {
  const sizes = (rows: Rows): number[] => {
    const [first] = rows;
    const inner = first![0];
    return typeof inner === 'number'
      ? [rows.length, first!.length]
      : [rows.length, first!.length, inner!.length];
  };
  const shape = sizes(batch.input_ids!);
  const size = shape.reduce((product, dim) => product * dim, 1);
  return Object.fromEntries(
    inputs.map(({ name }) => {
      const rows = batch[name as keyof FixtureInputs];
      const missing = new Array<number>(size).fill(name === 'attention_mask' ? 1 : 0);
      return [name, nd(shape, rows === undefined ? missing : (rows.flat(2) as number[]))];
    }),
  );
}

/** Every output of a file against transformers' of the same name. */
function expectOutputs(
  file: OnnxModel,
  batch: Partial<FixtureInputs>,
  expected: (name: string) => Float32Array | undefined,
  within = 1e-4,
): void {
  for (const [name, { data }] of runOnnx(file, feeds(file, batch)))
    expect(maxDifference(data, expected(name)!), name).toBeLessThan(within);
}

/** Products with weights, and lookups in them, are of integers: of a scale a column, or of one for a table. */
function expectQuantized(small: OnnxModel, file: OnnxModel): void {
  const weights = [...file.initializers].filter(([name]) => /\.(weight|transposed)$/.test(name));
  const floats = new Set(weights.map(([name]) => name));
  const readers = small.nodes.filter(({ op }) => op === 'MatMul' || op === 'Gather');
  expect(readers.flatMap(({ inputs }) => inputs.filter((name) => floats.has(name)))).toEqual([]);
  const quantized = weights.filter(([name]) => small.initializers.has(`${name}_quantized`));
  expect(quantized.length).toBeGreaterThan(5);
  for (const [name, { data, shape }] of quantized) {
    const part = (suffix: string) => small.initializers.get(`${name}_${suffix}`)!;
    const [values, scale, zero] = [part('quantized'), part('scale'), part('zero_point')];
    expect(values.type).toBe('int8');
    const table = file.nodes.some(({ op, inputs }) => op === 'Gather' && inputs[0] === name);
    expect([scale.shape, zero.shape]).toEqual(table ? [[], []] : [[shape[1]], [shape[1]]]);
    expect(zero.data.every((one) => one === 0)).toBe(true);
    const largest = scale.data.map(() => 0);
    const off = data.map((value, at) => {
      const group = at % scale.data.length;
      largest[group] = Math.max(largest[group]!, Math.abs(values.data[at]!));
      return Math.abs(values.data[at]! - value / scale.data[group]!);
    });
    expect(Math.max(...off)).toBeLessThanOrEqual(0.5001);
    expect(largest.every((one) => one === 127)).toBe(true);
  }
}

describe.each(families)('%s', (family) => {
  const tasks = Object.entries({ ...tasksOf(family), base: AutoModel });
  it.each(tasks)('%s', async (task, auto) => {
    const fixture = `${models}${family}-${task}`;
    const model = await auto.fromPretrained(fixture, { device: device.current });
    const before = liveBesideTables(model);
    await exportOnnx(model, folder);
    expect(liveBesideTables(model)).toBe(before);
    model.dispose();
    const [file, half] = [await exported(), await exported('model_fp16')];
    const small = await exported('model_quantized');
    expect(file.opsets).toEqual({ '': 17 });
    expect(file.irVersion).toBe(8);
    expect({ inputs: file.inputs, outputs: file.outputs }).toMatchSnapshot();
    for (const { inputs, outputs } of [half, small])
      expect({ inputs, outputs }).toEqual({ inputs: file.inputs, outputs: file.outputs });
    for (const [name, { data, type }] of file.initializers) {
      const rounded = half.initializers.get(name)!;
      expect(rounded.type).toBe(type === 'float32' ? 'float16' : type);
      // Constants that stand for infinity are the largest of their type.
      const wanted = Array.from(data, (value) => Math.min(Math.max(value, -65_504), 65_504));
      const halves = float16ToFloat32(float32ToFloat16(Float32Array.from(wanted)));
      expect([...rounded.data]).toEqual(type === 'float32' ? [...halves] : wanted);
    }
    const { inputs } = await readJson<{ inputs: FixtureInputs }>(`${fixture}/expected.json`);
    const tensors = await readTensors(`${fixture}/expected.safetensors`);
    const expected = (name: string) => tensors.get(`out.${name}`) ?? tensors.get(name);
    expectOutputs(file, inputs, expected);
    expectQuantized(small, file);
    expectOutputs(small, inputs, expected, 0.3);
  });

  it('batches at the edges', async () => {
    const fixture = `${models}${family}-single`;
    const model = await AutoModelForSequenceClassification.fromPretrained(fixture, {
      device: device.current,
    });
    await exportOnnx(model, folder, { dtypes: ['fp32'] });
    model.dispose();
    expect(await readdir(join(folder, 'onnx'))).toEqual(['model.onnx']);
    const file = await exported();
    const batches = await readJson<Record<string, { inputs: FixtureInputs }>>(`${fixture}/batches.json`);
    const tensors = await readTensors(`${fixture}/batches.safetensors`);
    for (const [name, { inputs }] of Object.entries(batches))
      expectOutputs(file, inputs, (output) => tensors.get(`${name}.${output}`));
  });
});

describe('of a file, texts of any length', () => {
  const sizes = {
    vocabSize: 61,
    hiddenSize: 12,
    numHiddenLayers: 2,
    numAttentionHeads: 2,
    intermediateSize: 8,
  };
  const kinds: [ModelType, object][] = [
    ['mpnet', { maxPositionEmbeddings: 160 }],
    ['modernbert', { maxPositionEmbeddings: 160, localAttention: 6, globalAttnEveryNLayers: 2 }],
    [
      'deberta-v2',
      {
        maxPositionEmbeddings: 40,
        relativeAttention: true,
        positionBuckets: 8,
        positionBiasedInput: false,
        posAttType: ['c2p', 'p2c'],
      },
    ],
    ['deberta-v2', { maxPositionEmbeddings: 160, relativeAttention: true, posAttType: ['p2c'] }],
    ['bert', { maxPositionEmbeddings: 160, positionEmbeddingType: 'relative_key_query' }],
  ];
  const make = (family: ModelType, more: object) =>
    AutoModelForSequenceClassification.fromConfig(
      makeConfig(family, { ...sizes, padTokenId: 1, initializerRange: 0.3, ...more }),
      { device: device.current },
    );

  it.each(kinds)('are what the model computes: %s %o', async (family, more) => {
    device.current.manualSeed(3);
    const model = await make(family, more);
    model.eval();
    await exportOnnx(model, folder, { dtypes: ['fp32'] });
    const file = await exported();
    for (const length of [1, 2, 9, 150]) {
      const shown = Math.ceil(length / 2);
      const row = (at: number) => Array.from({ length }, (_, i) => 2 + ((i * 7 + at) % 50));
      const batch = {
        input_ids: [row(0), row(5).fill(1, shown)],
        attention_mask: [new Array<number>(length).fill(1), new Array<number>(length).fill(1).fill(0, shown)],
      };
      using _scope = device.current.scope();
      const logits = await model.forward(modelInputs(device.current, batch)).logits.float32Data();
      expectOutputs(file, batch, () => logits);
    }
    model.dispose();
  });

  it.each([kinds[1]!, kinds[4]!])('are refused beyond the longest: %s', async (family, more) => {
    const model = await make(family, { ...more, maxPositionEmbeddings: 12 });
    await exportOnnx(model, folder, { dtypes: ['fp32'] });
    model.dispose();
    const file = await exported();
    const run = (length: number) => runOnnx(file, feeds(file, { input_ids: [new Array(length).fill(5)] }));
    expect(run(12).size).toBe(1);
    expect(() => run(13)).toThrow('Gather: id');
  });
});

const bert = () =>
  AutoModelForSequenceClassification.fromPretrained(`${models}bert-single`, { device: device.current });

describe('a folder', () => {
  it('has the config, and the tokenizer if one is given', async () => {
    const model = await bert();
    const tokenizer = await AutoTokenizer.fromPretrained(`${fixtures}tokenizers/bert-uncased`);
    await exportOnnx(model, folder, { tokenizer, dtypes: ['fp16'] });
    const names = ['config.json', 'onnx', ...tokenizer.fileNames].sort();
    expect((await readdir(folder)).sort()).toEqual(names);
    const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as {
      architectures: string[];
    };
    expect(config.architectures).toEqual(['BertForSequenceClassification']);
    await expect(exportOnnx(model, folder, { existing: 'refuse' })).rejects.toThrow('exists');
    model.dispose();
  });
});

describe('what a model computes', () => {
  class Doubled extends Linear {
    override forward(x: Tensor): Tensor {
      return scale(super.forward(x), 2, -1);
    }
  }

  it('is what the file has: layers that were replaced, and nothing of training', async () => {
    const model = await bert();
    const { classifier } = model as unknown as { classifier: Linear };
    const doubled = new Doubled(device.current, model.config.hiddenSize, model.config.numLabels);
    for (const name of ['weight', 'bias'] as const) doubled[name]!.write(await classifier[name]!.data());
    classifier.dispose();
    Object.assign(model, { classifier: doubled });
    model.train();
    model.base.eval();
    await exportOnnx(model, folder);
    expect([model.training, model.base.training, doubled.training]).toEqual([true, false, true]);
    const { inputs } = await readJson<{ inputs: FixtureInputs }>(`${models}bert-single/expected.json`);
    model.eval();
    using _scope = device.current.scope();
    const logits = await model.forward(modelInputs(device.current, inputs)).logits.float32Data();
    expectOutputs(await exported(), inputs, () => logits);
    model.dispose();
  });

  class Strange extends Linear {
    constructor(
      hiddenSize: number,
      private readonly strange: (y: Tensor) => Tensor,
    ) {
      super(device.current, hiddenSize, 2);
    }

    override forward(x: Tensor): Tensor {
      return this.strange(super.forward(x));
    }
  }

  /** [batch, 2] → [batch, 2], by operations that no family has. */
  const others: Record<string, (y: Tensor) => Tensor> = {
    comparisons: (y) =>
      [eq, ne, lt, le, gt, ge]
        .map((compare, at) => where(compare(y, y.device.tensor([0.25 * at, 0])), scale(y, at + 1), 0.5))
        .reduce((a, b) => add(a, b)),
    functions: (y) =>
      [log(add(pow(y, 2), y.device.ones([]))), sqrt(abs(y)), clamp(y, { min: -0.1, max: 0.2 })].reduce(
        (a, b) => add(a, b),
      ),
    limits: (y) => sub(clamp(y, { max: 0.1 }), clamp(y, { min: -0.1 })),
    'larger and smaller': (y) => {
      const fixed = y.device.tensor([0.1, -0.1]);
      return add(pow(abs(maximum(y, fixed)), fixed), scale(minimum(y, fixed), 3));
    },
    extremes: (y) => add(sub(scale(y, 2), amax(y, 1, true)), mul(amin(y, -1, true), y)),
    positions: (y) => {
      const best = argmax(y, 1, true);
      return add(where(eq(best, argmin(y)), y, scale(y, 3)), where(gt(best, 0), 1, y));
    },
    'extremes with their positions': (y) => {
      const [largest, smallest] = [max(y, -1, true), min(y, 0)];
      const first = max(stack([y, scale(y, -1)], 1), 2).values;
      return [mul(largest.values, y), scale(smallest.values, 2), where(largest.indices, y, first)].reduce(
        (a, b) => add(a, b),
      );
    },
    joining: (y) => {
      const doubled = cat([y, scale(y, 2), scale(y, 3)], 1);
      return add(narrow(doubled, 1, 1, 2), select(stack([y, scale(y, 5)], 1), 1, 1));
    },
    means: (y) => add(scale(y, 2), mean(y, 1, true)),
  };
  it.each(Object.entries(others))('is what the file has: %s', async (_, other) => {
    const model = await bert();
    const { classifier } = model as unknown as { classifier: Linear };
    const strange = new Strange(model.config.hiddenSize, other);
    classifier.dispose();
    Object.assign(model, { classifier: strange });
    await exportOnnx(model, folder);
    const { inputs } = await readJson<{ inputs: FixtureInputs }>(`${models}bert-single/expected.json`);
    using _scope = device.current.scope();
    const logits = await model.forward(modelInputs(device.current, inputs)).logits.float32Data();
    expectOutputs(await exported(), inputs, () => logits);
    model.dispose();
  });

  const strangers: Record<string, [(y: Tensor) => Tensor, string]> = {
    'an operation without a counterpart': [
      (y) => dropout(y, 0.5),
      "the operation 'dropout' has no counterpart",
    ],
    'values made for a size': [
      (y) => mul(y, device.current.tensor(Float32Array.of(y.shape[0]!), [1])),
      'a table that is computed for the length',
    ],
    'a size that is no product': [
      (y) => add(y, device.current.zeros([2 * y.shape[0]! - 1, 1, 1])),
      'a size depends on the length',
    ],
    'other operations': [(y) => (y.shape[0] === 2 ? y : scale(y, 2)), 'other lengths of the text take other'],
  };
  it.each(Object.entries(strangers))('is refused: %s', async (_, [strange, message]) => {
    const model = await bert();
    (model as unknown as { classifier: Linear }).classifier.dispose();
    Object.assign(model, { classifier: new Strange(model.config.hiddenSize, strange) });
    const before = device.current.statistics().live;
    await expect(exportOnnx(model, folder)).rejects.toThrow(`BertForSequenceClassification: ${message}`);
    expect(device.current.statistics().live).toBe(before);
    model.dispose();
  });

  it('is refused where float16 cannot hold a weight', async () => {
    const model = await bert();
    const { classifier } = model as unknown as { classifier: Linear };
    classifier.bias!.write(Float32Array.of(70_000));
    await expect(exportOnnx(model, folder)).rejects.toThrow(
      "weight 'classifier.bias' has a value beyond ±65504",
    );
    expect(await readdir(folder)).toEqual([]);
    model.dispose();
  });
});

it('refuses a file that protobuf could not read, before it reads a weight', async () => {
  const graph = new Graph('float32');
  const read = async () => expect.unreachable();
  const weight = graph.weight({ name: 'w', shape: [2 ** 15, 2 ** 14], type: 'float32', read });
  graph.output('logits', weight);
  const port = { name: 'logits', type: 'float32', shape: [2 ** 15, 2 ** 14] } as const;
  const sink = { write: async () => expect.unreachable() };
  await expect(graph.write(sink, 'Large', [], [port])).rejects.toThrow(
    /^Large: 21\d+ bytes in float32 .* · export fp16 or q8 only/,
  );
});

it('refuses unknown options', async () => {
  const model = await bert();
  const wrong = [{ dtype: 'fp32' }, { dtypes: [] }, { dtypes: ['q4'] }] as object[];
  for (const options of wrong)
    await expect(exportOnnx(model, folder, options)).rejects.toThrowErrorMatchingSnapshot();
  model.dispose();
});
