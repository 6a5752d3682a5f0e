/**
 * Text to tokens with offsets and word numbers. `@huggingface/tokenizers` normalises, splits and encodes; keeping track of where
 * each token came from is done here. Offsets are UTF-16 indices, as JavaScript counts (Python counts code points).
 */
import { Tokenizer } from '@huggingface/tokenizers';
import { TokenizerError } from '../errors.ts';
import { byteLevelWords } from './byte-level.ts';
import type { AddedTokenJson, ComponentJson, TokenizerConfig, TokenizerJson } from './tokenizer-json.ts';

/** Tokens of one text, without special tokens around it. */
export interface Pieces {
  ids: number[];
  /** [start, end) in the text. */
  offsets: [number, number][];
  /** Number of the word each token belongs to. */
  words: number[];
}

/** A normalised text and, for each of its UTF-16 units, the range of the source it stands for. */
interface Aligned {
  text: string;
  starts: number[];
  ends: number[];
}

/** Normalizers that treat each character by itself, so that a text can be normalised character by character. */
const PER_CHARACTER = new Set(['BertNormalizer', 'Lowercase', 'StripAccents', 'NFD']);
const CACHE_LIMIT = 50_000;

export class PieceEncoder {
  readonly library: Tokenizer;
  private readonly added: ReadonlyMap<string, AddedTokenJson>;
  private readonly addedPattern: RegExp | null;
  /** Added tokens that stand in the normalised text. */
  private readonly normalized: ReadonlyMap<string, AddedTokenJson>;
  private readonly normalizedPattern: RegExp | null;
  private readonly byteLevel: { addPrefixSpace: boolean; split: boolean } | null;
  private readonly trimOffsets: boolean;
  private readonly prefix: string;
  private readonly unknown: string | null;
  private readonly characters = new Map<string, string>();
  private readonly wordCache = new Map<string, { ids: number[]; lengths: number[] }>();

  constructor(json: TokenizerJson, config: TokenizerConfig, trimOffsets: boolean, source: string) {
    checkNormalizer(json.normalizer, source);
    this.library = new Tokenizer(json, config);
    const { normalizer } = this.library;
    const late = ({ normalized }: AddedTokenJson): boolean => normalized && normalizer !== null;
    this.added = new Map(
      json.added_tokens.filter((token) => !late(token)).map((token) => [token.content, token]),
    );
    this.normalized = new Map(
      json.added_tokens.filter(late).map((token) => [normalizer!.normalize(token.content), token]),
    );
    this.addedPattern = anyOf(this.added.keys());
    this.normalizedPattern = anyOf(this.normalized.keys());
    const split = json.pre_tokenizer;
    this.byteLevel =
      split?.type === 'ByteLevel'
        ? { addPrefixSpace: split.add_prefix_space === true, split: split.use_regex !== false }
        : null;
    this.trimOffsets = trimOffsets;
    this.prefix = json.model.continuing_subword_prefix ?? '';
    this.unknown = json.model.unk_token ?? null;
  }

  encode(text: string): Pieces {
    const out: Pieces = { ids: [], offsets: [], words: [] };
    let at = 0;
    let word = 0;
    for (const match of this.addedPattern === null ? [] : text.matchAll(this.addedPattern)) {
      const token = this.added.get(match[0])!;
      let start = match.index;
      let end = start + match[0].length;
      if (start < at || (token.single_word && !standsAlone(text, start, end))) continue;
      if (token.lstrip) while (start > at && /\s/u.test(text[start - 1]!)) start -= 1;
      if (token.rstrip) while (end < text.length && /\s/u.test(text[end]!)) end += 1;
      word = this.encodePlain(text.slice(at, start), at, word, out);
      out.ids.push(token.id);
      // Spaces taken along do not count in the offsets.
      out.offsets.push([match.index, match.index + match[0].length]);
      out.words.push(word);
      word += 1;
      at = end;
    }
    this.encodePlain(text.slice(at), at, word, out);
    return out;
  }

