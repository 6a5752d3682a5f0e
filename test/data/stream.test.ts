/** Data that are read anew each epoch: their order, their batches, and what a task makes of files. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type StreamDataset, StreamLoader } from '../../src/data/stream.ts';
import { DataError } from '../../src/errors.ts';
import { taskNamed } from '../../src/tasks/registry.ts';
import { ThinRows } from '../../src/tasks/thin-rows.ts';

const folder = mkdtempSync(join(tmpdir(), 'dawngrad-stream-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Counts how many rows were read and encoded. */
function numbers(length: number, bufferSize: number, real = length) {
  const counts = { read: 0, encoded: 0, most: 0 };
  const held = new Set<number>();
  const dataset: StreamDataset<number, number> = {
    length,
    bufferSize,
    digest: '',
    async *rows() {
      for (let row = 0; row < real; row += 1) {
        counts.read += 1;
        held.add(row);
        counts.most = Math.max(counts.most, held.size);
        yield row;
      }
    },
    encode(rows) {
      counts.encoded += rows.length;
      for (const row of rows) held.delete(row);
      return rows;
    },
  };
  return { dataset, counts };
}
const collate = (examples: readonly number[], indices: readonly number[], stream: number) => ({
  shape: [examples.length],
  rows: [...examples],
  indices: [...indices],
  stream,
});
type Made = ReturnType<typeof collate>;

async function batchesOf(
  dataset: StreamDataset<number, number>,
  options: object = {},
  place: [number?, number?] = [],
) {
  const loader = new StreamLoader(dataset, { batchSize: 4, collate: collate as never, ...options });
  const batches: Made[] = [];
  for await (const batch of loader.batches(...place)) batches.push(batch as unknown as Made);
  return batches;
}
const rowsOf = (batches: readonly Made[]) => batches.flatMap(({ rows }) => rows);

describe('a stream', () => {
  it('gives every row once an epoch, in an order of the seed and the epoch', async () => {
    const { dataset, counts } = numbers(30, 8);
    const orders = [];
    for (const place of [[0], [0], [1]] as [number][])
      orders.push(rowsOf(await batchesOf(dataset, { seed: 3 }, place)));
    orders.push(rowsOf(await batchesOf(dataset, { seed: 4 })));
    for (const order of orders) expect([...order].sort((a, b) => a - b)).toEqual([...Array(30).keys()]);
    expect(orders[0]).toEqual(orders[1]);
    expect(new Set(orders.map(String)).size).toBe(3);
    // The buffer, a batch, and the row that is read.
    expect(counts.most).toBeLessThanOrEqual(8 + 4 + 1);
  });

  it('draws as datasets do: from a full buffer, whose place the next row takes', async () => {
    const order = rowsOf(await batchesOf(numbers(40, 5).dataset));
    // Row r is read before the draw number r − 5, at the earliest.
    for (const [at, row] of order.entries()) expect(row).toBeLessThanOrEqual(at + 5);
    expect(order).not.toEqual([...order].sort((a, b) => a - b));
    expect(rowsOf(await batchesOf(numbers(9, 1).dataset))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    const whole = rowsOf(await batchesOf(numbers(9, 100).dataset));
    expect(whole).not.toEqual([...whole].sort((a, b) => a - b));
  });

  it('goes on from a batch, and encodes none of those before', async () => {
    const { dataset, counts } = numbers(30, 8);
    const all = await batchesOf(dataset, {}, [2]);
    counts.encoded = 0;
    expect(await batchesOf(dataset, {}, [2, 5])).toEqual(all.slice(5));
    expect(counts.encoded).toBe(10);
    expect(all.map(({ stream }) => stream)).toEqual([16, 17, 18, 19, 20, 21, 22, 23]);
    expect(all.at(-1)!.indices).toEqual([28, 29]);
  });

  it('leaves out a last batch that is not full', async () => {
    expect(await batchesOf(numbers(30, 8).dataset, { dropLast: true })).toHaveLength(7);
  });

  it('refuses data that changed, fill no batch, or have no buffer', async () => {
    await expect(batchesOf(numbers(30, 8, 29).dataset)).rejects.toThrow(/there were 30 rows/);
    await expect(batchesOf(numbers(30, 8, 31).dataset)).rejects.toThrow(DataError);
    await expect(batchesOf(numbers(3, 8).dataset, { dropLast: true })).rejects.toThrow(/do not fill a batch/);
    await expect(batchesOf(numbers(3, 0).dataset)).rejects.toThrow(/bufferSize is 0/);
    await expect(batchesOf(numbers(3, 8).dataset, { shuffle: true })).rejects.toThrow(/no option 'shuffle'/);
  });
});

describe('rows without their texts', () => {
  const file = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const task = taskNamed('text-classification');

  it.each([
    ['classes', (at: number) => `text ${at}\t${at % 3 === 0 ? 'a' : 'b'}`],
    ['values', (at: number) => `text ${at}\t${at / 4}5`],
    [
      'odd texts',
      (at: number) => `${at === 5 ? ' ' : at === 6 ? 'x\uFFFD' : 'text'}\t${at % 2 === 0 ? 'yes' : 'no'}`,
    ],
    ['numbers for classes', (at: number) => `text ${at}\t${at % 2}`],
  ])('decide as rows with them: %s', async (name, row) => {
    const path = file(
      `${name}.tsv`,
      `text\tlabel\n${Array.from({ length: 60 }, (_, at) => `${row(at)}\n`).join('')}`,
    );
    const [whole, thin] = [await task.read(path, {}), await task.survey(path, {})];
    expect(task.decide(thin, {})).toEqual(task.decide(whole, {}));
    expect(thin.about).toEqual(whole.about);
    expect(thin.examples).toHaveLength(60);
    const rows = [];
    for await (const one of thin.rows()) rows.push(one);
    expect(JSON.stringify(rows.map((one) => (one as { row: object }).row))).toBe(
      JSON.stringify(whole.examples.map((one) => (one as { row: object }).row)),
    );
    const other = file(
      `${name}-2.tsv`,
      `text\tlabel\n${Array.from({ length: 60 }, (_, at) => `${row(at)}!\n`).join('')}`,
    );
    if (name !== 'values') expect((await task.survey(other, {})).digest).not.toBe(thin.digest);
  });

  it('refuse what rows with them refuse', async () => {
    const path = file('blank.tsv', `text\tlabel\n${'x\ta\n'.repeat(20)}${'x\t\n'.repeat(3)}`);
    const error = (read: Promise<unknown>) => read.catch((thrown: unknown) => String(thrown));
    const decided = async (read: typeof task.read) => task.decide(await read(path, {}), {});
    const wanted = await error(decided(task.read));
    expect(wanted).toMatch(/lines 22, 23, 24 have no label/);
    expect(await error(decided((...args) => task.survey(...args)))).toBe(wanted);
  });

  it('are few objects', () => {
    const { thin } = new ThinRows();
    const rows = Array.from({ length: 10_000 }, (_, line) =>
      thin({ text: `text ${line}`, label: `${line % 5}`, line }),
    );
    expect(new Set(rows).size).toBe(50);
    expect(rows.every(({ text }) => text === 'a text')).toBe(true);
  });

  it('are passages too', async () => {
    const fill = taskNamed('fill-mask');
    const path = file('lines.txt', 'one\n\ntwo\nthree\n');
    const thin = await fill.survey(path, {});
    expect(thin.examples).toHaveLength(3);
    const rows = [];
    for await (const one of thin.rows()) rows.push(one);
    expect(rows).toEqual((await fill.read(path, {})).examples);
  });
});
