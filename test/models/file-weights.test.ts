/** Names and parts that files have for a model's weights: renamed, kept apart, loaded and saved again. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AutoConfig } from '../../src/models/auto.ts';
import { bert } from '../../src/models/bert.ts';
import { EncoderModel } from '../../src/models/common/base-model.ts';
import type { PretrainedConfig } from '../../src/models/common/config.ts';
import { Embeddings } from '../../src/models/common/embeddings.ts';
import { type LoadReport, loadPretrained } from '../../src/models/files/load.ts';
import { fileWeights, moduleName, type NameRule } from '../../src/models/files/weight-names.ts';
import type { Device } from '../../src/tensor/device.ts';
import { useDevice } from '../support/device.ts';
import { readTensors } from '../support/fixtures.ts';

const device = useDevice();
let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
});
afterAll(() => rm(scratch, { recursive: true }));

describe('a rule', () => {
  const names: NameRule[] = [
    ['attention.output.dense', 'attention.out_lin'],
    ['output.dense', 'ffn.lin2'],
    ['encoder', 'transformer'],
  ];

  it.each([
    ['encoder.layer.1.attention.output.dense.bias', 'transformer.layer.1.attention.out_lin.bias'],
    ['x.encoder.layer.1.output.dense.bias', 'x.transformer.layer.1.ffn.lin2.bias'],
    ['output.dense', 'ffn.lin2'],
    ['output.dense_2', 'output.dense_2'],
    ['my_output.dense', 'my_output.dense'],
    ['encoders.weight', 'encoders.weight'],
  ])('%s is %s', (path, file) => {
    expect(moduleName(path, names)).toBe(file);
  });

  it('may apply to what another one made', () => {
    const chain: NameRule[] = [
      ['self.qkv', ['self.query', 'self.key', 'self.value']],
      ['self.key', 'k_lin'],
    ];
    using _scope = device.current.scope();
    const weight = device.current.empty([6, 2]);
    const parts = fileWeights(new Map([['0.self.qkv.weight', weight]]), chain);
    expect([...parts].map(([name, { path, shape, offset }]) => [name, path, shape, offset])).toEqual([
      ['0.self.query.weight', '0.self.qkv.weight', [2, 2], 0],
      ['0.k_lin.weight', '0.self.qkv.weight', [2, 2], 4],
      ['0.self.value.weight', '0.self.qkv.weight', [2, 2], 8],
    ]);
    expect(moduleName('0.self.qkv.weight', chain)).toBe('0.self.qkv.weight');
  });
});

class Renamed extends EncoderModel {
  constructor(config: PretrainedConfig, where: Device) {
    const names: NameRule[] = [
      ['pooler.dense', ['pooler.upper', 'pooler.lower']],
      ['embeddings.LayerNorm', 'norm'],
    ];
    super(config, { device: where }, { prefix: 'x', config: bert.config, names, Embeddings });
  }
}

describe('a model whose files have other names', () => {
  const config = AutoConfig.forModel('bert', {
    vocabSize: 7,
    hiddenSize: 4,
    numHiddenLayers: 1,
    numAttentionHeads: 1,
    intermediateSize: 4,
    maxPositionEmbeddings: 5,
  });

  it('is saved under them and loaded again', async () => {
    const model = new Renamed(config, device.current);
    model.initWeights();
    const [dense, norm] = [model.pooler!.dense, model.embeddings.LayerNorm];
    dense.weight.write(Float32Array.from({ length: 16 }, (_, i) => i));
    norm.weight.write(Float32Array.of(1, 2, 3, 4));
    expect(model.stateDict().get('norm.weight')).toBe(norm.weight);
    expect(model.namedParameters().some(([name]) => name === 'norm.bias')).toBe(true);
    await model.savePretrained(join(scratch, 'saved'));
    const tensors = await readTensors(join(scratch, 'saved/model.safetensors'));
    expect(tensors.get('pooler.upper.weight')).toEqual(Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7));
    expect(tensors.get('pooler.lower.weight')).toEqual(Float32Array.of(8, 9, 10, 11, 12, 13, 14, 15));
    expect(tensors.get('norm.weight')).toEqual(Float32Array.of(1, 2, 3, 4));
    expect([...tensors.keys()].filter((name) => /dense|LayerNorm/.test(name))).not.toContain(
      'pooler.dense.weight',
    );

    const reports: LoadReport[] = [];
    const loaded = await loadPretrained(join(scratch, 'saved'), (c, where) => new Renamed(c, where), {
      device: device.current,
      onReport: (report) => void reports.push(report),
    });
    expect(reports).toMatchObject([{ missing: [], unexpected: [], text: '' }]);
    const before = await Promise.all(model.parameters().map((tensor) => tensor.float32Data()));
    expect(await Promise.all(loaded.parameters().map((tensor) => tensor.float32Data()))).toEqual(before);
    for (const each of [model, loaded]) each.dispose();
  });
});