  /** Encodes a run without added tokens; returns the next word's number. */
  private encodePlain(text: string, base: number, firstWord: number, out: Pieces): number {
    if (text === '') return firstWord;
    return this.byteLevel === null
      ? this.encodeWords(text, base, firstWord, out)
      : this.encodeBytes(text, base, firstWord, out);
  }

  private encodeWords(text: string, base: number, firstWord: number, out: Pieces): number {
    const aligned = this.normalize(text);
    const push = (token: AddedTokenJson, start: number, end: number): void => {
      out.ids.push(token.id);
      out.offsets.push([base + aligned.starts[start]!, base + aligned.ends[end - 1]!]);
      out.words.push(number);
    };
    let at = 0;
    let number = firstWord;
    for (const match of this.normalizedPattern === null
      ? []
      : aligned.text.matchAll(this.normalizedPattern)) {
      const token = this.normalized.get(match[0])!;
      const [start, end] = [match.index, match.index + match[0].length];
      if (start < at || (token.single_word && !standsAlone(aligned.text, start, end))) continue;
      number = this.encodeRun(slice(aligned, at, start), base, number, out);
      push(token, start, end);
      number += 1;
      at = end;
    }
    return this.encodeRun(slice(aligned, at, aligned.text.length), base, number, out);
  }

  /** Splits normalised text into words and encodes them; returns the next word's number. */
  private encodeRun(
    { text: normal, starts, ends }: Aligned,
    base: number,
    firstWord: number,
    out: Pieces,
  ): number {
    const words = this.library.pre_tokenizer?.pre_tokenize(normal) ?? [normal];
    let from = 0;
    let number = firstWord;
    for (const word of words) {
      if (word === '') continue;
      const start = normal.indexOf(word, from);
      from = start + word.length;
      const { ids, lengths } = this.encodeWord(word);
      let at = start;
      for (const [index, id] of ids.entries()) {
        const end = at + lengths[index]!;
        out.ids.push(id);
        out.offsets.push([base + starts[at]!, base + ends[end - 1]!]);
        out.words.push(number);
        at = end;
      }
      number += 1;
    }
    return number;
  }

  private encodeBytes(text: string, base: number, firstWord: number, out: Pieces): number {
    const addSpace = this.byteLevel!.addPrefixSpace && !text.startsWith(' ');
    // The source range of each byte; a space put in front has the first character's, as in Python.
    const firstLength = (text.codePointAt(0) ?? 0) > 0xffff ? 2 : 1;
    const starts: number[] = addSpace ? [0] : [];
    const ends: number[] = addSpace ? [firstLength] : [];
    let unit = 0;
    for (const character of text) {
      const bytes = utf8Length(character.codePointAt(0)!);
      for (let b = 0; b < bytes; b += 1) {
        starts.push(unit);
        ends.push(unit + character.length);
      }
      unit += character.length;
    }
    const words = byteLevelWords(addSpace ? ` ${text}` : text, this.byteLevel!.split);
    let at = 0;
    let number = firstWord;
    for (const word of words) {
      const { ids, lengths } = this.encodeWord(word);
      let inWord = 0;
      for (const [index, id] of ids.entries()) {
        const length = lengths[index]!;
        const end = at + length;
        const piece = word.slice(inWord, inWord + length);
        out.offsets.push(
          this.trimmed(
            piece,
            out.ids.length === 0,
            base + starts[at]!,
            base + ends[end - 1]!,
            addSpace && at === 0 && firstLength === 2,
          ),
        );
        out.ids.push(id);
        out.words.push(number);
        inWord += length;
        at = end;
      }
      number += 1;
    }
    return number;
  }

