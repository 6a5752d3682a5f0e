/** What is read from weights of attention. */
import type { Token } from '../inspect/tokens.ts';

/** Weights [tokens, tokens] of one head of [heads, tokens, tokens], or the mean of all (null). */
export function headWeights(
  weights: Float32Array,
  heads: number,
  tokens: number,
  head: number | null,
): Float32Array {
  const size = tokens * tokens;
  if (head !== null) return weights.subarray(head * size, (head + 1) * size);
  return Float32Array.from({ length: size }, (_, at) => {
    let sum = 0;
    for (let one = 0; one < heads; one += 1) sum += weights[one * size + at]!;
    return sum / heads;
  });
}

export interface Seen {
  token: string;
  /** Its number. */
  at: number;
  weight: number;
}

/** The tokens that token `row` takes the most of, in weights [tokens, tokens]. */
export function mostSeen(weights: Float32Array, tokens: readonly Token[], row: number, most: number): Seen[] {
  return tokens
    .map(({ name }, at) => ({ token: name, at, weight: weights[row * tokens.length + at]! }))
    .sort((a, b) => b.weight - a.weight)
    .slice(0, most);
}

/** Above it, names of tokens beside the map would be too small to read. */
export const MOST_NAMED = 40;

/** Where the map and the names of its rows and columns are, in CSS pixels. */
export interface MapLayout {
  /** Of a cell. */
  cell: number;
  /** Left and top of the first cell: room for names. */
  origin: number;
  named: boolean;
}

/** Lays out a map of `tokens` in a square of `side` pixels, with names of up to `widest` pixels. */
export function mapLayout(tokens: number, side: number, widest: number): MapLayout {
  const room = Math.min(Math.ceil(widest) + 8, Math.round(side / 3));
  const named = tokens <= MOST_NAMED && (side - room) / tokens >= 9;
  const origin = named ? room : 0;
  return { cell: (side - origin) / tokens, origin, named };
}

/** The side of a map at most, in CSS pixels: cells of few tokens stay small. */
export const largestSide = (tokens: number): number => Math.min(520, 120 + 44 * tokens);

/** The cell at a point of the map; null outside. */
export function cellAt(
  { cell, origin }: MapLayout,
  tokens: number,
  x: number,
  y: number,
): { row: number; column: number } | null {
  const [row, column] = [Math.floor((y - origin) / cell), Math.floor((x - origin) / cell)];
  const inside = (at: number) => at >= 0 && at < tokens;
  return inside(row) && inside(column) ? { row, column } : null;
}
