/** A file of another task is refused by the name of its own, whichever two they are. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readFor, taskNamed, taskNames, taskOfFile } from '../../src/tasks/registry.ts';

const scratch = mkdtempSync(join(tmpdir(), 'dawngrad-files-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const files: Record<string, [name: string, content: string]> = {
  'text-classification': ['a.tsv', 'text\tlabel\nfine\tyes\nbad\tno\n'],
  'token-classification': ['b.conll', 'Ann B-PER\nsang O\n\nOslo B-LOC\n'],
  'question-answering': [
    'c.jsonl',
    '{"question": "who", "context": "Ann sang", "answers": [{"text": "Ann", "answer_start": 0}]}\n',
  ],
  'multiple-choice': ['d.csv', 'sent1,ending0,ending1,label\nAnn,sings,runs,0\n'],
  'fill-mask': ['e.txt', 'Ann sang in Oslo\nit rained\n'],
  'sentence-similarity': [
    'f.jsonl',
    '{"anchor": "who", "positive": "Ann"}\n{"anchor": "a", "positive": "b"}\n',
  ],
};
/** Files that serve another task as well. */
const serves: Record<string, readonly string[]> = {
  'fill-mask': ['text-classification'],
  'sentence-similarity': ['text-classification', 'fill-mask'],
};

describe.each(taskNames)('a file of %s', (own) => {
  const [name, content] = files[own]!;
  const path = join(scratch, name);
  writeFileSync(path, content);

  it('is told', async () => {
    expect((await taskOfFile(path, {})).task.name).toBe(own);
  });

  it.each(taskNames)('as %s', async (asked) => {
    const task = taskNamed(asked);
    if (asked === own || serves[asked]?.includes(own) === true) {
      expect((await readFor(task, path, {})).examples.length).toBeGreaterThan(0);
      return;
    }
    await expect(readFor(task, path, {})).rejects.toThrow(
      new RegExp(`${name} looks like ${own} \\(.+\\), and ${asked} takes .+ · pass --task ${own}`),
    );
  });
});
