/** Weights of classes from a file. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { readClassWeights } from '../../src/cli/class-weights.ts';
import { ConfigError, FileError } from '../../src/errors.ts';
import { taskNamed } from '../../src/tasks/registry.ts';
import { resolveArguments } from '../../src/train/argument-checks.ts';

const folder = mkdtempSync(join(tmpdir(), 'dawngrad-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const failure = (value: unknown): Promise<unknown> =>
  readClassWeights(value).catch((error: unknown) => error);

it('reads weights by name, or in order', async () => {
  const named = { 'ham, or eggs=': 1, spam: 2.5 };
  expect(await readClassWeights(file('named.json', JSON.stringify(named)))).toEqual(named);
  expect(await readClassWeights(file('list.JSON', '[1, 2]'))).toEqual([1, 2]);
  for (const other of ['balanced', [1, 2], { a: 1 }]) expect(await readClassWeights(other)).toBe(other);
});

it('refuses a file that is missing or broken, and values that are no weights', async () => {
  expect(await failure(join(folder, 'none.json'))).toBeInstanceOf(FileError);
  expect(await failure(file('broken.json', '{'))).toBeInstanceOf(ConfigError);
  const classWeights = await readClassWeights(file('odd.json', '{"a": "1"}'));
  expect(() => resolveArguments({ outputDir: 'x', classWeights: classWeights as never })).toThrow(
    /classWeights is .* a number of 0 or more for each class/,
  );
});

it.each(['token-classification', 'multiple-choice', 'sentence-similarity'])(
  '%s refuses several columns of labels',
  async (name) => {
    const path = file('rows.jsonl', '{"text": "a", "a": 1, "b": 2}\n');
    await expect(taskNamed(name).read(path, { labelColumn: ['a', 'b'] })).rejects.toThrow(
      /there are 2 columns of labels: a, b · name one with --label-column/,
    );
  },
);
