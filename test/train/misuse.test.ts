/** Mistakes that plain JavaScript and the user's own code can make. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dataCollatorForTokenClassification, dataCollatorWithPadding } from '../../src/data/collate.ts';
import type { Dataset, Example } from '../../src/data/dataset.ts';
import { ConfigError, DataError, TokenizerError, UserCodeError } from '../../src/errors.ts';
import { AutoTokenizer } from '../../src/text/auto.ts';
import type { TrainerCallback } from '../../src/train/callbacks.ts';
import type { Trainer } from '../../src/train/trainer.ts';
import { useDevice } from '../support/device.ts';
import { fixtures } from '../support/fixtures.ts';
import { type TinySetup, tinyTrainer, useFolders } from '../support/trainer.ts';

const device = useDevice();
const freshFolder = useFolders();
const make = (setup?: TinySetup, folder = freshFolder()): Promise<Trainer> =>
  tinyTrainer(device.current, folder, setup);

/** The error that a training with these settings throws. */
async function thrown(setup: TinySetup): Promise<Error & { cause?: unknown }> {
  const trainer = await make(setup);
  const error = await trainer.train().then(
    () => new Error('nothing was thrown'),
    (cause: Error) => cause,
  );
  trainer.model.dispose();
  return error;
}

/** A dataset whose second example is `odd`. */
function withOdd(odd: unknown): Dataset {
  const good: Example = { inputIds: [2, 9, 3], label: 1 };
  return { length: 3, get: (index) => (index === 1 ? (odd as Example) : good) };
}

describe('examples', () => {
  it.each<[string, unknown]>([
    ['a fraction', { inputIds: [2, 9.5, 3], label: 1 }],
    ['a string among ids', { inputIds: [2, '9', 3], label: 1 }],
    ['a text for ids', { inputIds: 'good', label: 1 }],
    ['null for ids', { inputIds: null, label: 1 }],
    ['a number for ids', { inputIds: 5, label: 1 }],
    ['a big integer for a label', { inputIds: [2, 9, 3], label: 1n }],
    ['no ids', { label: 1 }],
    ['NaN', { inputIds: [2, Number.NaN, 3], label: 1 }],
    ['a negative id', { inputIds: [2, -1, 3], label: 1 }],
    ['an id beyond 32 bits', { inputIds: [2, 2 ** 32 + 5, 3], label: 1 }],
    ['a hole', { inputIds: [2, undefined, 3], label: 1 }],
    ['more token types', { inputIds: [2, 9, 3], tokenTypeIds: [0, 0, 0, 0], label: 1 }],
    ['fewer token types', { inputIds: [2, 9, 3], tokenTypeIds: [0], label: 1 }],
    ['a token type that is a fraction', { inputIds: [2, 9, 3], tokenTypeIds: [0, 0.5, 0], label: 1 }],
    ['a promise', Promise.resolve({ inputIds: [2, 9, 3], label: 1 })],
    ['nothing', undefined],
    ['null', null],
    ['a text for a label', { inputIds: [2, 9, 3], label: '1' }],
    ['a class that is a fraction', { inputIds: [2, 9, 3], label: 0.5 }],
    ['a mask that leaves tokens out', { inputIds: [2, 9, 3], attentionMask: [1, 1, 0], label: 1 }],
    ['a shorter mask', { inputIds: [2, 9, 3], attentionMask: [1], label: 1 }],
    ['positions', { inputIds: [2, 9, 3], positionIds: [2, 1, 0], label: 1 }],
    ["Python's ids", { input_ids: [2, 9, 3], label: 1 }],
    ["Python's token types", { inputIds: [2, 9, 3], token_type_ids: [0, 1, 1], label: 1 }],
    ["Python's mask", { inputIds: [2, 9, 3], attention_mask: [1, 1, 0], label: 1 }],
    ["Python's labels", { inputIds: [2, 9, 3], labels: 1 }],
    ['large integers', { inputIds: BigInt64Array.of(2n, 9n), label: 1 }],
  ])('with %s are refused by name', async (_, odd) => {
    const error = await thrown({ trainDataset: withOdd(odd) });
    expect(error).toBeInstanceOf(DataError);
    expect(error.message).toMatchSnapshot();
  });

  it('of a class, or a token, that the model does not have are refused', async () => {
    for (const odd of [
      { inputIds: [2, 9, 3], label: 7 },
      { inputIds: [2, 100_000, 3], label: 1 },
    ])
      expect((await thrown({ trainDataset: withOdd(odd) })).name).toMatch(/^(DataError|ShapeError)$/);
  });

  it('may have ids in typed arrays', () => {
    const collate = dataCollatorWithPadding({ padTokenId: 0 });
    const inputIds = Int32Array.of(2, 9, 3) as unknown as number[];
    expect(collate([{ inputIds }], [0]).inputIds).toEqual(Int32Array.of(2, 9, 3));
  });

  it('may have what a tokenizer gives', async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(`${fixtures}tokenizers/bert-uncased`);
    const collate = dataCollatorWithPadding({ padTokenId: 0 });
    const examples = ['a', 'a b'].map((text) => tokenizer.encode(text));
    expect(collate(examples, [0, 1]).attentionMask).toEqual(Int32Array.of(1, 1, 1, 0, 1, 1, 1, 1));
  });

  it('whose labels of tokens are fractions are refused', () => {
    const collate = dataCollatorForTokenClassification({ padTokenId: 0 });
    expect(() => collate([{ inputIds: [2, 3], label: [0, 0.5] }], [4])).toThrow(
      'example 4: the label 0.5 is no class number',
    );
  });
});

