/** Files of words and tags, of questions and of choices: every accepted form, and what is refused. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readChoices } from '../../src/data/choices.ts';
import { charactersAt, unitsAt } from '../../src/data/code-points.ts';
import { kindOfFile } from '../../src/data/packed.ts';
import { readQuestions } from '../../src/data/questions.ts';
import { columnIn, readRecords } from '../../src/data/records.ts';
import { readTaggedTexts, type TaggedText } from '../../src/data/tokens.ts';
import { DataError } from '../../src/errors.ts';

const folder = await mkdtemp(join(tmpdir(), 'dawngrad-task-files-'));
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

const lines = (...records: unknown[]): string => records.map((one) => `${JSON.stringify(one)}\n`).join('');
const words = ({ text, words }: TaggedText): string[] => words.map(([start, end]) => text.slice(start, end));

describe('records', () => {
  const expected = [
    { a: 'x', b: '1' },
    { a: 'y', b: '2' },
  ];
  const forms: Record<string, string> = {
    'r.jsonl': lines(...expected),
    'array.json': JSON.stringify(expected),
    'pretty.json': JSON.stringify(expected, null, 2),
    'data.json': JSON.stringify({ version: '1', data: expected }),
    'data-pretty.json': JSON.stringify({ version: '1', data: expected }, null, 1),
    'data-within.json': JSON.stringify({ about: { data: [1, '}'] }, data: expected, more: [[{ data: [] }]] }),
    'lines.json': lines(...expected),
    'r.csv': 'a,b\r\nx,1\r\n"y",2\r\n',
    'r.tsv': 'a\tb\nx\t1\ny\t2\n',
  };
  for (const [name, text] of Object.entries(forms))
    it(name, async () => {
      const records = await readRecords(await file(name, text));
      expect(records.map(({ values }) => values)).toEqual(expected);
    });

  it('keep what is written in their strings, and their places in a list', async () => {
    const odd = [{ a: 'x ] } , "y" \\' }, { a: [[1, 2], { b: ',' }] }, { a: '[{"data": [' }];
    const read = async (name: string, text: string) => readRecords(await file(name, text));
    for (const text of [JSON.stringify(odd), JSON.stringify({ data: odd }, null, 3)]) {
      const records = await read('odd.json', text);
      expect(records.map(({ values }) => values)).toEqual(odd);
      expect(records.map(({ place }) => place.slice(folder.length + 1))).toEqual([
        'odd.json: entry 1',
        'odd.json: entry 2',
        'odd.json: entry 3',
      ]);
    }
    await expect(read('two.json', '[{"a": 1}]\n[{"a": 2}]')).rejects.toThrow(
      /something follows the end of the JSON/,
    );
    await expect(read('cut.json', '{"data": [{"a": 1}, {"a"')).rejects.toThrow(/the JSON object has no end/);
    await expect(read('comma.json', '[{"a": 1},, {"a": 2}]')).rejects.toThrow(/entry 2 is not JSON/);
    expect(await read('last.json', '[{"a": 1},\n]')).toHaveLength(1);
  });

  it('are told from the name or the format', () => {
    const kinds = ['a.json', 'a.jsonl.gz', 'a.parquet', 'a.csv.gz', 'a.txt.gz', 'a'].map((name) =>
      kindOfFile(name),
    );
    expect(kinds).toEqual(['json', 'json', 'json', 'rows', 'lines', 'lines']);
    expect(kindOfFile('a.txt', 'jsonl')).toBe('json');
  });

  it('have the column that is asked for, or the place is named', async () => {
    const [record] = await readRecords(await file('columns.csv', 'a,b\nx,1\n'));
    expect([columnIn(record!, 1), columnIn(record!, 'a'), columnIn(record!, undefined)]).toEqual([
      'b',
      'a',
      undefined,
    ]);
    expect(() => columnIn(record!, 2)).toThrow(/columns.csv: line 2 has no column '2' · columns: a, b/);
    expect(() => columnIn(record!, 'c')).toThrow(DataError);
  });

  it('names the place of what is no record', async () => {
    await expect(readRecords(await file('n.json', '[1]'))).rejects.toThrow(/entry 1 is not a JSON object/);
    await expect(readRecords(await file('o.json', '{\n"a": 1\n}'))).rejects.toThrow(/no list 'data'/);
    await expect(readRecords(await file('w.tsv', 'a\tb\nx\n'))).rejects.toThrow(/line 2 has 1 columns/);
    await expect(readRecords(await file('e.jsonl', '\n'))).rejects.toThrow(/no records/);
    await expect(readRecords(await file('b.jsonl', '{"a": 1}\n{"a"'))).rejects.toThrow(/line 2 is not JSON/);
  });
});

describe('words and tags', () => {
  const columns: Record<string, string> = {
    'tabs.conll': 'Ann\tB-PER\nsings\tO\n\t\nOslo\tB-LOC\n',
    'spaces.bio': '-DOCSTART- -X- O\n\n# sent 1\nAnn NNP B-PER\nsings VB O\n\nOslo NNP B-LOC\n',
    'crlf.txt': 'Ann\tB-PER\r\nsings\tO\r\n\r\nOslo\tB-LOC\r\n',
  };
  for (const [name, text] of Object.entries(columns))
    it(name, async () => {
      const read = await readTaggedTexts(await file(name, text));
      expect(read.map(words)).toEqual([['Ann', 'sings'], ['Oslo']]);
      expect(read.map(({ tags }) => tags)).toEqual([['B-PER', 'O'], ['B-LOC']]);
      expect(read.every(({ split }) => split)).toBe(true);
    });

  it('chooses columns by number', async () => {
    const path = await file('chosen.conll', '1 Ann NNP B-PER\n2 sings VB O\n');
    const [read] = await readTaggedTexts(path, { textColumn: 1, labelColumn: 2 });
    expect(words(read!)).toEqual(['Ann', 'sings']);
    expect(read!.tags).toEqual(['NNP', 'VB']);
  });

  it('keeps a hash that is a word', async () => {
    const path = await file('hash.conll', '# O\nAnn B-PER\n');
    expect(words((await readTaggedTexts(path))[0]!)).toEqual(['#', 'Ann']);
  });

  it('reads records of words, with or without tags', async () => {
    const path = await file('words.jsonl', lines({ tokens: ['Ann', 'sings'], ner_tags: ['B-PER', 'O'] }));
    expect((await readTaggedTexts(path))[0]!.tags).toEqual(['B-PER', 'O']);
    expect((await readTaggedTexts(path, { readLabels: false }))[0]!.tags).toBeNull();
  });

  it('cuts texts at entities, whose places count characters', async () => {
    const text = '😀 Ann-Lee sings in New York.';
    const entities = [{ start: 2, end: 5, label: 'PER' }, [19, 27, 'LOC']];
    const [read] = await readTaggedTexts(await file('spans.jsonl', lines({ text, entities })));
    expect(words(read!)).toEqual(['😀', 'Ann', '-', 'Lee', 'sings', 'in', 'New', 'York', '.']);
    expect(read!.tags).toEqual(['O', 'B-PER', 'O', 'O', 'O', 'O', 'B-LOC', 'I-LOC', 'O']);
    expect(read!.split).toBe(false);
  });

  const refused: Record<string, [string, string, RegExp]> = {
    'a width of its own': ['w.conll', 'a O\nb\n', /line 2 has 1 columns, the first 2/],
    'one column': ['c.conll', 'a\n', /one column/],
    'a missing tag': ['t.jsonl', lines({ tokens: ['a', 'b'], tags: ['O'] }), /1 tags for 2 words/],
    'no words': ['n.jsonl', lines({ x: 1 }), /no words/],
    'a word that is none': [
      'u.jsonl',
      lines({ tokens: ['a', null], tags: ['O', 'O'] }),
      /entry 2 of 'tokens' is null/,
    ],
    'a tag that is none': ['v.jsonl', lines({ tokens: ['a'], tags: [null] }), /entry 1 of 'tags' is null/],
    'no tags': ['g.jsonl', lines({ tokens: ['a'] }), /no tags/],
    'no entities': ['e.jsonl', lines({ text: 'a' }), /no entities/],
    'a broken entity': ['b.jsonl', lines({ text: 'a', entities: [[0, 'x']] }), /is no entity/],
    'a far entity': ['f.jsonl', lines({ text: 'ab', entities: [[0, 3, 'X']] }), /from 0 to 3 in a text of 2/],
    'an overlap': [
      'o.jsonl',
      lines({
        text: 'abc',
        entities: [
          [0, 2, 'X'],
          [1, 3, 'Y'],
        ],
      }),
      /overlap at 'bc'/,
    ],
  };
  for (const [what, [name, text, message]] of Object.entries(refused))
    it(`refuses ${what}`, async () => {
      const reading = readTaggedTexts(await file(name, text));
      await expect(reading).rejects.toThrow(DataError);
      await expect(reading).rejects.toThrow(message);
    });
});

describe('questions', () => {
  const context = 'Ann 😀 sings in Oslo.';
  const squad = {
    version: 'v2.0',
    data: [
      {
        title: 'A',
        paragraphs: [
          {
            context,
            qas: [
              { id: 'q1', question: 'Where?', answers: [{ text: 'Oslo', answer_start: 15 }] },
              { id: 'q2', question: 'When?', answers: [], is_impossible: true },
            ],
          },
        ],
      },
    ],
  };
  const answers = { text: ['Oslo'], answer_start: [15] };
  const forms: Record<string, string> = {
    'squad.json': JSON.stringify(squad, null, 2),
    'squad-flat.json': JSON.stringify(squad),
    'hub.jsonl': lines(
      { id: 'q1', question: 'Where?', context, answers },
      { id: 'q2', question: 'When?', context, answers: { text: [], answer_start: [] } },
    ),
    'short.jsonl': lines(
      { id: 'q1', question: 'Where?', context, answer: 'Oslo' },
      { id: 'q2', question: 'When?', context, answers: [] },
    ),
  };
  for (const [name, text] of Object.entries(forms))
    it(name, async () => {
      const [first, second] = await readQuestions(await file(name, text));
      expect(first).toMatchObject({ id: 'q1', question: 'Where?', context });
      // In UTF-16 units the smile takes two.
      expect(first!.answers).toEqual([{ text: 'Oslo', start: 16 }]);
      expect(second!.answers).toEqual([]);
    });

  it('reads none if asked, and numbers questions without an id', async () => {
    const path = await file('bare.jsonl', lines({ question: 'Where?', context }));
    expect(await readQuestions(path, { readLabels: false })).toMatchObject([{ id: '0', answers: null }]);
  });

  const refused: Record<string, [object, RegExp]> = {
    'a wrong place': [{ answers: [{ text: 'Oslo', answer_start: 3 }] }, /does not begin at character 3/],
    'a place that is no number': [
      { answers: [{ text: 'Oslo', answer_start: '3' }] },
      /'answer_start' is "3", which is no number/,
    ],
    'an answer that is nowhere': [{ answer: 'Rome' }, /nowhere/],
    'an answer that stands twice': [{ answer: 'n' }, /twice/],
    'no answers': [{}, /no 'answers'/],
    'an empty answer': [{ answers: [{ text: '' }] }, /is no answer/],
  };
  for (const [what, [answer, message]] of Object.entries(refused))
    it(`refuses ${what}`, async () => {
      const path = await file('refused.jsonl', lines({ question: 'Where?', context, ...answer }));
      await expect(readQuestions(path)).rejects.toThrow(message);
    });

  it('counts characters and units', () => {
    expect(unitsAt('a😀b', 2)).toBe(3);
    expect(charactersAt('a😀b', 3)).toBe(2);
    expect(unitsAt('abc', 9)).toBe(3);
  });
});

describe('choices', () => {
  const expected = {
    prompt: 'She sits.',
    endings: ['She plays.', 'She sleeps.'],
    choices: ['plays.', 'sleeps.'],
    label: 1,
  };
  it('reads the columns of SWAG', async () => {
    const path = await file(
      'swag.csv',
      ',sent1,sent2,ending0,ending1,label\n0,She sits.,She,plays.,sleeps.,1\n',
    );
    expect(await readChoices(path)).toMatchObject([expected]);
  });

  for (const [what, record] of Object.entries({
    'a number': { context: 'She sits.', question: 'She', choices: ['plays.', 'sleeps.'], label: 1 },
    'a letter': { context: 'She sits.', question: 'She', choices: ['plays.', 'sleeps.'], answer: 'B' },
    'the choice': {
      context: 'She sits.',
      question: 'She',
      options: ['plays.', 'sleeps.'],
      answer: 'sleeps.',
    },
    "ARC's": {
      context: 'She sits.',
      question: 'She',
      choices: { text: ['plays.', 'sleeps.'] },
      answerKey: 'B',
    },
  }))
    it(`reads a label that is ${what}`, async () => {
      expect(await readChoices(await file('c.jsonl', lines(record)))).toMatchObject([expected]);
    });

  it('goes on from a prompt alone', async () => {
    const path = await file('p.jsonl', lines({ prompt: 'Who?', choices: ['I', 'you'] }));
    const [read] = await readChoices(path, { readLabels: false });
    expect(read).toMatchObject({ prompt: 'Who?', endings: ['I', 'you'], label: null });
  });

  const refused: Record<string, [object[], RegExp]> = {
    'a label past the end': [[{ prompt: 'a', choices: ['b', 'c'], label: 2 }], /'2' is none of 2 choices/],
    'one choice': [[{ prompt: 'a', choices: ['b'], label: 0 }], /has 1 choices/],
    'a blank choice': [[{ prompt: 'a', choices: ['b', ' '], label: 0 }], /choice 1 is blank/],
    'a choice that is none': [
      [{ prompt: 'a', choices: ['b', null], label: 0 }],
      /entry 2 of 'choices' is null/,
    ],
    'no choices': [[{ prompt: 'a', label: 0 }], /has no choices/],
    'no label': [[{ prompt: 'a', choices: ['b', 'c'] }], /has no label/],
    'another number of choices': [
      [
        { prompt: 'a', choices: ['b', 'c'], label: 0 },
        { prompt: 'a', choices: ['b', 'c', 'd'], label: 0 },
      ],
      /line 2 has 3 choices, the first 2/,
    ],
  };
  for (const [what, [records, message]] of Object.entries(refused))
    it(`refuses ${what}`, async () => {
      await expect(readChoices(await file('refused.jsonl', lines(...records)))).rejects.toThrow(message);
    });
});
