/**
 * Ids, offsets, words, pairs and truncation against Python's tokenizers on 1,000 strings
 * (test/reference/tokenizer_fixtures.py, tokenizer_unigram_fixtures.py).
 */
import { existsSync } from 'node:fs';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AutoTokenizer } from '../../src/text/auto.ts';
import { fixtures, hashOf, readJson } from '../support/fixtures.ts';

const folder = `${fixtures}tokenizers/`;
const shared = new URL('../../../shared/data/', import.meta.url).pathname;

interface Strings {
  texts: string[];
  pairs: [number, number, number][];
}
interface Expected {
  singles: { ids: number[]; offsets?: number[]; words?: (number | null)[] }[];
  pairs: { ids: number[]; types: number[] }[];
}

async function compare(model: string, expectedFile: string): Promise<void> {
  const { texts, pairs } = await readJson<Strings>(`${folder}strings.json`);
  const expected = await readJson<Expected>(folder + expectedFile);
  expect(texts.length).toBe(1000);
  const tokenizer = await AutoTokenizer.fromPretrained(model);
  for (const [i, text] of texts.entries()) {
    const { ids, offsets, words } = expected.singles[i]!;
    const encoding = tokenizer.encode(text);
    const label = JSON.stringify(text.slice(0, 200));
    expect(encoding.inputIds, label).toEqual(ids);
    if (offsets !== undefined) expect(encoding.offsets.flat(), `offsets of ${label}`).toEqual(offsets);
    if (words !== undefined) expect(encoding.wordIds, `words of ${label}`).toEqual(words);
  }
  for (const [i, [a, b, maxLength]] of pairs.entries()) {
    const encoding = tokenizer.encode(texts[a]!, texts[b]!, { truncation: true, maxLength });
    expect(encoding.inputIds, `pair ${i} cut to ${maxLength}`).toEqual(expected.pairs[i]!.ids);
    expect(encoding.tokenTypeIds, `types of pair ${i}`).toEqual(expected.pairs[i]!.types);
  }
}

describe('against Python', () => {
  it.each(['bert-uncased', 'bert-cased', 'roberta', 'roberta-json'])('%s', (name) =>
    compare(folder + name, `${name}.json`),
  );

  it.each(['xlm-roberta', 'camembert', 'albert'])('%s', async (name) => {
    const { texts, pairs } = await readJson<Strings>(`${folder}strings.json`);
    const expected = await readJson<Record<string, { singles: number[]; pairs: number[] }>>(
      `${folder}unigram.json`,
    );
    const tokenizer = await AutoTokenizer.fromPretrained(folder + name);
    for (const [i, text] of texts.entries()) {
      const { inputIds, offsets, wordIds } = tokenizer.encode(text);
      const label = JSON.stringify(text.slice(0, 200));
      expect(hashOf([inputIds, offsets.flat(), wordIds]), label).toBe(expected[name]!.singles[i]);
    }
    for (const [i, [a, b, maxLength]] of pairs.entries()) {
      const { inputIds } = tokenizer.encode(texts[a]!, texts[b]!, { truncation: true, maxLength });
      expect(hashOf(inputIds), `pair ${i} cut to ${maxLength}`).toBe(expected[name]!.pairs[i]);
    }
  });

  // The real vocabularies are not part of the project; they are tested if present beside it.
  it.runIf(existsSync(`${shared}bert-base-uncased`))('bert-base-uncased', () =>
    compare(`${shared}bert-base-uncased`, 'real-bert.json'),
  );
  it.runIf(existsSync(`${shared}roberta-base`))('roberta-base', () =>
    compare(`${shared}roberta-base`, 'real-roberta.json'),
  );
});

