import { sizeAt } from './unicode.ts';

/**
 * A text under normalization that tracks, for each of its UTF-16 units, the source range it stands for.
 * Follows the rules of Python's `NormalizedString`, so that offsets are the same. Source positions count code
 * points, as in Python.
 */
export class AlignedText {
  /** @internal `starts[at + i]` and `ends[at + i]` belong to unit i of `text`. */
  private constructor(
    readonly text: string,
    private readonly starts: ArrayLike<number>,
    private readonly ends: ArrayLike<number>,
    private readonly at: number,
    /** The position in the source where this text starts. */
    readonly origin: number,
  ) {}

  static of(source: string): AlignedText {
    const starts = new Int32Array(source.length);
    const ends = new Int32Array(source.length);
    let point = 0;
    for (let unit = 0; unit < source.length; point += 1) {
      const next = unit + sizeAt(source, unit);
      for (; unit < next; unit += 1) {
        starts[unit] = point;
        ends[unit] = point + 1;
      }
    }
    return new AlignedText(source, starts, ends, 0, 0);
  }

  /** The units [from, to), sharing memory with this text. */
  slice(from: number, to: number): AlignedText {
    const origin = from < to ? this.starts[this.at + from]! : this.origin;
    if (from === 0 && to === this.text.length && origin === this.origin) return this;
    return new AlignedText(this.text.slice(from, to), this.starts, this.ends, this.at + from, origin);
  }

  /** The source range of the units [from, to). */
  source(from: number, to: number): [number, number] {
    if (from >= to) return [this.origin + from, this.origin + from];
    return [this.starts[this.at + from]!, this.ends[this.at + to - 1]!];
  }

  /**
   * Replaces the text by `characters`, after dropping the first `removed` characters. `changes` gives the
   * alignment of each new character: 0 replaces the next old character; -n replaces it and drops n more after
   * it; 1 inserts a character with the source of the one before it.
   */
  transform(characters: readonly string[], changes: readonly number[], removed = 0): AlignedText {
    const out = new Builder();
    let unit = this.skip(0, removed);
    for (let i = 0; i < characters.length; i += 1) {
      const change = changes[i]!;
      const from = this.at + (change > 0 ? unit - 1 : unit);
      const known = change > 0 ? unit > 0 : unit < this.text.length;
      const [start, end] = known ? [this.starts[from]!, this.ends[from]!] : [this.origin, this.origin];
      out.put(characters[i]!, start, end);
      if (change <= 0) unit = this.skip(unit, 1 - change);
    }
    return new AlignedText(out.text, out.starts, out.ends, 0, this.origin);
  }

  private skip(unit: number, characters: number): number {
    let at = unit;
    for (let i = 0; i < characters && at < this.text.length; i += 1) at += sizeAt(this.text, at);
    return at;
  }

  /** Replaces each character by the result of `make`; all resulting characters share its source. */
  mapEach(make: (character: string) => string): AlignedText {
    const out = new Builder();
    let unit = this.at;
    for (const character of this.text) {
      out.put(make(character), this.starts[unit]!, this.ends[unit]!);
      unit += character.length;
    }
    return new AlignedText(out.text, out.starts, out.ends, 0, this.origin);
  }

  /** Puts `prefix` before a text, with the source of its first character. An empty text stays empty. */
  prepend(prefix: string): AlignedText {
    if (this.text === '') return this;
    const characters = Array.from(this.text);
    const added = Array.from(prefix);
    // The first new character replaces the old first one, which follows as if inserted.
    const changes = [...added.map((_, i) => (i === 0 ? 0 : 1)), 1, ...characters.slice(1).map(() => 0)];
    return this.transform([...added, ...characters], changes);
  }

  /** Replaces every match (flag `g`) by `content`, with the source of the last character replaced. */
  replace(pattern: RegExp, content: string): AlignedText {
    const matches = [...this.text.matchAll(pattern)];
    if (matches.length === 0) return this;
    const out = new Builder();
    let at = 0;
    const copy = (to: number): void => {
      for (; at < to; at += 1) out.put(this.text[at]!, this.starts[this.at + at]!, this.ends[this.at + at]!);
    };
    for (const { 0: match, index } of matches) {
      copy(index);
      const to = index + match.length;
      const last = this.at + to - 1;
      if (to > 0) out.put(content, this.starts[last]!, this.ends[last]!);
      else out.put(content, this.origin, this.origin);
      at = to;
    }
    copy(this.text.length);
    return new AlignedText(out.text, out.starts, out.ends, 0, this.origin);
  }
}

/** A text as it is put together, with the source of each unit. */
class Builder {
  text = '';
  readonly starts: number[] = [];
  readonly ends: number[] = [];

  put(part: string, start: number, end: number): void {
    this.text += part;
    for (let unit = 0; unit < part.length; unit += 1) {
      this.starts.push(start);
      this.ends.push(end);
    }
  }
}
