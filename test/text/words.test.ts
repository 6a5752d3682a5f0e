/**
 * Texts that are split into words, and windows over long pairs, against transformers
 * (test/reference/tokenizer_words_fixtures.py).
 */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { TokenizerError } from '../../src/errors.ts';
import type { Encoding } from '../../src/text/assemble.ts';
import { AutoTokenizer } from '../../src/text/auto.ts';
import type { PreTrainedTokenizer } from '../../src/text/tokenizer.ts';
import { fixtures, hashOf, readJson } from '../support/fixtures.ts';

const folder = `${fixtures}tokenizers/`;
const { texts: strings } = await readJson<{ texts: string[] }>(`${folder}strings.json`);
const made = await readJson<
  Record<string, { singles: number[]; pairs: number[]; windows: [number, number][] }>
>(`${folder}words.json`);
const texts = strings.slice(20, 140).map((text) => {
  const words = text.split(' ').filter((word) => word !== '');
  return words.length === 0 ? ['a'] : words;
});

async function load(name: string): Promise<PreTrainedTokenizer> {
  const [own, prefix] = name.split(' ');
  if (own !== 'roberta') return AutoTokenizer.fromPretrained(folder + own);
  const copy = await mkdtemp(join(tmpdir(), 'dawngrad-words-'));
  await cp(folder + own, copy, { recursive: true });
  const config = { tokenizer_class: 'RobertaTokenizer', add_prefix_space: prefix !== undefined };
  await writeFile(join(copy, 'tokenizer_config.json'), JSON.stringify(config));
  try {
    return await AutoTokenizer.fromPretrained(copy);
  } finally {
    await rm(copy, { recursive: true });
  }
}

const flat = (windows: readonly Encoding[]): number =>
  hashOf(
    windows.map(({ inputIds, offsets, wordIds, sequenceIds }) => [
      inputIds,
      offsets.flat(),
      wordIds,
      sequenceIds,
    ]),
  );

describe.each(Object.keys(made))('%s', (name) => {
  const expected = made[name]!;

  it('encodes words', async () => {
    const tokenizer = await load(name);
    for (const [at, words] of texts.entries())
      expect(flat([tokenizer.encode(words, undefined, { isSplitIntoWords: true })]), words.join(' ')).toBe(
        expected.singles[at],
      );
  });

  it('encodes pairs of words, cut', async () => {
    const tokenizer = await load(name);
    for (const [at, words] of texts.entries()) {
      const other = texts[(at + 7) % texts.length]!;
      const options = { isSplitIntoWords: true, truncation: true, maxLength: 32 };
      expect(flat([tokenizer.encode(words, other, options)]), words.join(' ')).toBe(expected.pairs[at]);
      const { encodings } = tokenizer.encodeBatch([[words, other], words], options);
      expect(flat([encodings[0]!])).toBe(expected.pairs[at]);
    }
  });

  it('gives windows over a long second text', async () => {
    const tokenizer = await load(name);
    expect(expected.windows.length).toBeGreaterThan(30);
    for (const [at, hash] of expected.windows) {
      const [words, other] = [texts[at]!, texts[(at + 7) % texts.length]!];
      const { encodings } = tokenizer.encodeBatch(
        [[words.slice(0, 4).join(' '), [...words, ...other].join(' ')]],
        {
          maxLength: 24,
          stride: 5,
          truncation: 'only_second',
          returnOverflowingTokens: true,
        },
      );
      expect(flat(encodings), words.join(' ')).toBe(hash);
    }
  });
});

it('refuses words without the option, and a text with it', async () => {
  const tokenizer = await load('bert-uncased');
  expect(() => tokenizer.encode(['a', 'b'])).toThrow(/a list · give a string, or pass isSplitIntoWords/);
  expect(() => tokenizer.encode('a', undefined, { isSplitIntoWords: true })).toThrow(TokenizerError);
});
