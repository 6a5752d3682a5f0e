/** Which tensor of a file is which weight, as transformers decides and reports it. */
import { describe, expect, it } from 'vitest';
import { formatLoadReport, mapWeights } from '../../src/models/files/weight-names.ts';
import { fixtures, readJson } from '../support/fixtures.ts';

interface Names {
  models: Record<string, { prefix: string; expected: string[]; ties: string[][] }>;
  files: Record<string, string[]>;
  cases: { file: string; model: string; missing: string[]; unexpected: string[] }[];
}
const names = await readJson<Names>(`${fixtures}weights/names.json`);

describe('mapWeights', () => {
  it.each(names.cases)('$file, to $model', ({ file, model, missing, unexpected }) => {
    const { prefix, expected, ties } = names.models[model]!;
    const mapping = mapWeights(expected, names.files[file]!, prefix, ties);
    expect([...mapping.missing].sort()).toEqual(missing);
    expect([...mapping.unexpected].sort()).toEqual(unexpected);
    const covered = new Set([...mapping.found.keys(), ...mapping.missing, ...ties.flat()]);
    expect(covered).toEqual(new Set(expected));
  });

  it('finds an old name behind a prefix, both ways', () => {
    const old = 'bert.embeddings.LayerNorm.gamma';
    expect(mapWeights(['embeddings.LayerNorm.weight'], [old], 'bert', []).found).toEqual(
      new Map([['embeddings.LayerNorm.weight', old]]),
    );
    const bare = 'embeddings.LayerNorm.beta';
    expect(mapWeights(['bert.embeddings.LayerNorm.bias'], [bare], 'bert', []).found).toEqual(
      new Map([['bert.embeddings.LayerNorm.bias', bare]]),
    );
  });

  it('leaves names alone that only contain gamma or beta', () => {
    const names = ['gamma_ray.weight', 'alphabeta'];
    expect(mapWeights(names, names, 'bert', [])).toMatchObject({ missing: [], unexpected: [] });
  });

  it('takes a tied weight from whichever of its names the file has', () => {
    const ties = [['bert.embeddings.word_embeddings.weight', 'cls.predictions.decoder.weight']];
    for (const name of ties[0]!) {
      const mapping = mapWeights(ties[0]!, [name], 'bert', ties);
      expect(mapping).toMatchObject({ missing: [], unexpected: [] });
      expect(mapping.found).toEqual(new Map([[name, name]]));
    }
    expect(mapWeights(ties[0]!, [], 'bert', ties).missing).toEqual(ties[0]);
  });

  it('takes the name as it stands before an old or a prefixed one', () => {
    const keys = ['a.LayerNorm.gamma', 'a.LayerNorm.weight', 'bert.a.LayerNorm.weight'];
    expect(mapWeights(['a.LayerNorm.weight'], keys, 'bert', []).found.get('a.LayerNorm.weight')).toBe(
      'a.LayerNorm.weight',
    );
    expect(
      mapWeights(['a.LayerNorm.weight'], keys.toReversed(), 'bert', []).found.get('a.LayerNorm.weight'),
    ).toBe('a.LayerNorm.weight');
  });
});

describe('formatLoadReport', () => {
  it('lists each key with its status', () => {
    expect(
      formatLoadReport('some/bert', {
        missing: ['classifier.weight'],
        unexpected: ['cls.predictions.bias'],
        mismatched: [{ name: 'score.bias', checkpoint: [3], model: [7] }],
        untied: [{ name: 'cls.predictions.decoder.bias', from: 'cls.predictions.bias' }],
      }),
    ).toMatchInlineSnapshot(`
      "Weights of some/bert:
        missing     classifier.weight
        unexpected  cls.predictions.bias
        mismatched  score.bias: [3] → [7], drawn anew
        untied      cls.predictions.decoder.bias: its values are not those of cls.predictions.bias
      Missing weights were drawn anew: train the model before you rely on it.
      Unexpected tensors were not used.
      The config says tie_word_embeddings; untied weights have values of their own, which were taken."
    `);
  });

  it('is empty where everything fits', () => {
    expect(formatLoadReport('x', { missing: [], unexpected: [], mismatched: [], untied: [] })).toBe('');
  });
});