describe('batches', () => {
  it('pads to the longest, to a multiple, and to a length', async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(`${folder}bert-uncased`);
    const batch = tokenizer.encodeBatch(['the river', 'a'], { padToMultipleOf: 8 });
    expect(batch.shape).toEqual([2, 8]);
    const [first, second] = batch.encodings;
    expect([...batch.inputIds.subarray(0, 8)]).toEqual([
      ...first!.inputIds,
      ...new Array(8 - first!.inputIds.length).fill(0),
    ]);
    expect([...batch.attentionMask.subarray(8)]).toEqual([1, 1, 1, 0, 0, 0, 0, 0]);
    expect(tokenizer.encodeBatch(['a', 'the'], { padding: 'max_length', maxLength: 12 }).shape).toEqual([
      2, 12,
    ]);
    expect(tokenizer.encodeBatch([['a', 'the'], 'the']).tokenTypeIds.slice(0, 5)).toEqual(
      Int32Array.from([0, 0, 0, 1, 1]),
    );
    expect(second!.specialTokensMask).toEqual([1, 0, 1]);
    expect(() =>
      tokenizer.encodeBatch(['a', 'the river'], { padding: false }),
    ).toThrowErrorMatchingSnapshot();
  });

  // Ids, mask and mapping are those of transformers 5.24 for the same call.
  it('gives a long text several rows, and says which text each is of', async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(`${folder}bert-uncased`);
    const batch = tokenizer.encodeBatch(['the river and the garden', ['the', 'a b c d e f g h']], {
      truncation: true,
      maxLength: 8,
      stride: 2,
      returnOverflowingTokens: true,
    });
    expect(batch.overflowToSampleMapping).toEqual([0, 0, 1, 1, 1]);
    expect(batch.encodings.map(({ inputIds }) => inputIds)).toEqual([
      [2, 1082, 57, 1117, 1071, 40, 1076, 3],
      [2, 40, 1076, 1082, 46, 1190, 3],
      [2, 1082, 3, 40, 41, 42, 43, 3],
      [2, 1082, 3, 42, 43, 44, 45, 3],
      [2, 1082, 3, 44, 45, 46, 47, 3],
    ]);
    expect(batch.shape).toEqual([5, 8]);
    const [first, second] = batch.encodings;
    expect(second!.offsets[1]).toEqual(first!.offsets[5]);
    expect(tokenizer.encodeBatch(['the river'], { maxLength: 3, truncation: true })).not.toHaveProperty(
      'overflowToSampleMapping',
    );
    const narrow = { truncation: true, maxLength: 4, stride: 2 };
    expect(() => tokenizer.encode('the river and', undefined, narrow)).toThrow(
      'stride 2 leaves windows of 2 tokens no step',
    );
    const none = { truncation: true, maxLength: 2, returnOverflowingTokens: true };
    expect(() => tokenizer.encode('the river', undefined, none)).toThrow('leaves no room for windows');
  });

  it('pads on the side that is asked for', async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(`${folder}bert-uncased`);
    const left = tokenizer.encodeBatch(['a', 'the river'], { paddingSide: 'left' });
    const [first] = left.encodings;
    expect([...left.inputIds.subarray(left.shape[1] - 3, left.shape[1])]).toEqual(first!.inputIds);
    expect([...left.attentionMask.subarray(0, left.shape[1] - 3)]).toEqual(
      new Array(left.shape[1] - 3).fill(0),
    );
    tokenizer.paddingSide = 'left';
    expect(tokenizer.encodeBatch(['a', 'the river']).inputIds).toEqual(left.inputIds);
  });

  it('keeps the special tokens when it truncates', async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(`${folder}bert-uncased`);
    const { inputIds } = tokenizer.encode('the river and the garden and the bridge', undefined, {
      truncation: true,
      maxLength: 5,
    });
    expect(inputIds.length).toBe(5);
    expect([inputIds[0], inputIds[4]]).toEqual([tokenizer.clsTokenId, tokenizer.sepTokenId]);
    expect(() =>
      tokenizer.encode('a b', 'c d e f', { truncation: 'only_first', maxLength: 5 }),
    ).toThrowErrorMatchingSnapshot();
  });

  it('knows its special tokens, and decodes', async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(`${folder}bert-uncased`);
    expect(tokenizer.allSpecialIds).toEqual([0, 1, 2, 3, 4]);
    expect(tokenizer.convertIdsToTokens([2, 3])).toEqual(['[CLS]', '[SEP]']);
    const { inputIds } = tokenizer.encode('The river, and the bridge.');
    expect(tokenizer.decode(inputIds, { skipSpecialTokens: true })).toBe('the river, and the bridge.');
  });
});

