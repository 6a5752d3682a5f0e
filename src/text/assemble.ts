/** Assembles the tokens of one or two texts with the special tokens around them. */
import type { Pieces } from './pieces.ts';
import type { TemplatePiece, Trim } from './template.ts';
import type { Window } from './truncation.ts';
import { isSpace } from './unicode.ts';

/** One encoded text (or pair). */
export interface Encoding {
  inputIds: number[];
  attentionMask: number[];
  tokenTypeIds: number[];
  /**
   * [start, end) of each token in its text, or in its word if the text was split into words, in UTF-16 units;
   * [0, 0] for special tokens.
   */
  offsets: [number, number][];
  specialTokensMask: number[];
  /** Index of the word in its text; null for special tokens. */
  wordIds: (number | null)[];
  /** The text that a token comes from, 0 or 1; null for special tokens. */
  sequenceIds: (number | null)[];
  /** The encodings of what truncation cut, if `returnOverflowingTokens` is set. */
  overflowing?: Encoding[];
}

/** `windows` selects the tokens of each text; `types` says whether the model gets token types. */
export function assemble(
  parts: readonly Pieces[],
  windows: readonly Window[],
  layout: readonly TemplatePiece[],
  trims: readonly Trim[],
  types: boolean,
): Encoding {
  const out: Encoding = {
    inputIds: [],
    attentionMask: [],
    tokenTypeIds: [],
    offsets: [],
    specialTokensMask: [],
    wordIds: [],
    sequenceIds: [],
  };
  for (const piece of layout) {
    const type = types ? piece.type : 0;
    if (piece.kind === 'special') {
      put(out, piece.id, type, [0, 0], null, null);
      continue;
    }
    const { ids, offsets, words, values, units } = parts[piece.which]!;
    const [start, end] = windows[piece.which]!;
    for (let i = start; i < end; i += 1) {
      const range = trims.reduce((now, trim) => trimmed(now, values[i]!, i === start, trim), offsets[i]!);
      const unit = units(words[i]!);
      const [from, to] = unit === null ? range : [unit[range[0]]!, unit[range[1]]!];
      put(out, ids[i]!, type, [from, to], words[i]!, piece.which);
    }
  }
  return out;
}

function put(
  out: Encoding,
  id: number,
  type: number,
  offsets: [number, number],
  word: number | null,
  sequence: 0 | 1 | null,
): void {
  out.inputIds.push(id);
  out.attentionMask.push(1);
  out.tokenTypeIds.push(type);
  out.offsets.push(offsets);
  out.specialTokensMask.push(sequence === null ? 1 : 0);
  out.wordIds.push(word);
  out.sequenceIds.push(sequence);
}

const blank = (character: string): boolean => character === 'Ġ' || isSpace(character);

/** Trims white space from a token's range, except the space put before the text, as in Python. */
function trimmed(
  [start, end]: readonly [number, number],
  value: string,
  first: boolean,
  trim: Trim,
): [number, number] {
  let [leading, trailing] = [0, 0];
  while (leading < value.length && blank(value[leading]!)) leading += 1;
  while (trailing < value.length && blank(value[value.length - 1 - trailing]!)) trailing += 1;
  if ((first || start === 0) && trim.addPrefixSpace && leading === 1) leading = 0;
  const from = Math.min(start + leading, end);
  return [from, trailing > 0 && end >= trailing ? Math.max(end - trailing, from) : end];
}
