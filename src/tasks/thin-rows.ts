/** Rows without their texts: what is decided from a table depends on labels, and on texts that are odd. */
import type { TextRow } from '../data/table.ts';
import { Digest } from './stream.ts';

/** Rows alike that are told apart by their lines, for messages; more are one. */
const TOLD_APART = 10;
/** Kinds of rows that are looked up: labels that are values are all different. */
const KINDS = 10_000;

/** A text of which only remains whether it is blank, and whether a character was lost. */
function mark(text: string): string {
  if (text.trim() === '') return '';
  return text.includes('\uFFFD') ? '\uFFFD' : 'a text';
}

/** Makes rows thin, in order, and a digest of them as they were. */
export class ThinRows {
  readonly digest = new Digest();
  private readonly kinds = new Map<string, { row: TextRow; count: number }>();

  readonly thin = (row: TextRow): TextRow => {
    const { text, pair, label, line } = row;
    const kind = JSON.stringify([mark(text), pair === undefined ? null : mark(pair), label]);
    this.digest.take(`${text.length} ${pair?.length} ${kind}`);
    const known = this.kinds.get(kind);
    if (known !== undefined && known.count >= TOLD_APART) return known.row;
    const made: TextRow = {
      text: mark(text),
      ...(pair !== undefined && { pair: mark(pair) }),
      // A copy: a part of a text keeps the whole one in memory.
      ...(label !== undefined && { label: JSON.parse(JSON.stringify(label)) as typeof label }),
      line,
    };
    if (known !== undefined) Object.assign(known, { row: made, count: known.count + 1 });
    else if (this.kinds.size < KINDS) this.kinds.set(kind, { row: made, count: 1 });
    return made;
  };
}
