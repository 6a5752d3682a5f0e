/** Sequences of tokens, whose rows may be more than one binding holds. */
import type { GpuContext } from '../gpu/context.ts';
import { ALIGNED, type Slot, slice } from './launch.ts';

export interface Sequences {
  batch: number;
  /** Of all sequences together. */
  tokens: number;
  /** Of the longest sequence. */
  length: number;
  /**
   * int32 [batch + 1]: sequence b has the tokens from starts[b] to before starts[b + 1]; else each has
   * `length`.
   */
  starts?: Slot | undefined;
  /**
   * The values of `starts`, if the host knows them; needed only if the tensors are larger than one binding.
   */
  knownStarts?: Int32Array | undefined;
}

/** Sequences whose rows are bound together. */
export interface SequenceWindow {
  first: number;
  count: number;
  /** The rows bound, from one at an aligned offset; undefined if all are. */
  rows?: { first: number; end: number };
}

/** A tensor to bind, and the elements of its rows if it is one of rows; others are bound whole. */
export type Operand = readonly [slot: Slot, columns?: number];

/** Rows after which any tensor of rows is at an aligned offset again. */
function alignedRows(width: number): number {
  let rows = 1;
  while ((rows * width) % ALIGNED !== 0) rows *= 2;
  return rows;
}

/** One window if everything fits a binding, or if the starts are not known: `launch` then checks its size. */
export function sequenceWindows(
  gpu: GpuContext,
  { batch, tokens, length, starts, knownStarts }: Sequences,
  operands: readonly Operand[],
): SequenceWindow[] {
  const widths = operands.flatMap(([, columns]) => columns ?? []);
  const widest = Math.max(...widths);
  const fits = (rows: number) => rows * widest * 4 <= gpu.maxBindingBytes;
  const start = (b: number) => (starts === undefined ? b * length : knownStarts![b]!);
  if (fits(tokens) || (starts !== undefined && knownStarts === undefined)) {
    return [{ first: 0, count: batch }];
  }
  const align = Math.max(...widths.map(alignedRows));
  const out: SequenceWindow[] = [];
  for (let first = 0; first < batch; ) {
    const row = start(first) - (start(first) % align);
    let end = first + 1;
    while (end < batch && fits(start(end + 1) - row)) end += 1;
    out.push({ first, count: end - first, rows: { first: row, end: start(end) } });
    first = end;
  }
  return out;
}

export function bindRows([slot, columns]: Operand, { rows }: SequenceWindow): Slot {
  if (columns === undefined || rows === undefined) return slot;
  const window = { first: rows.first, count: rows.end - rows.first, whole: false };
  return slice(slot, window, columns);
}
