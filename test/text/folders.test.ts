/**
 * Every key of tokenizer_config.json, special_tokens_map.json and added_tokens.json, truncation, windows and
 * padding, compared with transformers' AutoTokenizer (test/reference/tokenizer_parts_fixtures.py).
 */
import { describe, expect, it } from 'vitest';
import { PreTrainedTokenizer } from '../../src/text/tokenizer.ts';
import { loadTokenizer } from '../../src/text/tokenizer-json.ts';
import type { TruncationStrategy } from '../../src/text/truncation.ts';
import { fixtures, readJson } from '../support/fixtures.ts';

interface Call {
  call: {
    text: string;
    text_pair?: string;
    truncation?: boolean | TruncationStrategy;
    max_length?: number;
    stride?: number;
    return_overflowing_tokens?: boolean;
    add_special_tokens?: boolean;
  };
  /** For each window; null if Python raises an error. */
  ids: number[][] | null;
  types: number[][] | null;
  offsets: number[][];
  special: number[][];
  sequences: number[][];
}

interface Folder {
  name: string;
  /** The index of each file's content. */
  files: Record<string, number>;
  max: number | null;
  size: number;
  special: Record<string, string>;
  specials: number[];
  batch: [number[][], number[][]] | null;
  /** Decoded texts: all tokens, without special ones, tidied; and another text. */
  decoded: [string, string, string, string];
  calls: Call[];
}

const { folders, contents } = await readJson<{ folders: Folder[]; contents: (string | object)[] }>(
  `${fixtures}tokenizers/folders.json`,
);

function load(files: Folder['files']): PreTrainedTokenizer {
  const texts = Object.entries(files).map(([name, number]) => {
    const content = contents[number];
    return [name, typeof content === 'string' ? content : JSON.stringify(content)];
  });
  return new PreTrainedTokenizer(
    loadTokenizer(Object.fromEntries(texts), (name) => name),
    {},
  );
}

const rows = (flat: Int32Array, [count, length]: [number, number]): number[][] =>
  Array.from({ length: count }, (_, row) => [...flat.subarray(row * length, (row + 1) * length)]);

describe('folders', () => {
  it.each(folders)('$name', ({ files, max, size, special, specials, batch, decoded, calls }) => {
    const tokenizer = load(files);
    expect(tokenizer.modelMaxLength).toBe(max ?? Number.POSITIVE_INFINITY);
    expect(tokenizer.vocabSize).toBe(size);
    for (const [name, token] of Object.entries(special)) {
      const id = tokenizer[`${name.replace('_token', '')}TokenId` as 'clsTokenId'];
      if (/^(bos|eos|unk|sep|pad|cls|mask)_token$/.test(name))
        expect(id, name).toBe(tokenizer.convertTokensToIds([token])[0]);
    }
    // If a folder does not name its special tokens, tokens with the usual names count too.
    if ('cls_token' in special) expect(tokenizer.allSpecialIds).toEqual(specials);
    else expect(tokenizer.allSpecialIds).toEqual(expect.arrayContaining(specials));
    if (batch !== null) {
      const made = tokenizer.encodeBatch(['we never like cold soup', 'tea']);
      expect([rows(made.inputIds, made.shape), rows(made.attentionMask, made.shape)]).toEqual(batch);
    }
    const { inputIds } = tokenizer.encode('Tea <ent> x<ent>y  [MASK] <mask> NEW');
    expect([
      tokenizer.decode(inputIds),
      tokenizer.decode(inputIds, { skipSpecialTokens: true }),
      tokenizer.decode(inputIds, { cleanUpTokenizationSpaces: true }),
      tokenizer.decode(tokenizer.encode('The river and New York tea.').inputIds),
    ]).toEqual(decoded);
    for (const call of calls) check(tokenizer, call);
  });
});

function check(
  tokenizer: PreTrainedTokenizer,
  { call, ids, types, offsets, special, sequences }: Call,
): void {
  const encode = () =>
    tokenizer.encode(call.text, call.text_pair, {
      ...(call.truncation !== undefined && { truncation: call.truncation }),
      ...(call.max_length !== undefined && { maxLength: call.max_length }),
      ...(call.stride !== undefined && { stride: call.stride }),
      ...(call.add_special_tokens !== undefined && { addSpecialTokens: call.add_special_tokens }),
      returnOverflowingTokens: call.return_overflowing_tokens === true,
    });
  const label = JSON.stringify(call);
  if (ids === null) {
    expect(encode, label).toThrow(/truncation|stride/);
    return;
  }
  const { overflowing = [], ...first } = encode();
  const windows = [first, ...overflowing];
  expect(
    windows.map(({ inputIds }) => inputIds),
    label,
  ).toEqual(ids);
  expect(
    windows.map((window) => window.offsets.flat()),
    label,
  ).toEqual(offsets);
  expect(
    windows.map((window) => window.tokenTypeIds),
    label,
  ).toEqual(types ?? ids.map((row) => row.map(() => 0)));
  expect(
    windows.map((window) => window.specialTokensMask),
    label,
  ).toEqual(special);
  expect(
    windows.map((window) => window.sequenceIds.map((id) => id ?? -1)),
    label,
  ).toEqual(sequences);
}
