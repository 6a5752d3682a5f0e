/** Readers: GLUE's quirks, and errors that name file, line and column. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Encoder, encodeTable } from '../../src/data/dataset.ts';
import { encodeLabels, inferLabels } from '../../src/data/labels.ts';
import { readTable, type TableOptions } from '../../src/data/table.ts';

const shared = new URL('../../../shared/data/', import.meta.url).pathname;
let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
});
afterAll(() => rm(scratch, { recursive: true }));

async function read(name: string, text: string, options?: TableOptions) {
  const path = join(scratch, name);
  await writeFile(path, text);
  return readTable(path, options);
}
const message = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    (error: Error) => `${error.name}: ${error.message.replaceAll(scratch, 'FOLDER')}`,
  );

describe('a path', () => {
  it('of a folder, of a packed file, and of an unknown ending is refused by what it is', async () => {
    expect(await message(readTable(scratch))).toBe(
      "FileError: 'FOLDER' is a folder · give the data file in it",
    );
    expect(await message(read('a.tsv.zst', ''))).toContain(
      'a.tsv.zst: .zst files are not read · unpack or export it',
    );
    expect(await message(read('a.txt', 'x'))).toContain("or pass --format (format: 'tsv', 'csv' or 'jsonl')");
  });
});

describe('columns in a message', () => {
  it('are cut short where the separator was a wrong one', async () => {
    const text = `text\tlabel${Array.from({ length: 90 }, (_, at) => `\fsome words of row ${at} that go on\ty`).join('')}`;
    const found = await message(read('feeds.tsv', `${text}\n`, { header: true, requireLabels: true }));
    expect(found).toContain('cannot tell which column holds the label');
    expect(found.length).toBeLessThan(1200);
  });
});

describe('TSV', () => {
  it('takes bare quotes and a byte-order mark as GLUE writes them', async () => {
    const { rows } = await read('a.tsv', '\uFEFFsentence\tlabel\nhe said "no\t0\n"quoted" start\t1\r\n');
    expect(rows).toEqual([
      { text: 'he said "no', label: '0', line: 2 },
      { text: '"quoted" start', label: '1', line: 3 },
    ]);
  });

  it('knows MRPC’s and STS-B’s columns, and files without a header', async () => {
    const mrpc = await read('mrpc.tsv', 'Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tone\ttwo\n');
    expect(mrpc.rows).toEqual([{ text: 'one', pair: 'two', label: '1', line: 2 }]);
    const sts = await read('sts.tsv', 'index\tsentence1\tsentence2\tscore\n0\ta\tb\t3.2\n');
    expect(sts.rows).toEqual([{ text: 'a', pair: 'b', label: '3.2', line: 2 }]);
    const plain = await read('plain.tsv', 'good\tpos\nbad\tneg\n');
    expect(plain.rows.map(({ text, label }) => [text, label])).toEqual([
      ['good', 'pos'],
      ['bad', 'neg'],
    ]);
    const trec = await read('trec.tsv', 'LOC\tcity\tWhere ?\n', { textColumn: 2, labelColumn: 0 });
    expect(trec.rows).toEqual([{ text: 'Where ?', label: 'LOC', line: 1 }]);
  });

  it('never takes one column for text and label', async () => {
    const rows = async (options: TableOptions) => {
      const table = await read('turned.tsv', 'pos\tgood\nneg\tbad\n', options);
      return table.rows.map(({ text, label }) => [text, label]);
    };
    const turned = [
      ['good', 'pos'],
      ['bad', 'neg'],
    ];
    expect(await rows({ textColumn: 1 })).toEqual(turned);
    expect(await rows({ labelColumn: 0 })).toEqual(turned);
    expect(await rows({ textColumn: 1, labelColumn: 0 })).toEqual(turned);
    const named = await read('score.tsv', 'score\tlabel\nfine\t1\n', { textColumn: 'score' });
    expect(named.rows).toEqual([{ text: 'fine', label: '1', line: 2 }]);
    expect(await message(rows({ textColumn: 1, labelColumn: 1 }))).toMatchSnapshot();
  });

  it('takes both texts of a pair where one has the usual name of a single text', async () => {
    const { rows } = await read('qnli.tsv', 'index\tquestion\tsentence\tlabel\n0\twho ?\thim .\tno\n');
    expect(rows).toEqual([{ text: 'who ?', pair: 'him .', label: 'no', line: 2 }]);
  });

  it('refuses a row that a tab in its text has shifted, not a blank cell at the end', async () => {
    expect(await message(read('shifted.tsv', 'text\tlabel\na\tb\t1\n'))).toMatchSnapshot();
    const trailing = await read('trailing.tsv', 'text\tlabel\na\t1\t\n');
    expect(trailing.rows).toEqual([{ text: 'a', label: '1', line: 2 }]);
    const ragged = await read('ragged.tsv', '1\ta\n0\tb\tmore\n', { textColumn: 1, labelColumn: 0 });
    expect(ragged.rows.map(({ text }) => text)).toEqual(['a', 'b']);
  });

  it.runIf(existsSync(shared))('reads the real files', async () => {
    const counts: Record<string, number> = {
      'sst2/train.tsv': 67_349,
      'sst2/validation.tsv': 872,
      'mrpc/train.tsv': 3668,
      'mrpc/validation.tsv': 408,
      'sts-b/train.tsv': 5749,
      'sts-b/validation.tsv': 1500,
    };
    for (const [name, count] of Object.entries(counts)) {
      const table = await readTable(shared + name, { requireLabels: true });
      expect(table.rows.length, name).toBe(count);
      const labels = inferLabels(table);
      expect(labels.problemType, name).toBe(
        name.startsWith('sts') ? 'regression' : 'single_label_classification',
      );
      expect(encodeLabels(table, labels).length).toBe(count);
    }
    const trec = await readTable(`${shared}trec/train.tsv`, { textColumn: 2, labelColumn: 0, header: false });
    expect(inferLabels(trec).names).toEqual(['ABBR', 'DESC', 'ENTY', 'HUM', 'LOC', 'NUM']);
  });
});

describe('CSV and JSON lines', () => {
  it('unquotes CSV', async () => {
    const { rows } = await read('a.csv', 'text,label\n"one, ""two""\nthree",x\nplain,y\n');
    expect(rows).toMatchObject([
      { text: 'one, "two"\nthree', label: 'x' },
      { text: 'plain', label: 'y' },
    ]);
  });

  it('reads objects', async () => {
    const { rows } = await read(
      'a.jsonl',
      '{"text": "one", "label": 1}\n\n{"text": "two", "label": ["a", "b"]}\n',
    );
    expect(rows).toEqual([
      { text: 'one', label: '1', line: 1 },
      { text: 'two', label: ['a', 'b'], line: 3 },
    ]);
  });
});

describe('cells', () => {
  const parted = [
    ['a, b', 'x'],
    ['c', 'y'],
  ];
  const rows = async (name: string, text: string, options?: TableOptions) =>
    (await read(name, text, options)).rows.map(({ text, label }) => [text, label]);

  it('of a CSV file may be parted by what its header, or Excel’s first line, says', async () => {
    expect(await rows('semicolon.csv', 'text;label\na, b;x\nc;y\n')).toEqual(parted);
    expect(await rows('tab.csv', 'text\tlabel\na, b\tx\nc\ty\n')).toEqual(parted);
    for (const chunkBytes of [1, 7, 1000]) {
      const table = await read('sep.csv', '\uFEFFsep=;\r\ntext;label\r\n"a, b";x\r\nc;y\r\n', { chunkBytes });
      expect(table.rows.map(({ text, label, line }) => [text, label, line])).toEqual([
        ['a, b', 'x', 3],
        ['c', 'y', 4],
      ]);
    }
  });

  it('are parted as asked for', async () => {
    expect(await rows('asked.csv', '"a, b"|x\nc|y\n', { delimiter: '|' })).toEqual(parted);
    const quoted = 'text\tlabel\n"a, b"\tx\nc\ty\n';
    expect(await rows('quoted.tsv', quoted, { format: 'csv', delimiter: '\t' })).toEqual(parted);
    expect((await rows('quoted.tsv', quoted))[0]).toEqual(['"a, b"', 'x']);
  });

  it('that another character seems to part are named', async () => {
    const messages = [
      await message(read('bare.csv', 'a;x\nb;y\nc;x\n')),
      await message(read('commas.tsv', 'text,label\na,x\nb,y\n')),
      await message(read('semicolons.tsv', 'text;label\na;x\nb;y\n')),
      await message(read('long.csv', 'text,label\na,x\n', { delimiter: ', ' })),
    ];
    expect(messages).toMatchSnapshot();
    const one = await read('one.csv', 'first; second\nthird; fourth\n', { delimiter: ',' });
    expect(one.rows.map(({ text }) => text)).toEqual(['first; second', 'third; fourth']);
  });

  it('of a header that stands twice, or names two columns alike, are named', async () => {
    const messages = [
      await message(read('joined.tsv', 'text\tlabel\na\tx\n\uFEFFtext\tlabel\nb\ty\n')),
      await message(read('alike.csv', 'text,label,label\na,x,1\n')),
      await message(read('nan.jsonl', '{"text":"a","score":0.5}\n{"text":"b","score":NaN}\n')),
    ];
    expect(messages).toMatchSnapshot();
  });

  it('of one name may be chosen by number', async () => {
    const options = { header: true, textColumn: 0, labelColumn: 2 };
    expect(await rows('alike.csv', 'text,label,label\na,x,1\n', options)).toEqual([['a', '1']]);
  });

  it('of numbers with commas between them are no names, with and without spaces', async () => {
    for (const labelColumn of ['1,2', '1, 2'])
      expect((await read('classes.csv', 'a,1,0\nb,0,1\n', { labelColumn, textColumn: 0 })).rows).toHaveLength(
        2,
      );
  });

  it('that were chosen are told, with the reason', async () => {
    const pairs = await read('pairs.tsv', 'id\tpremise\thypothesis\tgrade\n1\ta\tb\tx\n', { labelColumn: 3 });
    expect(pairs.layout).toEqual({
      format: 'tsv',
      delimiter: '\t',
      header: true,
      columns: {
        text: 'premise',
        pair: 'hypothesis',
        label: 'grade',
        reasons: { text: 'a usual name', pair: 'a usual name', label: 'as asked for' },
      },
    });
    const placed = await read('placed.csv', 'a,x\nb,y\n');
    expect(placed.layout!.columns).toMatchObject({
      text: 'column 0',
      label: 'column 1',
      reasons: { label: 'by its place' },
    });
  });

  it('of labels may be left alone', async () => {
    const text = '{"text":"a","label":null}\n{"text":"b","label":[{}]}\n';
    expect((await read('test.jsonl', text, { readLabels: false })).rows).toEqual([
      { text: 'a', line: 1 },
      { text: 'b', line: 2 },
    ]);
  });
});

describe('reading piece by piece', () => {
  const files = {
    'p.tsv': '\uFEFFtext\tlabel\nhé said "no\t0\r\n\n日本語 😀\t1\n"\t0\nlast\t1',
    'p.csv': '\uFEFFtext,label\n"one, ""two""\n\nthrée",x\r\n\n"a\nb ""c""",y\n"日本語 😀",z\nlast,x',
    'p.jsonl': '\uFEFF{"text":"é","label":1}\n\n{"text":"日本語 😀","label":2}\r\n{"text":"\\n","label":3}',
  };

  it.each(Object.entries(files))('gives the same rows of %s whatever the size', async (name, text) => {
    const whole = await read(name, text);
    expect(whole.rows).toMatchSnapshot();
    for (let chunkBytes = 1; chunkBytes <= 40; chunkBytes += 1)
      expect((await read(name, text, { chunkBytes })).rows, name + chunkBytes).toEqual(whole.rows);
  });

  it('tells the line in the file', async () => {
    const broken = {
      'width.csv': 'text,label\n"a\nb",x\nc,y\n"d\ne"\n',
      'quote.csv': 'text,label\na,x\nb,y\nc "d",x\n',
      'open.csv': 'text,label\na,x\nb,y\n"c,x\n',
      'cut.jsonl': '{"text":"a"}\n{"text":"b"}\n{"text":\n',
    };
    for (const [name, text] of Object.entries(broken)) {
      const whole = await message(read(name, text));
      expect(whole).toMatchSnapshot();
      expect(await message(read(name, text, { chunkBytes: 7 }))).toBe(whole);
    }
  });
});

describe('labels', () => {
  it('infers classes, values and sets', async () => {
    const numbers = await read('n.tsv', 'text\tlabel\na\t10\nb\t2\n');
    expect(inferLabels(numbers)).toEqual({ problemType: 'single_label_classification', names: ['2', '10'] });
    const values = await read('v.tsv', 'text\tlabel\na\t1.5\nb\t2\n');
    expect(encodeLabels(values, inferLabels(values))).toEqual([1.5, 2]);
    const sets = await read('s.tsv', 'text\tlabel\na\tred, blue\nb\tblue\n');
    expect(encodeLabels(sets, inferLabels(sets, 'multi_label_classification'))).toEqual([
      [1, 1],
      [1, 0],
    ]);
  });

  it('sorts sets of numbers by value, and knows a text without any label', async () => {
    const sets = await read('sets.jsonl', '{"text":"a","label":["10","2"]}\n{"text":"b","label":[]}\n');
    const labels = inferLabels(sets, 'multi_label_classification');
    expect(labels.names).toEqual(['2', '10']);
    expect(encodeLabels(sets, labels)).toEqual([
      [1, 1],
      [0, 0],
    ]);
    const loose = await read('loose.tsv', 'text\tlabel\na\tred,\nb\t blue ; red\nc\t\n');
    expect(inferLabels(loose, 'multi_label_classification').names).toEqual(['blue', 'red']);
    const none = await read('none.tsv', 'text\tlabel\na\t\n');
    expect(() => inferLabels(none, 'multi_label_classification')).toThrow('no row has a label');
  });
});

describe('a first row', () => {
  const first = (text: string, options?: TableOptions) => read('first.tsv', text, options);

  it('that may be a header of unusual names is not taken for data', async () => {
    for (const text of [
      'tweet\tcategory\na\tpos\nb\tpos\nc\tneg\nd\tneg\n',
      'tweet\tstars_\na\t1.5\nb\t2.5\nc\t3\n',
    ]) {
      await expect(first(text)).rejects.toThrow(
        /the first row, labelled '.*' unlike all others, may be a header/,
      );
      expect((await first(text, { header: true, textColumn: 0, labelColumn: 1 })).rows[0]!.text).toBe('a');
    }
  });

  it('of data is data', async () => {
    for (const text of ['a\tpos\nb\tneg\nc\tpos\n', 'a\tx\nb\ty\nc\tz\n', 'a\t1\nb\t2\nc\t3\n'])
      expect((await first(text)).rows.length).toBe(3);
  });
});

describe('bad input', () => {
  it('is named', async () => {
    const train = await read('train.tsv', 'text\tlabel\na\tyes\nb\tno\n');
    const other = await read('other.tsv', 'text\tlabel\na\tyes\nb\tmaybe\n');
    const messages = [
      await message(readTable(join(scratch, 'missing.tsv'))),
      await message(read('empty.tsv', '')),
      await message(read('header.tsv', 'text\tlabel\n')),
      await message(read('short.tsv', 'text\tlabel\nfine\t1\ntoo short\n')),
      await message(read('column.tsv', 'text\tlabel\na\t1\n', { textColumn: 'body' })),
      await message(read('three.tsv', 'a\tb\tc\n')),
      await message(read('unlabelled.tsv', 'text\tlabel\na\t\n').then((table) => inferLabels(table))),
      await message(read('nolabel.csv', 'text,other\na,b\n', { requireLabels: true })),
      await message(read('bad.jsonl', '{"text": "a"}\n{"text": \n')),
      await message(read('keys.jsonl', '{"text": "a"}\n{"body": "b"}\n')),
      await message(read('format.txt', 'a\tb\n')),
      await message(Promise.resolve().then(() => encodeLabels(other, inferLabels(train)))),
      await message(read('one.tsv', 'text\tlabel\na\tx\nb\tx\n').then((table) => inferLabels(table))),
    ];
    expect(messages).toMatchSnapshot();
  });

  it('is named: a label that is no number, a list for a text, a folder', async () => {
    const encoded = async (label: string) => {
      const table = await read('value.tsv', `text\tlabel\na\t${label}\n`);
      return encodeLabels(table, { problemType: 'regression', names: ['LABEL_0'] });
    };
    const messages = [
      await message(encoded('yes')),
      await message(encoded('0x10')),
      await message(encoded('1e999')),
      await message(read('list.jsonl', '{"text":["a","b"],"label":1}\n')),
      await message(readTable(scratch, { format: 'tsv' })),
    ];
    expect(messages).toMatchSnapshot();
  });
});

describe('encodeTable', () => {
  const words: Encoder = {
    encode: (text, pair, { truncation, maxLength }) => {
      const ids = [text, pair ?? '']
        .join(' ')
        .trim()
        .split(' ')
        .map((word) => word.length);
      const inputIds = truncation ? ids.slice(0, maxLength) : ids;
      return { inputIds, tokenTypeIds: inputIds.map(() => 0) };
    },
  };

  it('encodes, cuts, and names the row that is too long', async () => {
    const table = await read('long.tsv', 'text\tlabel\na bb\t0\na bb ccc dddd\t1\n');
    const cut = encodeTable(table, [0, 1], words, { maxLength: 3, truncation: true });
    expect([cut.get(0), cut.get(1)]).toEqual([
      { inputIds: [1, 2], tokenTypeIds: [0, 0], label: 0 },
      { inputIds: [1, 2, 3], tokenTypeIds: [0, 0, 0], label: 1 },
    ]);
    const long = Promise.resolve().then(() =>
      encodeTable(table, null, words, { maxLength: 3, truncation: false }),
    );
    expect(await message(long)).toMatchSnapshot();
  });
});
