/** The embedded example: its data, and both ways of training on it. */
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loop } from '../../examples/loop.ts';
import { finetune } from '../../examples/trainer.ts';
import { readTable } from '../../src/data/table.ts';

const folder = new URL('../../examples/sentiment/', import.meta.url).pathname;
const splits = { train: 460, dev: 50, test: 100 };

const normal = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z ]/g, '')
    .trim();

function grams(text: string, n: number): string[] {
  const words = normal(text).split(/\s+/);
  return Array.from({ length: Math.max(words.length - n + 1, 0) }, (_, i) => words.slice(i, i + n).join(' '));
}

describe('the data', async () => {
  const tables = Object.fromEntries(
    await Promise.all(
      Object.keys(splits).map(
        async (name) => [name, (await readTable(`${folder}${name}.tsv`)).rows] as const,
      ),
    ),
  );

  it.each(Object.entries(splits))('%s has %i rows, balanced', (name, count) => {
    const rows = tables[name]!;
    expect(rows.length).toBe(count);
    const positive = rows.filter(({ label }) => label === 'positive').length / count;
    expect(Math.max(positive, 1 - positive)).toBeLessThanOrEqual(0.55);
    expect(new Set(rows.map(({ label }) => label))).toEqual(new Set(['positive', 'negative']));
  });

  it('repeats no sentence', () => {
    const all = Object.values(tables)
      .flat()
      .map(({ text }) => normal(text));
    expect(all.length - new Set(all).size).toBe(0);
  });

  it('tests on sentences whose wording is not in the training data', () => {
    const seen = new Set(tables.train!.flatMap(({ text }) => grams(text, 6)));
    const copied = tables.test!.filter(({ text }) => {
      const own = grams(text, 6);
      return own.length > 0 && own.filter((gram) => seen.has(gram)).length / own.length > 0.5;
    });
    expect(copied.map(({ text }) => text)).toEqual([]);
  });

  it('is small', async () => {
    const files = await readdir(folder, { recursive: true });
    const sizes = await Promise.all(files.map(async (name) => (await stat(join(folder, name))).size));
    expect(sizes.reduce((a, b) => a + b, 0)).toBeLessThan(5e6);
    expect((await readFile(`${folder}README.md`, 'utf8')).length).toBeGreaterThan(500);
  });
});

describe('the examples', () => {
  it('learns with the Trainer', async () => {
    const output = await mkdtemp(join(tmpdir(), 'dawngrad-'));
    expect(await finetune({ output }, { numTrainEpochs: 3 })).toBeGreaterThanOrEqual(0.8);
    expect(await readdir(output)).toContain('model.safetensors');
    await rm(output, { recursive: true });
  });

  it('learns with a loop of one’s own', async () => {
    const means = await loop(2);
    expect(means.length).toBe(2);
    expect(means[1]!).toBeLessThan(means[0]! * 0.9);
  });
});
