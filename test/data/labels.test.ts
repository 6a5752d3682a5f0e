/** Decisions from a label column: task, classes and their order, and whether a classifier is kept. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeLabels, inferLabels, labelsOfModel } from '../../src/data/labels.ts';
import { readTable, type TableOptions, type TextTable } from '../../src/data/table.ts';
import { decideTask, type TaskOptions } from '../../src/data/task.ts';
import type { ProblemType } from '../../src/models/common/config.ts';
import { makeConfig } from '../../src/models/config.ts';

let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
});
afterAll(() => rm(scratch, { recursive: true }));

async function read(name: string, text: string, options?: TableOptions): Promise<TextTable> {
  const path = join(scratch, name);
  await writeFile(path, text);
  return readTable(path, options);
}
/** Texts `t0`, `t1`, … with these cells as labels. */
const tsv = (cells: readonly string[]): Promise<TextTable> =>
  read('cells.tsv', `text\tlabel\n${cells.map((cell, at) => `t${at}\t${cell}\n`).join('')}`);
/** The same from JSON values as written. */
const jsonl = (values: readonly string[]): Promise<TextTable> =>
  read('values.jsonl', values.map((value, at) => `{"text":"t${at}","labels":${value}}\n`).join(''));
const refusal = (table: TextTable, options: TaskOptions = {}): string => {
  try {
    const { labels } = decideTask(table, options);
    encodeLabels(table, labels);
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message.replaceAll(scratch, 'FOLDER')}`;
  }
  return 'no error';
};
/** The task, the classes and the encoded labels. */
function decided(table: TextTable, options: TaskOptions = {}) {
  const { labels } = decideTask(table, options);
  return { type: labels.problemType, names: labels.names, labels: encodeLabels(table, labels) };
}

const multi: ProblemType = 'multi_label_classification';
const single: ProblemType = 'single_label_classification';
const indexed = (count: number): string[] => Array.from({ length: count }, (_, id) => `LABEL_${id}`);

describe('arrays as Python prints them', () => {
  it.each([
    'tensor([1, 0])',
    "tensor([0, 1], device='cuda:0')",
    'np.array([1, 0])',
    'array([1., 0.], dtype=float32)',
  ])('%s is no class', async (cell) => {
    const table = await tsv([cell, 'tensor([0, 1])', cell, 'tensor([0, 1])']);
    expect(refusal(table)).toContain(`line 2 has '${cell}', an array as Python prints it · save lists`);
    expect(decided(table, { problemType: single }).names).toContain(cell);
  });
});

describe('a model with two classes of one name', () => {
  it('has no labels that data could be held to', () => {
    const config = makeConfig('bert', { id2label: { 0: 'a', 1: 'b', 2: 'a' } });
    expect(() => labelsOfModel(config)).toThrow("the model has two classes called 'a'");
  });
});

describe('blank texts', () => {
  it('are noted', async () => {
    const table = await read('blank.csv', 'text,label\ngood,a\n,b\nbad,a\n" ",b\n');
    expect(decideTask(table, {}).notes).toEqual(['rows with a blank text: 2 (first on line 3)']);
  });
});

describe('classes that look alike', () => {
  it('are shown with what is not seen', async () => {
    const { notes } = decideTask(await tsv(['good', 'good\u200b', 'bad', 'bad']), {});
    expect(notes).toEqual([expect.stringContaining("the classes 'good' and 'good\\u{200b}' differ only in")]);
    expect(decideTask(await tsv(['good', 'bad', 'good', 'bad']), {}).notes).toEqual([]);
  });
});

describe('several labels', () => {
  const vectors = {
    type: multi,
    names: indexed(3),
    labels: [
      [1, 0, 1],
      [0, 1, 0],
      [0, 0, 0],
    ],
  };

  it.each([
    ['integers', ['[1, 0, 1]', '[0, 1, 0]', '[0, 0, 0]']],
    ['floats', ['[1.0, 0.0, 1.0]', '[0.0, 1.0, 0.0]', '[0.0, 0.0, 0.0]']],
    ['booleans', ['[true, false, true]', '[false, true, false]', '[false, false, false]']],
    ['strings', ['["1", "0", "1"]', '["0", "1", "0"]', '["0", "0", "0"]']],
  ])('as rows of 0 and 1 in JSON, with or without the option: %s', async (_, values) => {
    expect(decided(await jsonl(values))).toEqual(vectors);
    expect(decided(await jsonl(values), { problemType: multi })).toEqual(vectors);
  });

  it.each([
    ['Python', ['[1, 0, 1]', '[0, 1, 0]', '[0, 0, 0]']],
    ['Python’s floats', ['[1.0, 0.0, 1.0]', '[0.0, 1.0, 0.0]', '[0.0, 0.0, 0.0]']],
    ['Python’s booleans', ['[True, False, True]', '[False, True, False]', '[False, False, False]']],
    ['NumPy', ['[1 0 1]', '[0 1 0]', '[0 0 0]']],
    ['NumPy’s floats', ['[1. 0. 1.]', '[0. 1. 0.]', '[0. 0. 0.]']],
    ['NumPy’s booleans', ['[ True False  True]', '[False  True False]', '[False False False]']],
    ['commas', ['1,0,1', '0,1,0', '0,0,0']],
    ['blanks', ['1 0 1', '0 1 0', '0 0 0']],
  ])('as rows of 0 and 1 in a cell: %s', async (_, cells) => {
    expect(decided(await tsv(cells))).toEqual(vectors);
    expect(decided(await tsv(cells), { problemType: multi })).toEqual(vectors);
  });

  it('as a column for each class, whatever order the columns have', async () => {
    const names = ['toxic', 'obscene', 'threat'];
    const csv = 'text,toxic,obscene,threat\na,1,0.0,True\nb,0,1,false\n';
    for (const labelColumn of ['toxic,obscene,threat', names, [1, 'obscene', 3]]) {
      const table = await read('columns.csv', csv, { labelColumn });
      expect(decided(table)).toEqual({
        type: multi,
        names,
        labels: [
          [1, 0, 1],
          [0, 1, 0],
        ],
      });
    }
    const labels = inferLabels(await read('columns.csv', csv, { labelColumn: names }));
    const turned = await read('turned.jsonl', '{"text":"a","threat":1,"toxic":0,"obscene":false}\n', {
      labelColumn: ['threat', 'toxic', 'obscene'],
    });
    expect(encodeLabels(turned, labels)).toEqual([[0, 0, 1]]);
    const bad = await read('bad.csv', 'text,toxic,obscene\na,1,0\nb,-1,1\n', {
      labelColumn: 'toxic,obscene',
    });
    expect(refusal(bad)).toMatchSnapshot();
    expect(
      refusal(await read('columns.csv', csv, { labelColumn: names }), { problemType: single }),
    ).toMatchSnapshot();
  });

  it.each([
    ['JSON', jsonl, ['["New York, NY", "sun; rain"]', '["sun; rain"]', '[]']],
    ['Python', tsv, ["['New York, NY', 'sun; rain']", '["sun; rain"]', '[]']],
    ['Python’s sets', tsv, ["{'New York, NY', 'sun; rain'}", "{'sun; rain'}", '']],
  ])('as lists of names that are never cut: %s', async (_, make, values) => {
    const found = {
      type: multi,
      names: ['New York, NY', 'sun; rain'],
      labels: [
        [1, 1],
        [0, 1],
        [0, 0],
      ],
    };
    expect(decided(await make(values))).toEqual(found);
    expect(decided(await make(values), { problemType: multi })).toEqual(found);
  });

  it('as lists of class numbers', async () => {
    const numbers = {
      type: multi,
      names: ['3', '17'],
      labels: [
        [1, 1],
        [1, 0],
        [0, 0],
      ],
    };
    expect(decided(await jsonl(['[17, 3]', '[3]', '[]']))).toEqual(numbers);
    // Lists of different lengths without repeats: 0 and 1 are classes.
    expect(decided(await jsonl(['[0, 1]', '[1]', '[]']))).toMatchObject({
      names: ['0', '1'],
      labels: [
        [1, 1],
        [0, 1],
        [0, 0],
      ],
    });
  });

  it('reads quotes and escapes as Python writes them', async () => {
    const cells = [
      String.raw`["it's", 'a "b"', 'c\'d', 'x\\y', 'caf\xe9']`,
      '[plain, two words]',
      "('one',)",
    ];
    const table = await tsv(cells);
    expect(decideTask(table).labels.names).toEqual(
      ['a "b"', "c'd", 'café', "it's", 'one', 'plain', 'two words', 'x\\y'].sort(),
    );
  });

  it('that can be read in two ways are refused', async () => {
    const messages = [
      refusal(await jsonl(['[1, 0, 1]', '[1, 0]'])),
      refusal(await jsonl(['[1]', '[0]'])),
      refusal(await jsonl(['[0.2, 0.8]', '[1, 0]'])),
      refusal(await jsonl(['["a"]', '"b"'])),
      refusal(await jsonl(['["a", "b"]', '["b"]']), { problemType: single }),
      refusal(await tsv(["['a', 'b']", 'b'])),
      refusal(await tsv(["{'a': 1, 'b': 0}", "{'a': 0, 'b': 1}"])),
      refusal(await tsv(["['a', None]", "['b']"])),
      refusal(await tsv(['red, blue', 'blue', 'red'])),
    ];
    expect(messages).toMatchSnapshot();
    await expect(jsonl(['["a", null]', '["b"]'])).rejects.toThrow("line 1 has null in the list 'labels'");
  });

  it('of evaluation data have as many indicators as there are classes', async () => {
    const labels = { problemType: multi, names: indexed(3) };
    const short = await jsonl(['[1, 0]', '[0, 1]']);
    expect(() => encodeLabels(short, labels)).toThrow('line 1 has 2 indicators for 3 classes');
    expect(encodeLabels(await jsonl(['[2, 0]']), labels)).toEqual([[1, 0, 1]]);
  });

  it('in one cell are one class where someone says so', async () => {
    const table = await tsv(['red, blue', 'blue', "['x']"]);
    expect(decided(table, { problemType: single }).names).toEqual(["['x']", 'blue', 'red, blue']);
    expect(decided(await tsv(['Paris, France', 'Rome, Italy', 'Paris, France'])).type).toBe(single);
  });
});

describe('numbers', () => {
  it('with a decimal point are values, in JSON too', async () => {
    expect(decided(await tsv(['1.5', '2', '1.0']))).toEqual({
      type: 'regression',
      names: ['LABEL_0'],
      labels: [1.5, 2, 1],
    });
    expect(decided(await jsonl(['3.0', '0.0', '3.0']))).toMatchObject({
      type: 'regression',
      labels: [3, 0, 3],
    });
    expect(decided(await jsonl(['3', '0', '3']))).toMatchObject({ type: single, names: ['0', '3'] });
    expect(decided(await jsonl(['3e0', '1e0']))).toMatchObject({ type: 'regression', labels: [3, 1] });
    // The key occurs in the text and in a nested object too.
    const nested =
      '{"meta":{"score":1},"text":"\\"score\\": 1","score":2.0}\n{"text":"b","score":4,"score":5.0}\n';
    expect(decided(await read('nested.jsonl', nested))).toMatchObject({ type: 'regression', labels: [2, 5] });
  });

  it.each(['nan', 'N/A', '', '?', '4,5', '1e999'])(
    'do not become classes by one cell that is %j',
    async (cell) => {
      const cells = ['0.25', '0.75', '1.25', '1.75', '2.25', cell, '3.25', '3.75'];
      expect(refusal(await tsv(cells))).toMatch(/^DataError: .*line 7 has/);
      expect(refusal(await tsv(cells), { problemType: 'regression' })).toMatch(/^DataError: .*line 7 has/);
    },
  );

  it('that do not fit are named', async () => {
    const cells = Array.from({ length: 30 }, (_, at) => (at % 4 === 1 ? `x${at}` : `${at}.5`));
    expect(refusal(await tsv(cells))).toMatchSnapshot();
    expect(refusal(await tsv(cells), { problemType: 'regression' })).toMatchSnapshot();
    expect(refusal(await tsv(['0', '1', 'nan', '0', '1']))).toMatchSnapshot();
    expect(refusal(await tsv(['3,5', '4,5', '1,0']))).toMatchSnapshot();
    const asked = decided(await tsv(['0', '1', 'nan', '0']), { problemType: single });
    expect(asked.names).toEqual(['0', '1', 'nan']);
  });

  const counts = (count: number, rows: number, step = 1): string[] =>
    Array.from({ length: rows }, (_, at) => String((at % count) * step));

  it('that are whole are classes only where they are few', async () => {
    for (const cells of [counts(2, 2), counts(5, 5), counts(3, 9, 10), counts(20, 60)])
      expect(decided(await tsv(cells)).type).toBe(single);
    for (const cells of [
      counts(40, 40),
      counts(50, 400),
      counts(12, 12),
      counts(15, 60, 7),
      counts(6, 6, 10),
    ]) {
      expect(refusal(await tsv(cells))).toMatch(
        /different whole numbers \(0 to \d+\) on \d+ rows: classes or values\?/,
      );
      expect(decided(await tsv(cells), { problemType: 'regression' }).labels[1]).toBe(Number(cells[1]));
      expect(decided(await tsv(cells), { problemType: single }).type).toBe(single);
    }
  });

  it('written in two ways are not two classes', async () => {
    expect(refusal(await tsv(['1', '1.0', '2']), { problemType: single })).toMatchSnapshot();
  });
});

describe('names', () => {
  it('that are nearly all different are no classes', async () => {
    const cells = Array.from({ length: 20 }, (_, at) => `${at}%`);
    expect(refusal(await tsv(cells))).toMatchSnapshot();
  });

  it('that stand for no label are refused', async () => {
    for (const cell of ['nan', 'NaN', '#N/A', '<NA>', '-'])
      expect(refusal(await tsv(['yes', 'no', cell, 'yes']))).toContain(
        `line 4 has '${cell}', which stands for no label`,
      );
  });

  it('that a slip has parted are noted', async () => {
    const { notes } = decideTask(await tsv(['Yes', 'yes', 'café', 'cafe\u0301', 'no']));
    expect(notes).toHaveLength(2);
    expect(notes[0]).toContain("'cafe\u0301' and 'café' differ only");
    const lost = decideTask(await tsv(['a', 'b', 'p\uFFFDche']));
    expect(lost.notes).toEqual([
      'rows with the character U+FFFD, lost before the file was saved: 1 (first on line 4)',
    ]);
  });
});

describe('a trained classifier', () => {
  const config = (names: readonly string[], problemType: ProblemType = single) =>
    makeConfig('bert', { id2label: { ...names }, problemType });
  const review = config(['positive', 'negative']);

  it('keeps its classes where the data name the same, in its own order', async () => {
    const table = await tsv(['negative', 'positive', 'negative']);
    expect(decideTask(table, { model: review })).toMatchObject({
      labels: { names: ['positive', 'negative'] },
      head: { keep: true, why: "its classes are the data's, in its order" },
    });
    expect(decided(table, { model: review }).labels).toEqual([1, 0, 1]);
    // Without a model they are sorted.
    expect(decided(table).names).toEqual(['negative', 'positive']);
  });

  it('takes names of another case where that leaves no doubt', async () => {
    const table = await tsv(['NEGATIVE', 'Positive']);
    expect(decided(table, { model: review })).toMatchObject({
      names: ['positive', 'negative'],
      labels: [1, 0],
    });
    expect(encodeLabels(table, { problemType: single, names: ['positive', 'negative'] })).toEqual([1, 0]);
    const cased = config(['Positive', 'positive']);
    expect(decided(await tsv(['positive', 'Positive']), { model: cased }).names).toEqual([
      'Positive',
      'positive',
    ]);
    expect(() => encodeLabels(table, { problemType: single, names: ['Positive', 'positive'] })).toThrow(
      "the label 'NEGATIVE'",
    );
    expect(() =>
      encodeLabels(table, { problemType: single, names: ['negative', 'POSITIVE', 'positive'] }),
    ).toThrow("the label 'NEGATIVE'");
  });

  it('is drawn anew for other classes', async () => {
    const table = await tsv(['sport', 'news']);
    const { labels, head } = decideTask(table, { model: review });
    expect(labels.names).toEqual(['news', 'sport']);
    expect(head).toEqual({ keep: false, why: 'its classes are others: 2 (positive, negative)' });
    const numbers = decideTask(await tsv(['0', '1']), { model: review });
    expect(numbers.labels.names).toEqual(['0', '1']);
    expect(numbers.head).toEqual({
      keep: false,
      why: 'its classes are others: 2 (positive, negative); write these names as labels to keep it',
    });
  });

  it('makes an error of names that are only in part its own', async () => {
    const messages = [
      refusal(await tsv(['positive', 'neutral']), { model: review }),
      refusal(await tsv(['positive', 'negative', 'neutral']), { model: review }),
      refusal(await tsv(['positive', 'negative']), { model: config(['positive', 'neutral', 'negative']) }),
    ];
    expect(messages).toMatchSnapshot();
    const fewer = decided(await tsv(['positive', 'negative']), {
      model: config(['positive', 'neutral', 'negative']),
      head: 'keep',
    });
    expect(fewer).toMatchObject({ names: ['positive', 'neutral', 'negative'], labels: [0, 2] });
    const anew = decideTask(await tsv(['positive', 'neutral']), { model: review, head: 'new' });
    expect(anew).toMatchObject({ labels: { names: ['neutral', 'positive'] }, head: { keep: false } });
    expect(refusal(await tsv(['a', 'b']), { head: 'keep' })).toMatchSnapshot();
  });

  it('without names takes their numbers', async () => {
    const unnamed = config(indexed(3));
    expect(decided(await tsv(['2', '0', '1']), { model: unnamed })).toEqual({
      type: single,
      names: indexed(3),
      labels: [2, 0, 1],
    });
    const named = decideTask(await tsv(['x', 'y', 'z']), { model: unnamed });
    expect(named).toMatchObject({ labels: { names: ['x', 'y', 'z'] }, head: { keep: false } });
    // Many numbers are classes if they are the model's.
    const many = Array.from({ length: 60 }, (_, at) => String(at));
    expect(decided(await tsv(many), { model: config(indexed(60)) }).type).toBe(single);
    expect(decided(await tsv(many), { model: config(many) }).type).toBe(single);
  });

  it('of several labels keeps them in its order', async () => {
    const topics = config(['sun', 'rain', 'wind'], multi);
    const lists = await jsonl(['["rain", "wind"]', '["sun"]', '[]']);
    const expected = {
      type: multi,
      names: ['sun', 'rain', 'wind'],
      labels: [
        [0, 1, 1],
        [1, 0, 0],
        [0, 0, 0],
      ],
    };
    expect(decided(lists, { model: topics })).toEqual(expected);
    expect(decided(await tsv(['rain, wind', 'sun']), { model: topics }).labels).toEqual([
      [0, 1, 1],
      [1, 0, 0],
    ]);
    const vectors = decideTask(await jsonl(['[0, 1, 1]', '[1, 0, 0]']), { model: topics });
    expect(vectors).toMatchObject({ labels: { names: ['sun', 'rain', 'wind'] }, head: { keep: true } });
    const columns = await read('weather.csv', 'text,wind,sun,rain\na,1,0,1\n', {
      labelColumn: 'wind,sun,rain',
    });
    expect(decided(columns, { model: topics }).labels).toEqual([[0, 1, 1]]);
    const unfit = decideTask(await jsonl(['[0, 1, 1]', '[1, 0, 0]']), { model: config(['a', 'b', 'c']) });
    expect(unfit).toMatchObject({ labels: { names: indexed(3) }, head: { keep: false } });
  });

  it('of a value stays for values', async () => {
    const value = makeConfig('bert', { id2label: { 0: 'stars' } });
    expect(decideTask(await tsv(['1', '5', '3']), { model: value })).toMatchObject({
      labels: { problemType: 'regression', names: ['stars'] },
      head: { keep: true },
    });
    expect(decideTask(await tsv(['1.5', '2']), { model: review })).toMatchObject({
      labels: { problemType: 'regression', names: ['LABEL_0'] },
      head: { keep: false, why: 'it tells 2 classes apart' },
    });
  });
});
