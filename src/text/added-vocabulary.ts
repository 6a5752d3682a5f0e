/**
 * Tokens that were added to a vocabulary and are found in the text before it is split: the rules of Python's
 * tokenizers.
 */
import { AlignedText } from './aligned-text.ts';
import type { Normalizer } from './normalizers.ts';
import { escaped } from './pattern.ts';
import { isSpace, isWordCharacter } from './unicode.ts';

/** A token as tokenizer.json has it, without its id. */
export interface AddedToken {
  content: string;
  /** Only where no letter, digit or underscore touches it. */
  single_word: boolean;
  /** Takes the spaces before it along. */
  lstrip: boolean;
  /** Takes the spaces behind it along. */
  rstrip: boolean;
  /** Found in the normalised text, and itself normalised. */
  normalized: boolean;
  /** Left out by `decode` on request. */
  special: boolean;
}

/** What is not said is as Python's `AddedToken` has it. */
export function addedToken(content: string, given: Partial<AddedToken> = {}): AddedToken {
  const special = given.special ?? false;
  const { single_word = false, lstrip = false, rstrip = false, normalized = !special } = given;
  return { content, single_word, lstrip, rstrip, normalized, special };
}

/** A part of a text: an added token's, or plain (null). */
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
  /** What was special once stays so; these are looked for first. */
  private readonly specials = new Set<string>();
  private readonly ordinary = new Set<string>();
  /** Normal forms; one stays when the token is added again without. */
  private readonly names = new Map<number, string>();
  private raw: Matcher | null = null;
  private normal: Matcher | null = null;
  private largest = -1;

  constructor(
    private readonly model: ReadonlyMap<string, number>,
    private readonly normalizer: Normalizer | null,
    /** Special tokens are text like any other. */
    private readonly splitsSpecials: boolean,
  ) {}

  /** Adds tokens; one that the model's vocabulary has keeps its id, others get the next ones. */
  add(tokens: readonly AddedToken[]): void {
    for (const token of tokens) {
      if (token.special && token.content !== '') this.specials.add(token.content);
    }
    for (const token of tokens) {
      const known = this.ids.get(token.content);
      if (token.content === '' || (known !== undefined && same(this.tokens.get(known)!, token))) continue;
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
      // Of several that look the same the first is found.
      if (key !== '' && !into.has(key)) into.set(key, id);
    }
    this.raw = matcher(raw);
    this.normal = matcher(normal);
  }

  idOf(content: string): number | undefined {
    return this.ids.get(content) ?? this.model.get(content);
  }

  /**
   * The text that an added token is read back as: a normalised one is found, and stands, in normalised text.
   */
  nameOf(id: number): string | undefined {
    return this.names.get(id) ?? this.tokens.get(id)?.content;
  }

  private normalForm({ content, normalized }: AddedToken): string {
    return normalized && this.normalizer !== null ? this.normalizer(AlignedText.of(content)).text : content;
  }

  /** Added tokens by id. */
  get entries(): ReadonlyMap<number, AddedToken> {
    return this.tokens;
  }

  isSpecial(content: string): boolean {
    return this.specials.has(content);
  }

  /** A text into added tokens and plain parts, which are normalised; none is empty. */
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
        // The token before may have taken the first of this one's own spaces.
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

function same(a: AddedToken, b: AddedToken): boolean {
  return (
    a.single_word === b.single_word &&
    a.lstrip === b.lstrip &&
    a.rstrip === b.rstrip &&
    a.normalized === b.normalized &&
    a.special === b.special
  );
}

/** Finds any of some texts, the longest first; null where there are none. */
function matcher(ids: ReadonlyMap<string, number>): Matcher | null {
  if (ids.size === 0) return null;
  const texts = [...ids.keys()].sort((a, b) => b.length - a.length);
  return { pattern: new RegExp(texts.map(escaped).join('|'), 'gu'), ids };
}

/** The character before a place; '' at the beginning. */
function lastOf(text: string, at: number): string {
  return Array.from(text.slice(Math.max(0, at - 2), at)).at(-1) ?? '';
}

function firstOf(text: string, at: number): string {
  return at >= text.length ? '' : String.fromCodePoint(text.codePointAt(at)!);
}
