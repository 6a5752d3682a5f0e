/** Added tokens, which are matched before a text is split. Follows the rules of Python's tokenizers. */
import { AlignedText } from './aligned-text.ts';
import type { Normalizer } from './normalizers.ts';
import { escaped } from './pattern.ts';
import { isSpace, isWordCharacter } from './unicode.ts';

/** An added token as in tokenizer.json, without its id. */
export interface AddedToken {
  content: string;
  /** Matches only if no letter, digit or underscore is adjacent. */
  single_word: boolean;
  /** The match includes the white space before it. */
  lstrip: boolean;
  /** The match includes the white space after it. */
  rstrip: boolean;
  /** Normalized itself, and matched in the normalized text. */
  normalized: boolean;
  /** Omitted by `decode` on request. */
  special: boolean;
}

/** Makes an added token; missing flags have the defaults of Python's `AddedToken`. */
export function addedToken(content: string, given: Partial<AddedToken> = {}): AddedToken {
  const special = given.special ?? false;
  const { single_word = false, lstrip = false, rstrip = false, normalized = !special } = given;
  return { content, single_word, lstrip, rstrip, normalized, special };
}

export const FLAGS = ['single_word', 'lstrip', 'rstrip', 'normalized', 'special'] as const;

export function alike(a: AddedToken, b: AddedToken): boolean {
  return a.content === b.content && FLAGS.every((flag) => a[flag] === b[flag]);
}

/** A part of a text: an added token, or plain text (`id` is null). */
export interface Part {
  text: AlignedText;
  id: number | null;
}

interface Matcher {
  pattern: RegExp;
  ids: ReadonlyMap<string, number>;
}

export class AddedVocabulary {
  private readonly ids = new Map<string, number>();
  private readonly tokens = new Map<number, AddedToken>();
  /** Once special, a token stays special; special tokens are matched first. */
  private readonly specials = new Set<string>();
  private readonly ordinary = new Set<string>();
  /** Normal forms. A form stays when its token is added again without `normalized`. */
  private readonly names = new Map<number, string>();
  private raw: Matcher | null = null;
  private normal: Matcher | null = null;
  private largest = -1;

  constructor(
    private readonly model: ReadonlyMap<string, number>,
    private readonly normalizer: Normalizer | null,
    /** Whether special tokens are split like any other text. */
    private readonly splitsSpecials: boolean,
  ) {}

  /** Adds tokens. A token that is in the model's vocabulary keeps its id; others get the next free ids. */
  add(tokens: readonly AddedToken[]): void {
    for (const token of tokens) {
      if (token.special && token.content !== '') this.specials.add(token.content);
    }
    for (const token of tokens) {
      const known = this.ids.get(token.content);
      if (token.content === '' || (known !== undefined && alike(this.tokens.get(known)!, token))) continue;
      const id = this.idOf(token.content) ?? Math.max(this.largest + 1, this.model.size);
      this.largest = Math.max(this.largest, id);
      this.ids.set(token.content, id);
      this.tokens.set(id, token);
      if (token.normalized && this.normalizer !== null) this.names.set(id, this.normalForm(token));
      if (!this.specials.has(token.content)) this.ordinary.add(token.content);
    }
    this.refresh();
  }

  private refresh(): void {
    const raw = new Map<string, number>();
    const normal = new Map<string, number>();
    for (const content of [...this.specials, ...this.ordinary]) {
      const id = this.ids.get(content)!;
      const token = this.tokens.get(id)!;
      const key = this.normalForm(token);
      const into = token.normalized ? normal : raw;
      // If several tokens look the same, the first one matches.
      if (key !== '' && !into.has(key)) into.set(key, id);
    }
    this.raw = matcher(raw);
    this.normal = matcher(normal);
  }

  idOf(content: string): number | undefined {
    return this.ids.get(content) ?? this.model.get(content);
  }

  /** The text that an added token decodes to: a normalized token decodes to its normalized form. */
  nameOf(id: number): string | undefined {
    return this.names.get(id) ?? this.tokens.get(id)?.content;
  }

  private normalForm({ content, normalized }: AddedToken): string {
    return normalized && this.normalizer !== null ? this.normalizer(AlignedText.of(content)).text : content;
  }

  get entries(): ReadonlyMap<number, AddedToken> {
    return this.tokens;
  }

  isSpecial(content: string): boolean {
    return this.specials.has(content);
  }

  /** Splits a text into added tokens and plain parts, and normalizes the plain parts. No part is empty. */
  split(text: AlignedText): Part[] {
    return this.cut(text, this.raw).flatMap((part) =>
      part.id !== null
        ? [part]
        : this.cut(this.normalizer === null ? part.text : this.normalizer(part.text), this.normal),
    );
  }

  private cut(aligned: AlignedText, found: Matcher | null): Part[] {
    const { text } = aligned;
    if (text === '') return [];
    if (found === null) return [{ text: aligned.slice(0, text.length), id: null }];
    const out: Part[] = [];
    let at = 0;
    const put = (from: number, to: number, id: number | null): void => {
      if (from < to) out.push({ text: aligned.slice(from, to), id });
    };
    for (const { 0: content, index } of text.matchAll(found.pattern)) {
      const id = found.ids.get(content)!;
      const token = this.tokens.get(id)!;
      let [start, end] = [index, index + content.length];
      if (this.splitsSpecials && this.specials.has(token.content)) continue;
      if (token.single_word && (isWordCharacter(lastOf(text, start)) || isWordCharacter(firstOf(text, end))))
        continue;
      if (token.lstrip) {
        while (start > at && isSpace(text[start - 1]!)) start -= 1;
        // The previous token may already include the first of these spaces.
        start = Math.max(start, at);
      }
      if (token.rstrip) while (end < text.length && isSpace(text[end]!)) end += 1;
      put(at, start, null);
      put(start, end, id);
      at = end;
    }
    put(at, text.length, null);
    return out;
  }
}

/** Matches any of the texts, preferring the longest; null if there are none. */
function matcher(ids: ReadonlyMap<string, number>): Matcher | null {
  if (ids.size === 0) return null;
  const texts = [...ids.keys()].sort((a, b) => b.length - a.length);
  return { pattern: new RegExp(texts.map(escaped).join('|'), 'gu'), ids };
}

/** The character before a position; '' at the start. */
function lastOf(text: string, at: number): string {
  return Array.from(text.slice(Math.max(0, at - 2), at)).at(-1) ?? '';
}

function firstOf(text: string, at: number): string {
  return at >= text.length ? '' : String.fromCodePoint(text.codePointAt(at)!);
}
