/** Library messages rewritten with the command's option names. */
import { expect, it } from 'vitest';
import { inCommandNames } from '../../src/cli/names.ts';

it.each([
  ["learningRate is -5, in 'learningRate/seed' it was 1", "--lr is -5, in 'learningRate/seed' it was 1"],
  ['resume with seed 42: x', 'resume with --seed 42: x'],
  ['resume with groupByLength false: x', 'resume without --group-by-length: x'],
  ['resume with groupByLength true: x', 'resume with --group-by-length: x'],
  ["loss is 'loss', in 'a' it was null: the loss", "--loss is 'loss', in 'a' it was null: the loss"],
  ['maxLength is 9, in x', '--max-length is 9, in x'],
  ['fp16 is true, before it was false', '--fp16 is true, before it was false'],
])('%s', (message, shown) => {
  expect(inCommandNames(message)).toBe(shown);
});
