/** What the page's worker tells about a finished training. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DeviceLostError } from '../../src/errors.ts';
import { AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import { requestDevice } from '../../src/tensor/device.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import { AutoTokenizer } from '../../src/text/auto.ts';
import type { EvaluationRow, LiveRun } from '../../web/src/contract.ts';
import { attribute } from '../../web/src/inspect/attribution.ts';
import { type Inspector, inspectorOf } from '../../web/src/inspect/inspector.ts';
import { type Kind, outputsOf } from '../../web/src/inspect/predictions.ts';
import { recovering } from '../../web/src/inspect/recovering.ts';
import { mistakesOf, scoresOf } from '../../web/src/inspect/scores.ts';
import { piecesOf, tokensOf } from '../../web/src/inspect/tokens.ts';
import { useDevice } from '../support/device.ts';
import { families } from '../support/families.ts';
import {
  type FixtureInputs,
  fixtures,
  type Ids,
  maxDifference,
  models,
  readJson,
  readTensors,
  relativeError,
} from '../support/fixtures.ts';

const device = useDevice();
const examples = new URL('../../examples/sentiment/model', import.meta.url).pathname;

describe('attribution', () => {
  it.each(families)('%s: gradient × embedding of each class as PyTorch gives it', async (family) => {
    const folder = `${models}${family}-single`;
    const { inputs } = await readJson<{ inputs: FixtureInputs }>(`${folder}/embeds.json`);
    const expected = await readTensors(`${folder}/embeds.safetensors`);
    const model = await AutoModelForSequenceClassification.fromPretrained(folder, { device: device.current });
    model.train();
    model.parameters()[0]!.requiresGrad = false;
    const wanted = model.parameters().map(({ requiresGrad }) => requiresGrad);
    for (const [row, length] of [9, 5].entries()) {
      const own = (rows: Ids) => rows[row]!.slice(-length);
      const encoding = {
        inputIds: own(inputs.input_ids as Ids),
        tokenTypeIds: own((inputs.token_type_ids ?? [[], []]) as Ids)
          .concat(new Array<number>(length).fill(0))
          .slice(0, length),
      };
      const all: number[] = [];
      for (const output of [0, 1, 2]) all.push(...(await attribute(model, encoding, output)));
      expect(relativeError(all, expected.get(`attribution.${row}`)!)).toBeLessThan(1e-3);
    }
    expect(model.training).toBe(true);
    expect(model.parameters().map(({ requiresGrad }) => requiresGrad)).toEqual(wanted);
    expect(model.parameters().every(({ grad }) => grad === null)).toBe(true);
    model.dispose();
  });
});

const one = (width: number): Kind => ({ problemType: 'single_label_classification', width });
const many = (width: number): Kind => ({ problemType: 'multi_label_classification', width });
const value: Kind = { problemType: 'regression', width: 1 };
const labelled = (labels: readonly EvaluationRow['label'][]): EvaluationRow[] =>
  labels.map((label, row) => ({ text: `text ${row}`, label }));

describe('scores', () => {
  it('of classes', () => {
    const rows = labelled([0, 0, 1, 1, 1]);
    const logits = Float32Array.of(2, 1, 0, 0, 3, 0, 0, 1, 0, 0, 2, 1, 4, 0, 0);
    expect(scoresOf(one(3), ['a', 'b', 'c'], rows, logits)).toMatchObject({
      kind: 'classes',
      rows: 5,
      accuracy: 3 / 5,
      // A class without rows has no curve.
      rocAuc: null,
      classes: [
        { name: 'a', rows: 2, precision: 1 / 2, recall: 1 / 2, f1: 1 / 2 },
        { name: 'b', rows: 3, precision: 2 / 3, recall: 2 / 3, f1: 2 / 3 },
        { name: 'c', rows: 0, precision: 0, recall: 0, f1: 0 },
      ],
      // As scikit-learn's, of the classes that occur.
      macro: {
        precision: expect.closeTo(7 / 12),
        recall: expect.closeTo(7 / 12),
        f1: expect.closeTo(7 / 12),
      },
      confusion: [
        [1, 1, 0],
        [1, 2, 0],
        [0, 0, 0],
      ],
    });
  });

  it('of rows with several classes', () => {
    const rows = labelled([
      [1, 0],
      [1, 1],
      [0, 0],
    ]);
    const scores = scoresOf(many(2), ['a', 'b'], rows, Float32Array.of(1, -1, -2, 3, 4, -1));
    expect(scores).toMatchObject({
      kind: 'sets',
      accuracy: 1 / 3,
      classes: [
        { name: 'a', rows: 2, precision: 1 / 2, recall: 1 / 2, f1: 1 / 2 },
        { name: 'b', rows: 1, precision: 1, recall: 1, f1: 1 },
      ],
      micro: { precision: 2 / 3, recall: 2 / 3, f1: 2 / 3 },
      macro: { precision: 3 / 4, recall: 3 / 4, f1: 3 / 4 },
    });
  });

  it('of values', () => {
    const scores = scoresOf(value, ['value'], labelled([1, 2, 3]), Float32Array.of(1, 2, 5));
    expect(scores).toMatchObject({
      kind: 'values',
      rows: 3,
      mse: 4 / 3,
      mae: 2 / 3,
      spearman: expect.closeTo(1),
    });
    expect(scores).toHaveProperty('pearson', expect.closeTo(4 / Math.sqrt(2 * (26 / 3))));
    expect(scores).toHaveProperty('points', [
      [1, 1],
      [2, 2],
      [3, 5],
    ]);
  });

  it('of no rows', () => {
    expect(scoresOf(one(2), ['a', 'b'], [], new Float32Array())).toBeNull();
  });

  it('does not take a broken model for a class', () => {
    const broken = Float32Array.of(Number.NaN, 1);
    expect(() => scoresOf(one(2), ['a', 'b'], labelled([0]), broken)).toThrow('not finite');
  });
});

describe('mistakes', () => {
  it('of classes, the surest first', () => {
    const rows = [{ ...labelled([0])[0]!, pair: 'its pair' }, ...labelled([1, 1, 0])];
    const outputs = [0.4, 0.6, 0.1, 0.9, 0.8, 0.2, 0.45, 0.55];
    expect(mistakesOf(one(2), ['bad', 'good'], rows, outputs, 2)).toEqual({
      count: 3,
      worst: [
        { text: 'text 1', label: 'good', predicted: 'bad', error: 0.8 },
        { text: 'text 0', pair: 'its pair', label: 'bad', predicted: 'good', error: 0.6 },
      ],
    });
  });

  it('of rows with several classes, by the decision that is most wrong', () => {
    const rows = labelled([
      [1, 1],
      [0, 0],
      [1, 0],
    ]);
    const outputs = [0.9, 0.3, 0.6, 0.95, 0.9, 0.1];
    expect(mistakesOf(many(2), ['a', 'b'], rows, outputs, 5)).toEqual({
      count: 2,
      worst: [
        { text: 'text 1', label: 'none', predicted: 'a, b', error: 0.95 },
        { text: 'text 0', label: 'a, b', predicted: 'a', error: 0.7 },
      ],
    });
  });

  it('of values, the farthest first', () => {
    const { count, worst } = mistakesOf(value, ['value'], labelled([1, 2]), [1.5, 0.12345], 1);
    expect(count).toBe(2);
    expect(worst).toEqual([
      { text: 'text 1', label: '2', predicted: '0.1235', error: expect.closeTo(1.87655) },
    ]);
  });
});

describe('pieces of a text', () => {
  it.each(['bert-uncased', 'roberta', 'xlm-roberta', 'albert'])('have all of it: %s', async (name) => {
    const tokenizer = await AutoTokenizer.fromPretrained(`${fixtures}tokenizers/${name}`);
    const { texts: strings } = await readJson<{ texts: string[] }>(`${fixtures}tokenizers/strings.json`);
    let shared = 0;
    for (const [at, first] of strings.entries()) {
      const texts = at % 2 === 0 ? [first] : [first, strings[at - 1]!];
      const encoding = tokenizer.encode(texts[0]!, texts[1]);
      const tokens = tokensOf(encoding, (id) => tokenizer.convertIdsToTokens([id])[0]!);
      const pieces = piecesOf(tokens, texts);
      for (const [part, text] of texts.entries()) {
        const own = pieces.filter((piece) => piece.part === part);
        // A text without a token has no place among the tokens.
        if (own.length > 0) expect(own.map((piece) => piece.text).join('')).toBe(text);
      }
      expect(pieces.flatMap((piece) => piece.tokens)).toEqual([...tokens.keys()]);
      shared += pieces.filter((piece) => piece.tokens.length > 1).length;
    }
    if (name === 'roberta') expect(shared).toBeGreaterThan(0);
  });

  it('name special tokens, and keep what was cut', async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(examples);
    const text = 'The film was  good, and long';
    const encoding = tokenizer.encode(text, undefined, { truncation: true, maxLength: 7 });
    const tokens = tokensOf(encoding, (id) => tokenizer.convertIdsToTokens([id])[0]!);
    const pieces = piecesOf(tokens, [text]);
    expect(pieces.map((piece) => piece.text)).toEqual([
      '[CLS]',
      'The',
      ' ',
      'film',
      ' ',
      'was',
      '  ',
      'good',
      ',',
      ' and long',
      '[SEP]',
    ]);
    expect(pieces.filter(({ part }) => part === null).map((piece) => piece.tokens)).toEqual([[0], [6]]);
  });
});

describe('a finished training', () => {
  let live: LiveRun;
  let inspector: Inspector;
  const rows = [
    { text: 'The film was good.', label: 0 },
    { text: 'The film was bad.', label: 1 },
    { text: 'Nothing was damaged, and it was cheap.', label: 1 },
  ];
  beforeAll(async () => {
    const model = await AutoModelForSequenceClassification.fromPretrained(examples, {
      device: device.current,
      id2label: { 0: 'bad', 1: 'good', 2: 'so-so' },
    });
    live = {
      run: {
        modelPath: examples,
        modelName: 'example',
        problemType: 'single_label_classification',
        labels: ['bad', 'good', 'so-so'],
        pairs: false,
        maxLength: 16,
        trainRows: 1,
        evaluationRows: rows.length,
        seconds: 1,
        steps: 1,
        restoredStep: null,
        log: [],
      },
      model: model.eval(),
      tokenizer: await AutoTokenizer.fromPretrained(examples),
      rows,
    };
    inspector = inspectorOf(live);
  });
  afterAll(() => live.model.dispose());

  it('is scored on the rows held out', async () => {
    const scores = await inspector.scores();
    const { count, worst } = await inspector.mistakes(10);
    if (scores?.kind !== 'classes') throw new Error('no classes');
    expect(scores.rows).toBe(3);
    expect(count).toBe(Math.round((1 - scores.accuracy) * 3));
    for (const { text, predicted, error } of worst) {
      const outputs = await inspector.predict(text);
      expect(error).toBeCloseTo(Math.max(...outputs), 5);
      expect(live.run.labels[outputs.indexOf(Math.max(...outputs))]).toBe(predicted);
    }
  });

  it('explains the most probable class, or another', async () => {
    const text = 'The film was good.';
    const found = await inspector.explain(text);
    expect(found.tokens.map(({ name }) => name)).toEqual([
      '[CLS]',
      'the',
      'film',
      'was',
      'good',
      '.',
      '[SEP]',
    ]);
    expect(found.outputs).toEqual(await inspector.predict(text));
    expect(found.outputs[found.output]).toBe(Math.max(...found.outputs));
    expect(found.cut).toBe(false);
    expect(found.shares.length).toBe(7);
    const other = (found.output + 1) % 3;
    const against = await inspector.explain(text, undefined, other);
    expect(against.output).toBe(other);
    expect(against.shares).not.toEqual(found.shares);
    expect(await inspector.explain(text)).toEqual(found);
    await expect(inspector.explain(text, undefined, 3)).rejects.toThrow('there is no output 3 · use 0 to 2');
  });

  it('explains pairs, and says that a text was cut', async () => {
    const { tokens, shares } = await inspector.explain('one two', 'three');
    expect(tokens.map(({ part }) => part).filter((part) => part === 1).length).toBeGreaterThan(0);
    expect(tokens.at(-1)).toEqual({ name: '[SEP]', part: null, start: 0, end: 0 });
    expect(shares.length).toBe(tokens.length);
    const long = await inspector.explain('good '.repeat(30));
    expect(long.cut).toBe(true);
    expect(long.tokens.length).toBe(16);
  });

  it('shows the attention of a layer', async () => {
    const text = 'The film was good.';
    const { weights, layers, heads, layer, tokens } = await inspector.attention(text, undefined, 1);
    const { numHiddenLayers, numAttentionHeads } = live.model.config;
    expect([layers, heads, layer, tokens.length]).toEqual([numHiddenLayers, numAttentionHeads, 1, 7]);
    using _scope = device.current.scope();
    const ids = live.tokenizer.encode(text).inputIds;
    const inputIds = device.current.tensor(Int32Array.from(ids), [1, 7]);
    const { attentions } = noGrad(() => live.model.forward({ inputIds, outputAttentions: true }));
    expect(maxDifference(weights, await attentions![1]!.float32Data())).toBeLessThan(1e-6);
    await expect(inspector.attention(text, undefined, layers)).rejects.toThrow(`use 0 to ${layers - 1}`);
  });

  it('answers several questions at once', async () => {
    const text = 'Nothing was damaged.';
    const ask = () =>
      [
        inspector.explain(text),
        inspector.attention(text, undefined, 0),
        inspector.predict(text),
        inspector.explain(text, undefined, 1),
      ] as const;
    const together = await Promise.all(ask());
    const alone: unknown[] = [];
    alone.push(await inspector.explain(text));
    alone.push(await inspector.attention(text, undefined, 0));
    alone.push(await inspector.predict(text));
    alone.push(await inspector.explain(text, undefined, 1));
    expect(together).toEqual(alone);
  });

  it('compiles many kernels at once before an explanation, and none on its way', async () => {
    let ahead = 0;
    const other = await requestDevice({
      onCompile: ({ compiled, total }) => {
        if (compiled === total) ahead += total;
      },
    });
    const model = await AutoModelForSequenceClassification.fromPretrained(examples, {
      device: other,
      id2label: live.model.config.id2label,
    });
    const fresh = inspectorOf({ ...live, model: model.eval() });
    const before = other.statistics().pipelines;
    await fresh.scores();
    await fresh.explain('The film was good.');
    await fresh.attention('The film was good.', undefined, 0);
    expect(ahead).toBeGreaterThan(20);
    expect(other.statistics().pipelines - before).toBe(ahead);
    other.destroy();
  });

  it('is asked again, once for all, when a GPU is lost', async () => {
    const lost = async () => {
      throw new DeviceLostError('gone');
    };
    let current: Inspector = { ...inspector, predict: lost, explain: lost };
    let recovered = 0;
    const safe = recovering(
      () => current,
      async () => {
        recovered += 1;
        if (recovered === 1) throw new Error('not yet');
        current = inspector;
      },
    );
    const text = 'The film was good.';
    await expect(safe.predict(text)).rejects.toThrow('not yet');
    const [outputs] = await Promise.all([safe.predict(text), safe.explain(text)]);
    expect(outputs).toEqual(await inspector.predict(text));
    expect(recovered).toBe(2);
    // Other errors are told.
    await expect(safe.attention(text, undefined, 9)).rejects.toThrow('there is no layer 9');
  });

  it('gives values and sets as they are', () => {
    expect(outputsOf(value, Float32Array.of(1.5, -2))).toEqual([1.5, -2]);
    expect(outputsOf(many(2), Float32Array.of(0, 100))).toEqual([0.5, 1]);
    expect(outputsOf(one(2), Float32Array.of(1, 1, 0, 0))).toEqual([0.5, 0.5, 0.5, 0.5]);
  });
});
