/**
 * Every kind of normalizer, pre-tokenizer, model, post-processor and decoder, compared with Python
 * (test/reference/tokenizer_parts_fixtures.py).
 */
import { describe, expect, it } from 'vitest';
import type { Json } from '../../src/text/json-fields.ts';
import { PreTrainedTokenizer } from '../../src/text/tokenizer.ts';
import { loadTokenizer } from '../../src/text/tokenizer-json.ts';
import { fixtures, readJson } from '../support/fixtures.ts';

interface Fixture {
  texts: string[];
  /** A model of characters, for cases without their own model. */
  model: Json;
  parts: {
    name: string;
    json: Json;
    /** Ids, flattened offsets, and words (-1: none); for some only the ids. */
    rows: [number[], number[]?, number[]?][];
    pair: [number[], number[]];
    decoded: string[];
    skipped: string;
  }[];
}

const { texts, model, parts } = await readJson<Fixture>(`${fixtures}tokenizers/parts.json`);
/** Token types are those of the post-processor, as in Python's tokenizers. */
const config = JSON.stringify({ model_input_names: ['input_ids', 'token_type_ids', 'attention_mask'] });

describe('tokenizer.json', () => {
  it.each(parts)('$name', ({ json, rows, pair, decoded, skipped }) => {
    const file = JSON.stringify({ model, ...json });
    const tokenizer = new PreTrainedTokenizer(
      loadTokenizer({ 'tokenizer.json': file, 'tokenizer_config.json': config }, (name) => name),
      {},
    );
    for (const [index, text] of texts.entries()) {
      const label = JSON.stringify(text);
      const { inputIds, offsets, wordIds } = tokenizer.encode(text);
      const [ids, ranges, words] = rows[index]!;
      expect(inputIds, label).toEqual(ids);
      if (ranges !== undefined) expect(offsets.flat(), `offsets of ${label}`).toEqual(ranges);
      if (words !== undefined)
        expect(
          wordIds.map((word) => word ?? -1),
          `words of ${label}`,
        ).toEqual(words);
      expect(tokenizer.decode(inputIds), `decoded ${label}`).toBe(decoded[index]);
    }
    const { inputIds, tokenTypeIds } = tokenizer.encode(texts[0]!, texts[5]!);
    expect([inputIds, tokenTypeIds]).toEqual(pair);
    expect(tokenizer.decode(rows[17]![0], { skipSpecialTokens: true })).toBe(skipped);
  });
});

it('byte pair encoding is not tidied, whether or not the file states the kind', () => {
  const bpe = { vocab: { a: 0, 'Ġ.': 1, '.': 2, Ġ: 3 }, merges: ['Ġ .'] };
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  for (const model of [{ type: 'BPE', ...bpe }, bpe]) {
    const files = {
      'tokenizer.json': JSON.stringify({ model, pre_tokenizer: byteLevel, decoder: byteLevel }),
      'tokenizer_config.json': JSON.stringify({ clean_up_tokenization_spaces: true }),
    };
    const tokenizer = new PreTrainedTokenizer(
      loadTokenizer(files, (name) => name),
      {},
    );
    expect(tokenizer.decode(tokenizer.encode('a .').inputIds)).toBe('a .');
  }
});