describe('files', () => {
  it('saves what it was made from, so that it loads again', async () => {
    const scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
    for (const name of ['bert-uncased', 'roberta']) {
      const tokenizer = await AutoTokenizer.fromPretrained(folder + name);
      await tokenizer.savePretrained(join(scratch, name));
      const again = await AutoTokenizer.fromPretrained(join(scratch, name));
      for (const text of ['The naïve café, <mask> [MASK]', ''])
        expect(again.encode(text)).toEqual(tokenizer.encode(text));
    }
    await rm(scratch, { recursive: true });
  });

  // The ids are those of transformers 5.24 for the same files.
  it('takes tokens that were added, matched in the normalised text', async () => {
    const scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
    await cp(`${folder}bert-uncased/vocab.txt`, join(scratch, 'vocab.txt'));
    await writeFile(join(scratch, 'added_tokens.json'), '{"@USER": 1200, "newtok": 1201}');
    const expected: [string, number[]][] = [
      ['@USER newtok the river', [2, 1200, 1201, 1082, 57, 1117, 1071, 3]],
      ['@user the river', [2, 1200, 1082, 57, 1117, 1071, 3]],
      ['the@userriver NEWTOK newtoks', [2, 1082, 1200, 57, 1117, 1071, 1201, 1201, 58, 3]],
    ];
    const tokenizer = await AutoTokenizer.fromPretrained(scratch);
    for (const [text, ids] of expected) expect(tokenizer.encode(text).inputIds).toEqual(ids);
    expect(tokenizer.encode('a @user').offsets.at(-2)).toEqual([2, 7]);
    await tokenizer.savePretrained(join(scratch, 'saved'));
    const again = await AutoTokenizer.fromPretrained(join(scratch, 'saved'));
    for (const [text, ids] of expected) expect(again.encode(text).inputIds).toEqual(ids);
    await rm(scratch, { recursive: true });
  });

  it('takes casing from tokenizer_config.json, and special tokens from their map, as Python does', async () => {
    const scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
    const cased = await AutoTokenizer.fromPretrained(`${folder}bert-cased`);
    await cased.savePretrained(scratch);
    expect(cased.encode('The the').inputIds[1]).not.toBe(cased.encode('the').inputIds[1]);
    await writeFile(join(scratch, 'tokenizer_config.json'), '{"tokenizer_class": "BertTokenizer"}');
    await writeFile(join(scratch, 'special_tokens_map.json'), '{"pad_token": "[MASK]"}');
    const lower = await AutoTokenizer.fromPretrained(scratch);
    expect(lower.encode('The').inputIds).toEqual(lower.encode('the').inputIds);
    expect(lower.padTokenId).toBe(lower.maskTokenId);
    await rm(scratch, { recursive: true });
  });

  it('refuses a vocabulary of a class that splits in its own way', async () => {
    const scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
    await cp(`${folder}bert-uncased/vocab.txt`, join(scratch, 'vocab.txt'));
    await writeFile(join(scratch, 'tokenizer_config.json'), '{"tokenizer_class": "BertJapaneseTokenizer"}');
    await expect(AutoTokenizer.fromPretrained(scratch)).rejects.toThrow(
      "'tokenizer_class' is 'BertJapaneseTokenizer', which splits text in a way of its own",
    );
    await rm(scratch, { recursive: true });
  });

  it('reads NaN and Infinity, as Python writes them, in config.json', async () => {
    const scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
    await cp(`${folder}bert-uncased/vocab.txt`, join(scratch, 'vocab.txt'));
    await writeFile(join(scratch, 'config.json'), '{"model_type": "bert", "rate": NaN, "limit": -Infinity}');
    const { inputIds } = (await AutoTokenizer.fromPretrained(scratch)).encode('the river');
    expect(inputIds).toEqual([2, 1082, 57, 1117, 1071, 3]);
    await rm(scratch, { recursive: true });
  });

  it('names what is wrong', async () => {
    const scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
    const message = async (): Promise<string> =>
      AutoTokenizer.fromPretrained(scratch).then(
        () => 'no error',
        (error: Error) => error.message.replaceAll(scratch, 'FOLDER'),
      );
    const messages = [await message()];
    await cp(`${folder}roberta/vocab.json`, join(scratch, 'vocab.json'));
    messages.push(await message());
    await writeFile(join(scratch, 'vocab.txt'), 'only\nthese\n');
    messages.push(await message());
    await writeFile(join(scratch, 'tokenizer.json'), '{"model": ');
    messages.push(await message());
    expect(messages).toMatchSnapshot();
    await rm(scratch, { recursive: true });
  });
});