  /** Takes the spaces of a piece off its offsets, but not the one put in front of the text: the rule of Python's tokenizers. */
  private trimmed(
    piece: string,
    first: boolean,
    start: number,
    end: number,
    wide: boolean,
  ): [number, number] {
    if (!this.trimOffsets) return [start, end];
    // A space put in front stands for the first character of the source, which may be two units long.
    const unit = wide ? 2 : 1;
    const leading = unit * (piece.length - piece.replace(/^Ġ+/, '').length);
    const trailing = (end - start === 2 ? unit : 1) * (piece.length - piece.replace(/Ġ+$/, '').length);
    const keep = (first || start === 0) && this.byteLevel!.addPrefixSpace;
    const from = keep ? start : Math.min(start + leading, end);
    return [from, trailing > 0 && end >= trailing ? Math.max(end - trailing, from) : end];
  }

  /** Ids of a word's pieces and how many of the word's UTF-16 units each takes. */
  private encodeWord(word: string): { ids: number[]; lengths: number[] } {
    const known = this.wordCache.get(word);
    if (known !== undefined) return known;
    const model = this.library.model!;
    const pieces: string[] = model.encode([word]);
    const ids = pieces.map((piece) => {
      const id = model.tokens_to_ids.get(piece) ?? model.unk_token_id;
      if (id === undefined)
        throw new TokenizerError(`the vocabulary has no token for '${piece}' and no unknown token`);
      return id;
    });
    const lengths = pieces.map((piece, index) =>
      index > 0 && piece.startsWith(this.prefix) ? piece.length - this.prefix.length : piece.length,
    );
    if (pieces.length === 1 && (pieces[0] === this.unknown || lengths[0] !== word.length))
      lengths[0] = word.length;
    const made = { ids, lengths };
    if (this.wordCache.size >= CACHE_LIMIT) this.wordCache.clear();
    this.wordCache.set(word, made);
    return made;
  }

  private normalizeCharacter(character: string): string {
    const known = this.characters.get(character);
    if (known !== undefined) return known;
    const normal: string = this.library.normalizer!.normalize(character);
    if (this.characters.size >= CACHE_LIMIT) this.characters.clear();
    this.characters.set(character, normal);
    return normal;
  }

  private normalize(text: string): Aligned {
    const { normalizer } = this.library;
    const starts: number[] = [];
    const ends: number[] = [];
    let out = '';
    let unit = 0;
    for (const character of text) {
      const normal: string = normalizer === null ? character : this.normalizeCharacter(character);
      out += normal;
      for (let i = 0; i < normal.length; i += 1) {
        starts.push(unit);
        ends.push(unit + character.length);
      }
      unit += character.length;
    }
    return { text: out, starts, ends };
  }
}

function slice({ text, starts, ends }: Aligned, from: number, to: number): Aligned {
  return { text: text.slice(from, to), starts: starts.slice(from, to), ends: ends.slice(from, to) };
}

/** A pattern of any of some texts, the longest first; null where there are none. */
function anyOf(texts: Iterable<string>): RegExp | null {
  const escaped = [...texts]
    .sort((a, b) => b.length - a.length)
    .map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'));
  return escaped.length === 0 ? null : new RegExp(escaped.join('|'), 'gu');
}

function checkNormalizer(json: ComponentJson | null, source: string): void {
  if (json === null) return;
  const parts = json.type === 'Sequence' ? (json.normalizers as ComponentJson[]) : [json];
  for (const { type } of parts) {
    if (!PER_CHARACTER.has(type)) {
      throw new TokenizerError(`${source}: normalizer '${type}' is not supported`, {
        remedy: `supported: ${[...PER_CHARACTER].join(', ')}, as BERT and RoBERTa use`,
      });
    }
  }
}

function standsAlone(text: string, start: number, end: number): boolean {
  const letter = /[\p{L}\p{N}_]/u;
  return !letter.test(text[start - 1] ?? '') && !letter.test(text[end] ?? '');
}

function utf8Length(codePoint: number): number {
  if (codePoint < 0x80) return 1;
  if (codePoint < 0x800) return 2;
  return codePoint < 0x10000 ? 3 : 4;
}
