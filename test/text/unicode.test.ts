/**
 * Every code point, and 10,000 generated strings of them, compared with Python's tokenizers
 * (test/reference/unicode_fixtures.py): no difference is allowed. In an engine with a newer or older Unicode
 * than the tables in src/text, only characters known to both are compared.
 */
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { platform } from '../../src/platform/node.ts';
import { AlignedText } from '../../src/text/aligned-text.ts';
import { Fields, type Json } from '../../src/text/json-fields.ts';
import { readNormalizer } from '../../src/text/normalizers.ts';
import { readPreTokenizer } from '../../src/text/pre-tokenizers.ts';
import { type Encoding, PreTrainedTokenizer } from '../../src/text/tokenizer.ts';
import { loadTokenizer } from '../../src/text/tokenizer-json.ts';
import {
  isChinese,
  isControl,
  isMark,
  isNonspacingMark,
  isNumeric,
  isPunctuation,
  isSpace,
  isWordCharacter,
  LETTER,
  NUMBER,
} from '../../src/text/unicode.ts';
import { fixtures, readJson } from '../support/fixtures.ts';
import { unicodeStrings } from '../support/unicode-strings.ts';

interface Fixture {
  count: number;
  seed: number;
  variants: Json[];
  classes: Record<string, number[]>;
  maps: Record<string, number[]>;
  old: number[];
}

const fixture = await readJson<Fixture>(`${fixtures}unicode/unicode.json`);
/** The Unicode version for which src/text/unicode.ts and src/text/scripts.ts list the newer characters. */
const sameUnicode = process.versions.unicode === '17.0';

/** Expands [gap, run, gap, run, …] to one byte per code point. */
function members(runs: readonly number[]): Uint8Array {
  const out = new Uint8Array(0x110000);
  let at = 0;
  for (const [index, length] of runs.entries()) {
    if (index % 2 === 1) out.fill(1, at, at + length);
    at += length;
  }
  return out;
}

const old = members(fixture.old);
const compared = (c: number): boolean => (c < 0xd800 || c > 0xdfff) && (sameUnicode || old[c] === 1);

const reader = (json: Json): Fields => new Fields(json, 'test');
const normalize = (json: Json): ((text: string) => string) => {
  const normalizer = readNormalizer(reader(json))!;
  return (text) => normalizer(AlignedText.of(text)).text;
};
const pieces = (json: Json): ((text: string) => number) => {
  const split = readPreTokenizer(reader(json))!;
  return (text) => split(AlignedText.of(text)).length;
};

const matches = (pattern: string): ((character: string) => boolean) => {
  const whole = new RegExp(`^${pattern}$`, 'u');
  return (character) => whole.test(character);
};
const scripts = pieces({ type: 'UnicodeScripts' });
const CLASSES: Record<string, (character: string) => boolean> = {
  control: isControl,
  nonspacing: isNonspacingMark,
  chinese: isChinese,
  mark: isMark,
  space: isSpace,
  letter: matches(LETTER),
  number: matches(NUMBER),
  word: isWordCharacter,
  numeric: isNumeric,
  punctuation: isPunctuation,
};
/** A character of each script, to test which characters may follow it without a split. */
const SCRIPTS: Record<string, string> = { latin: 'a', han: '中', common: '!', arabic: 'ع' };

describe('code points', () => {
  it.each(Object.keys(CLASSES))('%s', (name) => {
    const wanted = members(fixture.classes[name]!);
    const wrong: string[] = [];
    for (let c = 0; c < 0x110000; c += 1)
      if (compared(c) && CLASSES[name]!(String.fromCodePoint(c)) !== (wanted[c] === 1))
        wrong.push(c.toString(16));
    expect(wrong).toEqual([]);
  });

  it.each(Object.keys(SCRIPTS))('scripts, beside one of %s', (name) => {
    const wanted = members(fixture.classes[name]!);
    const wrong: string[] = [];
    // All of the first two planes, and a sample of the rest, which has few scripts.
    for (let c = 0; c < 0x110000; c += c < 0x20000 ? 1 : 61)
      if (compared(c) && (scripts(SCRIPTS[name]! + String.fromCodePoint(c)) === 1) !== (wanted[c] === 1))
        wrong.push(c.toString(16));
    expect(wrong).toEqual([]);
  });

  it.runIf(sameUnicode).each(Object.keys(fixture.maps))('%s', (name) => {
    const change = normalize({ type: name });
    const blocks = fixture.maps[name]!.map((_, block) => {
      const made: number[] = [];
      for (let c = block * 0x1000; c < (block + 1) * 0x1000; c += 1)
        if (c < 0xd800 || c > 0xdfff)
          for (const character of change(String.fromCodePoint(c))) made.push(character.codePointAt(0)!);
      return fnv(made);
    });
    expect(blocks).toEqual(fixture.maps[name]);
  });
});

describe('10,000 strings', async () => {
  const strings = unicodeStrings(fixture.count, fixture.seed);
  const packed = await readFile(`${fixtures}unicode/hashes.bin`);
  const hashes = new Uint16Array(
    packed.buffer.slice(packed.byteOffset, packed.byteOffset + packed.byteLength),
  );
  const roberta = `${fixtures}tokenizers/roberta/`;
  const files = {
    'vocab.txt': vocabulary(),
    'vocab.json': await platform.readText(`${roberta}vocab.json`),
    'merges.txt': await platform.readText(`${roberta}merges.txt`),
  };
  const known = (text: string): boolean =>
    Array.from(text).every((c) => compared(c.codePointAt(0)!) || /\p{Cs}/u.test(c));

  it.each(fixture.variants.map((variant, index) => [JSON.stringify(variant), index] as const))(
    '%s',
    (config, index) => {
      const loaded = loadTokenizer({ ...files, 'tokenizer_config.json': config }, (name) => name);
      const tokenizer = new PreTrainedTokenizer(loaded, {});
      const wrong: string[] = [];
      let checked = 0;
      for (const [row, text] of strings.entries()) {
        if (!sameUnicode && !known(text)) continue;
        checked += 1;
        if (hashOf(tokenizer.encode(text)) !== hashes[index * fixture.count + row])
          wrong.push(JSON.stringify(text));
      }
      expect(wrong).toEqual([]);
      expect(checked).toBeGreaterThan(sameUnicode ? 9_999 : 2_000);
    },
  );
});

/** Every character of the first two planes as a word and a continuation, so that ids reveal the text. */
function vocabulary(): string {
  const tokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
  for (let c = 0x21; c < 0x20000; c += 1) {
    const character = String.fromCodePoint(c);
    if ((c < 0xd800 || c > 0xdfff) && !isSpace(character)) tokens.push(character, `##${character}`);
  }
  return tokens.join('\n');
}

function hashOf({ inputIds, offsets, wordIds }: Encoding): number {
  const hash = fnv(inputIds.flatMap((id, i) => [id, ...offsets[i]!, wordIds[i] ?? 0xffff]));
  return (hash ^ (hash >>> 16)) & 0xffff;
}

/** FNV-1a over 24 bits of each number. */
function fnv(numbers: readonly number[]): number {
  let hash = 0x811c9dc5;
  for (const n of numbers)
    for (const shift of [0, 8, 16]) hash = Math.imul(hash ^ ((n >> shift) & 0xff), 0x01000193);
  return hash >>> 0;
}
