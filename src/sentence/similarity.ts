/** How alike vectors are, as sentence-transformers counts it. */
import { DataError } from '../errors.ts';

export const similarityFunctions = ['cosine', 'dot', 'euclidean', 'manhattan'] as const;

/** `euclidean` and `manhattan` are negative distances: more is more alike. */
export type SimilarityFunction = (typeof similarityFunctions)[number];

type Vector = Float32Array;

function dot(a: Vector, b: Vector): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i]! * b[i]!;
  return sum;
}

/** Lengths below this count as this. */
const EPS = 1e-12;

const functions: Record<SimilarityFunction, (a: Vector, b: Vector) => number> = {
  cosine: (a, b) => dot(a, b) / (Math.max(Math.sqrt(dot(a, a)), EPS) * Math.max(Math.sqrt(dot(b, b)), EPS)),
  dot,
  euclidean: (a, b) => -Math.sqrt(a.reduce((sum, x, i) => sum + (x - b[i]!) ** 2, 0)),
  manhattan: (a, b) => -a.reduce((sum, x, i) => sum + Math.abs(x - b[i]!), 0),
};

/** Throws `DataError` unless all vectors have one length. */
function checkWidths(rows: readonly Vector[]): void {
  const odd = rows.find(({ length }) => length !== rows[0]!.length);
  if (odd !== undefined)
    throw new DataError(`similarity: vectors of ${rows[0]!.length} and ${odd.length} numbers`, {
      remedy: 'compare vectors of one model',
    });
}

/** A row for each vector of `a`, with a number for each of `b`. Throws `DataError` for other lengths. */
export function similarityMatrix(
  a: readonly Vector[],
  b: readonly Vector[],
  name: SimilarityFunction = 'cosine',
): Float32Array[] {
  checkWidths([...a, ...b]);
  // Vectors of unit length are compared by their product alone.
  const units = (rows: readonly Vector[]) => (name === 'cosine' ? rows.map(unit) : rows);
  const [left, right] = [units(a), units(b)];
  const compare = name === 'cosine' ? dot : functions[name];
  return left.map((x) => Float32Array.from(right, (y) => compare(x, y)));
}

/** A number for each row of `a` and the same row of `b`. Throws `DataError` if they differ in number. */
export function pairwiseSimilarity(
  a: readonly Vector[],
  b: readonly Vector[],
  name: SimilarityFunction = 'cosine',
): Float32Array {
  if (a.length !== b.length)
    throw new DataError(`similarity: ${a.length} vectors beside ${b.length}`, { remedy: 'pass as many' });
  checkWidths([...a, ...b]);
  return Float32Array.from(a, (x, at) => functions[name](x, b[at]!));
}

/** The vector with length 1; of zeros, zeros. */
export function unit(x: Vector): Float32Array {
  const length = Math.max(Math.sqrt(dot(x, x)), EPS);
  return x.map((value) => value / length);
}
