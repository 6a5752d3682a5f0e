/**
 * Turns a text into tokens with offsets and word indices: takes out added tokens, then normalizes, splits and
 * applies the model.
 */
import type { AddedVocabulary } from './added-vocabulary.ts';
import { AlignedText } from './aligned-text.ts';
import type { Model, Token } from './models.ts';
import type { PreTokenizer } from './pre-tokenizers.ts';
import { remembered } from './unicode.ts';

/** The tokens of one text, without special tokens around it. */
export interface Pieces {
  ids: number[];
  /** The tokens' texts; for an added token, the text that it matched. */
  values: string[];
  /** [start, end) in the text, in code points, as in Python. */
  offsets: [number, number][];
  /** Index of the word that each token belongs to. */
  words: number[];
  /** UTF-16 index of each code point in the text that holds a word; null if the two are equal. */
  units: (word: number) => Int32Array | null;
}

/** Longer words are unlikely to recur. */
const REMEMBERED_LENGTH = 64;

export class PieceEncoder {
  private readonly remembered = remembered((word) => this.model.tokenize(word));

  constructor(
    private readonly model: Model,
    private readonly added: AddedVocabulary,
    private readonly preTokenizer: PreTokenizer | null,
  ) {}

  /** Throws `TokenizerError` if a word has no token and the vocabulary no unknown token. */
  encode(source: string): Pieces {
    const text = wellFormed(source);
    const units = unitsOf(text);
    const out: Pieces = { ids: [], values: [], offsets: [], words: [], units: () => units };
    let word = 0;
    for (const part of this.added.split(AlignedText.of(text))) {
      if (part.id !== null) {
        push(out, part.id, part.text.text, part.text.source(0, part.text.text.length), word);
        word += 1;
        continue;
      }
      for (const piece of this.preTokenizer === null ? [part.text] : this.preTokenizer(part.text)) {
        for (const { id, value, start, end } of this.tokens(piece.text))
          push(out, id, value, piece.source(start, end), word);
        word += 1;
      }
    }
    return out;
  }

  /** Encodes a text that is split into words: each by itself, with offsets that count from its start. */
  encodeWords(words: readonly string[]): Pieces {
    const parts = words.map((word) => this.encode(word));
    return {
      ids: parts.flatMap(({ ids }) => ids),
      values: parts.flatMap(({ values }) => values),
      offsets: parts.flatMap(({ offsets }) => offsets),
      words: parts.flatMap(({ ids }, word) => ids.map(() => word)),
      units: (word) => parts[word]!.units(0),
    };
  }

  private tokens(word: string): Token[] {
    return word.length <= REMEMBERED_LENGTH ? this.remembered(word) : this.model.tokenize(word);
  }
}

function push(out: Pieces, id: number, value: string, offsets: [number, number], word: number): void {
  out.ids.push(id);
  out.values.push(value);
  out.offsets.push(offsets);
  out.words.push(word);
}

/** Replaces lone surrogates by U+FFFD, as JavaScript does when it encodes UTF-8. */
function wellFormed(text: string): string {
  return /\p{Cs}/u.test(text) ? text.replace(/\p{Cs}/gu, '\ufffd') : text;
}

function unitsOf(text: string): Int32Array | null {
  if (!/[\ud800-\udfff]/.test(text)) return null;
  const units: number[] = [];
  let unit = 0;
  for (const character of text) {
    units.push(unit);
    unit += character.length;
  }
  return Int32Array.from([...units, unit]);
}