describe('a dataset', () => {
  it.each<[string, unknown]>([
    ['a list', [{ inputIds: [2, 9, 3], label: 1 }]],
    ['one without get', { length: 3 }],
    ['one without a length', { get: () => ({ inputIds: [2, 9, 3], label: 1 }) }],
    ['null', null],
  ])('that is %s is refused before the training', async (_, odd) => {
    const dataset = odd as Dataset;
    await expect(make({ trainDataset: dataset })).rejects.toThrow(/^trainDataset (is a list|has no )/);
    await expect(make({ evalDataset: dataset })).rejects.toThrow(ConfigError);
  });
});

describe('callbacks', () => {
  class Misspelt {
    onEpochend(): void {}
  }
  class Later extends Misspelt {}
  it.each<[string, unknown, RegExp]>([
    ['a misspelt event', [{ onStepend: () => {} }], /no event 'onStepend' · did you mean onStepEnd/],
    ["Python's event", [{ on_step_end: () => {} }], /did you mean onStepEnd/],
    ['an event in small letters', [{ onstepend: () => {} }], /did you mean onStepEnd/],
    ['an event of a class', [new Misspelt()], /no event 'onEpochend' · there are onTrainBegin, /],
    ['an event of a class above', [new Later()], /no event 'onEpochend'/],
    ['an event that there is only in Python', [{ onPrediction: () => {} }], /no event 'onPrediction'/],
    ['a class', [Misspelt], /one is a function or a class/],
    ['null', [null], /one is null/],
    ['a value for an event', [{ onStepEnd: 5 }], /onStepEnd is no function/],
    ['no list', { onStepEnd: () => {} }, /callbacks is no list/],
  ])('that are %s are refused', async (_, callbacks, message) => {
    await expect(make({ callbacks: callbacks as TrainerCallback[] })).rejects.toThrow(message);
  });

  it('may have methods and fields of their own', async () => {
    class Mine implements TrainerCallback {
      onFire = false;
      once(): void {}
      helper(): void {}
      onStepEnd(): void {}
    }
    const { model } = await make({ callbacks: [new Mine()] });
    model.dispose();
  });
});

describe('ids to decode', () => {
  it.each([['a text'], [5], [null], [[1.5]], [['a']], [[[1]]]])('that are %j are refused', async (ids) => {
    const tokenizer = await AutoTokenizer.fromPretrained(`${fixtures}tokenizers/bert-uncased`);
    expect(() => tokenizer.decode(ids as unknown as number[])).toThrow(TokenizerError);
  });

  it('may be a typed array', async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(`${fixtures}tokenizers/bert-uncased`);
    const { inputIds } = tokenizer.encode('a');
    const typed = Int32Array.from(inputIds) as unknown as number[];
    expect(tokenizer.decode(typed)).toBe(tokenizer.decode(inputIds));
  });
});

describe('padding', () => {
  it.each([0, -8, 1.5, Number.NaN, '8'])('to a multiple of %s is refused', async (value) => {
    const padToMultipleOf = value as number;
    expect(() => dataCollatorWithPadding({ padTokenId: 0, padToMultipleOf })).toThrow(ConfigError);
    const tokenizer = await AutoTokenizer.fromPretrained(`${fixtures}tokenizers/bert-uncased`);
    expect(() => tokenizer.encodeBatch(['a'], { padToMultipleOf })).toThrow(/padToMultipleOf is/);
  });

  it.each([-1, 0.5, undefined, null])('with the token %s is refused', (value) => {
    expect(() => dataCollatorWithPadding({ padTokenId: value as number })).toThrow(ConfigError);
  });
});

