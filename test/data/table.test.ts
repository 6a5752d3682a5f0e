/** Readers: GLUE's quirks, and errors that name file, line and column. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeLabels, inferLabels } from '../../src/data/labels.ts';
import { type TableOptions, readTable } from '../../src/data/table.ts';

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
  promise.then(() => 'no error', (error: Error) => `${error.name}: ${error.message.replaceAll(scratch, 'FOLDER')}`);

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
    expect(plain.rows.map(({ text, label }) => [text, label])).toEqual([['good', 'pos'], ['bad', 'neg']]);
    const trec = await read('trec.tsv', 'LOC\tcity\tWhere ?\n', { textColumn: 2, labelColumn: 0 });
    expect(trec.rows).toEqual([{ text: 'Where ?', label: 'LOC', line: 1 }]);
  });

  it.runIf(existsSync(shared))('reads the real files', async () => {
    const counts: Record<string, number> = { 'sst2/train.tsv': 67_349, 'sst2/validation.tsv': 872, 'mrpc/train.tsv': 3668, 'mrpc/validation.tsv': 408, 'sts-b/train.tsv': 5749, 'sts-b/validation.tsv': 1500 };
    for (const [name, count] of Object.entries(counts)) {
      const table = await readTable(shared + name, { requireLabels: true });
      expect(table.rows.length, name).toBe(count);
      const labels = inferLabels(table);
      expect(labels.problemType, name).toBe(name.startsWith('sts') ? 'regression' : 'single_label_classification');
      expect(encodeLabels(table, labels).length).toBe(count);
    }
    const trec = await readTable(`${shared}trec/train.tsv`, { textColumn: 2, labelColumn: 0, header: false });
    expect(inferLabels(trec).names).toEqual(['ABBR', 'DESC', 'ENTY', 'HUM', 'LOC', 'NUM']);
  });
});

describe('CSV and JSON lines', () => {
  it('unquotes CSV', async () => {
    const { rows } = await read('a.csv', 'text,label\n"one, ""two""\nthree",x\nplain,y\n');
    expect(rows).toMatchObject([{ text: 'one, "two"\nthree', label: 'x' }, { text: 'plain', label: 'y' }]);
  });

  it('reads objects', async () => {
    const { rows } = await read('a.jsonl', '{"text": "one", "label": 1}\n\n{"text": "two", "label": ["a", "b"]}\n');
    expect(rows).toEqual([{ text: 'one', label: '1', line: 1 }, { text: 'two', label: 'a,b', line: 3 }]);
  });
});

describe('labels', () => {
  it('infers classes, values and sets', async () => {
    const numbers = await read('n.tsv', 'text\tlabel\na\t10\nb\t2\n');
    expect(inferLabels(numbers)).toEqual({ problemType: 'single_label_classification', names: ['2', '10'] });
    const values = await read('v.tsv', 'text\tlabel\na\t1.5\nb\t2\n');
    expect(encodeLabels(values, inferLabels(values))).toEqual([1.5, 2]);
    const sets = await read('s.tsv', 'text\tlabel\na\tred, blue\nb\tblue\n');
    expect(encodeLabels(sets, inferLabels(sets, 'multi_label_classification'))).toEqual([[1, 1], [1, 0]]);
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
      await message(read('unlabelled.tsv', 'text\tlabel\na\t\n')),
      await message(read('nolabel.csv', 'text,other\na,b\n', { requireLabels: true })),
      await message(read('bad.jsonl', '{"text": "a"}\n{"text": \n')),
      await message(read('keys.jsonl', '{"text": "a"}\n{"body": "b"}\n')),
      await message(read('format.txt', 'a\tb\n')),
      await message(Promise.resolve().then(() => encodeLabels(other, inferLabels(train)))),
      await message(read('one.tsv', 'text\tlabel\na\tx\nb\tx\n').then((table) => inferLabels(table))),
    ];
    expect(messages).toMatchSnapshot();
  });
});
