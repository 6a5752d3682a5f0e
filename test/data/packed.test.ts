/** Data in gzip, Parquet (test/reference/data_fixtures.py) and JSON arrays. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { readTable } from '../../src/data/table.ts';
import { decideTask } from '../../src/data/task.ts';
import { readTaggedTexts } from '../../src/data/tokens.ts';
import { taskOfFile } from '../../src/tasks/registry.ts';

const data = new URL('../reference/fixtures/data/', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'dawngrad-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const tsv = `sentence\tlabel\n${Array.from({ length: 200 }, (_, at) => `text ${at} é\t${at % 2 ? 'up' : 'down'}`).join('\n')}\n`;

describe('gzip', () => {
  it('is unpacked, whatever the size of the chunks', async () => {
    const plain = await readTable(file('plain.tsv', tsv));
    const packed = file('packed.tsv.gz', gzipSync(tsv));
    for (const chunkBytes of [1, 3, 100, undefined]) {
      const table = await readTable(packed, chunkBytes === undefined ? {} : { chunkBytes });
      expect(table.rows).toEqual(plain.rows);
    }
  });

  it('may be of several members, and is known without its ending', async () => {
    const [head, ...lines] = tsv.split('\n');
    const parts = [`${head}\n`, lines.slice(0, 9).join('\n'), `\n${lines.slice(9).join('\n')}`];
    const path = file('members.tsv', Buffer.concat(parts.map((part) => gzipSync(part))));
    expect((await readTable(path)).rows).toEqual((await readTable(file('plain.tsv', tsv))).rows);
  });

  it('tells lines of invalid bytes as plain files do', async () => {
    const bytes = Buffer.concat([
      Buffer.from('sentence\tlabel\na\tb\n'),
      Buffer.of(0xff),
      Buffer.from('\tb\n'),
    ]);
    await expect(readTable(file('bytes.tsv.gz', gzipSync(bytes)))).rejects.toThrow(/bytes.tsv.gz: line 3/);
  });

  it('is refused if it is cut off', async () => {
    const path = file('cut.tsv.gz', gzipSync(tsv).subarray(0, 200));
    await expect(readTable(path)).rejects.toThrow(
      /cut.tsv.gz cannot be unpacked: the gzip file is damaged or cut off · copy or pack it again/,
    );
  });
});

describe('Parquet', () => {
  it.each(['snappy', 'gzip', 'zstd'])(
    'packed with %s has texts, and classes by their names',
    async (codec) => {
      const { rows, layout } = await readTable(`${data}classes-${codec}.parquet`);
      expect(layout!.columns).toMatchObject({ text: 'sentence', label: 'label' });
      expect(rows).toHaveLength(12);
      expect(rows.slice(0, 3)).toEqual([
        { text: 'fine "work"', label: 'positive', line: 1 },
        { text: 'dull, and\nlong', label: 'negative', line: 2 },
        { text: 'très bon 👍', label: 'positive', line: 3 },
      ]);
    },
  );

  it('keeps the decimal point of values', async () => {
    const table = await readTable(`${data}values.parquet`);
    expect(table.rows.map(({ label }) => label)).toEqual(['3.0', '1.0', '4.5']);
    expect(table.rows[0]).toMatchObject({ text: 'a', pair: 'd' });
    expect(decideTask(table).labels.problemType).toBe('regression');
  });

  it('has words with tags by their names', async () => {
    const path = `${data}words.parquet`;
    expect((await taskOfFile(path, {})).task.name).toBe('token-classification');
    const texts = await readTaggedTexts(path);
    expect(texts.map(({ tags }) => tags)).toEqual([
      ['B-PER', 'O'],
      ['O', 'B-LOC', 'O'],
    ]);
  });

  it('is refused if it is damaged, and with an encoding', async () => {
    const bytes = readFileSync(`${data}values.parquet`);
    await expect(readTable(file('cut.parquet', bytes.subarray(0, 300)))).rejects.toThrow(
      /cut.parquet cannot be read as Parquet: .* · write the file again/,
    );
    await expect(readTable(`${data}values.parquet`, { encoding: 'latin1' })).rejects.toThrow(
      /is Parquet, which is always UTF-8 · leave --encoding out/,
    );
  });
});

describe('a JSON array', () => {
  const rows = [
    { text: 'a [b] {c}, "d"', score: 1 },
    { text: 'e\\f\n', score: 2.5 },
  ];
  it.each([
    ['on one line', JSON.stringify(rows)],
    ['on many lines', JSON.stringify(rows, null, 2)],
    ['with blanks around', `\n\n  ${JSON.stringify(rows)}\n\n`],
  ])('%s is read as JSON lines are', async (name, text) => {
    const table = await readTable(file(`${name}.json`, text));
    expect(table.rows.map(({ line: _, ...row }) => row)).toEqual([
      { text: 'a [b] {c}, "d"', label: '1' },
      { text: 'e\\f\n', label: '2.5' },
    ]);
  });

  it('keeps how numbers are written, and the lines', async () => {
    const text =
      '[\n{"text": "a", "score": 3.0},\n{"text": "b",\n "score": 1.0}, {"text": "c", "score": 2.0}\n]';
    const { rows: found } = await readTable(file('numbers.json', text));
    expect(found.map(({ label, line }) => [label, line])).toEqual([
      ['3.0', 2],
      ['1.0', 3],
      ['2.0', 4],
    ]);
  });

  it.each([
    ['without end', '[{"text": "a", "label": "b"}'],
    ['of strings', '["a", "b"]'],
    ['of lists', '[["a", "b"]]'],
    ['with a broken entry', '[{"text": "a", "label": "b"},\n{"text": "a" "label"}]'],
  ])('%s is refused', async (name, text) => {
    await expect(readTable(file(`${name}.json`, text))).rejects.toThrow(
      /without end|of strings|of lists|broken/,
    );
    const error = await readTable(file(`${name}.json`, text)).catch((one: Error) => one);
    expect(String(error).replaceAll(folder, '')).toMatchSnapshot();
  });
});