describe('a text', () => {
  it.each([undefined, null, 3, {}, ['a', 'b', 'c']])('that is %s is refused', async (value) => {
    const tokenizer = await AutoTokenizer.fromPretrained(`${fixtures}tokenizers/bert-uncased`);
    expect(() => tokenizer.encode(value as string)).toThrow(TokenizerError);
    if (value !== undefined && value !== null)
      expect(() => tokenizer.encode('a', value as string)).toThrow(TokenizerError);
    if (!Array.isArray(value)) expect(() => tokenizer.encodeBatch([value as string])).toThrow(TokenizerError);
    expect(() => tokenizer.encodeBatch([[value as string, 'b']])).toThrow(TokenizerError);
  });
});

describe('two trainings at once', () => {
  it('of one trainer, of one model, or into one folder are refused', async () => {
    const folder = freshFolder();
    const trainer = await make({}, folder);
    const other = await make({}, `${folder}/`);
    const running = trainer.train();
    await expect(trainer.train()).rejects.toThrow('train: a training of this model is under way');
    await expect(other.train()).rejects.toThrow(`train: a training of '${folder}/' is under way`);
    await expect(trainer.evaluate()).rejects.toThrow('evaluate: the model is in training');
    await running;
    // Afterwards all of this is allowed.
    await trainer.evaluate();
    await other.train();
    for (const { model } of [trainer, other]) model.dispose();
  });

  it('are possible after one that failed', async () => {
    const failing: TrainerCallback = {
      onTrainBegin: () => {
        throw new Error('not yet');
      },
    };
    const callbacks = [failing];
    const trainer = await make({ callbacks });
    await expect(trainer.train()).rejects.toThrow('not yet');
    callbacks.length = 0;
    await trainer.train();
    trainer.model.dispose();
  });
});

describe("the user's own code", () => {
  class Broken extends Error {}
  const boom = (): never => {
    throw new Broken('boom');
  };
  class Watcher implements TrainerCallback {
    onEvaluate(): void {
      boom();
    }
  }
  const broken = (index: number): Dataset => ({
    length: 40,
    get: (at) => (at === index ? boom() : { inputIds: [2, 9, 3], label: 1 }),
  });

  it.each<[string, TinySetup, RegExp]>([
    [
      'a callback',
      { callbacks: [new Watcher()], args: { evalStrategy: 'epoch' } },
      /^onEvaluate of Watcher failed at step 5: boom$/,
    ],
    [
      'an async callback',
      { callbacks: [{ onStepEnd: async () => boom() }] },
      /^onStepEnd of a callback failed at step 1: boom$/,
    ],
    ["a callback's state", { callbacks: [{ state: boom }] }, /^state of a callback failed: boom$/],
    ['a dataset', { trainDataset: broken(17) }, /^the dataset's get\(17\) failed: boom$/],
    [
      'a dataset of evaluation',
      { evalDataset: broken(3), args: { evalStrategy: 'epoch' } },
      /^the dataset's get\(3\) failed: boom$/,
    ],
    ['a collator', { dataCollator: boom }, /^the collator, for batch 0 of epoch 0, failed: boom$/],
    [
      'computeMetrics',
      { computeMetrics: boom, args: { evalStrategy: 'epoch' } },
      /^computeMetrics failed: boom$/,
    ],
  ])('%s: an error says where it came from and keeps what was thrown', async (_, setup, message) => {
    const error = await thrown(setup);
    expect(error).toBeInstanceOf(UserCodeError);
    expect(error.message).toMatch(message);
    expect(error.cause).toBeInstanceOf(Broken);
    expect((error.cause as Error).stack).toContain('misuse.test.ts');
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['a text', { odd: 'good' }],
    ['a promise', Promise.resolve({ odd: 1 })],
  ])('computeMetrics that gives %s is refused', async (_, value) => {
    const computeMetrics = () => value as Record<string, number>;
    const error = await thrown({ computeMetrics, args: { evalStrategy: 'epoch' } });
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toMatch(/^computeMetrics gave /);
  });

  it('async callbacks are waited for, in order', async () => {
    const seen: string[] = [];
    const slow = (name: string): TrainerCallback => ({
      onSave: async (_, folder) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        seen.push(`${name} ${folder.slice(folder.lastIndexOf('-'))}`);
      },
    });
    const trainer = await make({ callbacks: [slow('a'), slow('b')], args: { saveStrategy: 'epoch' } });
    await trainer.train();
    expect(seen).toEqual(['a -5', 'b -5', 'a -10', 'b -10']);
    trainer.model.dispose();
  });
});

it('an output is not made where a training could not begin', async () => {
  const folder = join(freshFolder(), 'deep');
  const trainer = await make({ trainDataset: withOdd(undefined) }, folder);
  await expect(trainer.train()).rejects.toThrow(DataError);
  expect(existsSync(folder)).toBe(false);
  trainer.model.dispose();
});
