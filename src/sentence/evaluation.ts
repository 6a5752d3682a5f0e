/** Metrics of embeddings, named as sentence-transformers' evaluators name them. */
import { type Metrics, pearson, spearman } from '../train/metrics.ts';
import { unit } from './similarity.ts';

/** Vectors as rows of `width` numbers. */
interface Rows {
  values: Float32Array;
  width: number;
}

const rowOf = ({ values, width }: Rows, at: number): Float32Array =>
  values.subarray(at * width, (at + 1) * width);

/** The vectors of one column of embeddings [n, columns, width], at unit length. */
export function unitColumn(values: Float32Array, shape: readonly number[], column: number): Float32Array[] {
  const [n, columns, width] = shape as [number, number, number];
  return Array.from({ length: n }, (_, row) => unit(rowOf({ values, width }, row * columns + column)));
}

function cosine(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i]! * b[i]!;
  return sum;
}

/** Pearson and Spearman of the cosines of pairs with their scores. */
export function similarityMetrics(
  values: Float32Array,
  shape: readonly number[],
  scores: ArrayLike<number>,
): Metrics {
  const [a, b] = [unitColumn(values, shape, 0), unitColumn(values, shape, 1)];
  const cosines = Float32Array.from(a, (x, at) => cosine(x, b[at]!));
  const gold = Float32Array.from(scores);
  return { pearson_cosine: pearson(cosines, gold), spearman_cosine: spearman(cosines, gold) };
}

export const retrievalNames = [
  'cosine_recall@1',
  'cosine_recall@5',
  'cosine_recall@10',
  'cosine_mrr@10',
  'cosine_ndcg@10',
];

/** Documents that count in MRR and NDCG. */
const CUT = 10;

/**
 * Retrieval of each anchor's matches among all matches and other texts of the data, by cosine: recall, mean
 * reciprocal rank, and normalized discounted cumulative gain, as Python's InformationRetrievalEvaluator. Equal
 * texts are one document, equal anchors one query. With other texts also the share of triplets whose match is
 * nearer.
 */
export function retrievalMetrics(
  values: Float32Array,
  shape: readonly number[],
  texts: readonly (readonly string[])[],
): Metrics {
  const [, columns] = shape as [number, number, number];
  const vectors = Array.from({ length: columns }, (_, column) => unitColumn(values, shape, column));
  const documents = new Map<string, Float32Array>();
  const queries = new Map<string, { vector: Float32Array; matches: Set<string> }>();
  for (const [row, [anchor, ...others]] of texts.entries()) {
    for (const [at, text] of others.entries()) documents.set(text, vectors[at + 1]![row]!);
    const query = queries.get(anchor!) ?? { vector: vectors[0]![row]!, matches: new Set<string>() };
    query.matches.add(others[0]!);
    queries.set(anchor!, query);
  }
  const names = [...documents.keys()];
  const rows = [...documents.values()];
  const totals = Object.fromEntries(retrievalNames.map((name) => [name, 0]));
  for (const { vector, matches } of queries.values()) {
    const scores = rows.map((row) => cosine(vector, row));
    const best = [...scores.keys()].sort((a, b) => scores[b]! - scores[a]!).slice(0, CUT);
    const hits = best.map((at) => matches.has(names[at]!));
    const found = (most: number): number => hits.slice(0, most).filter(Boolean).length;
    for (const most of [1, 5, 10]) totals[`cosine_recall@${most}`]! += found(most) / matches.size;
    const first = hits.indexOf(true);
    if (first >= 0) totals['cosine_mrr@10']! += 1 / (first + 1);
    totals['cosine_ndcg@10']! +=
      gain(hits) / gain(Array.from({ length: Math.min(matches.size, CUT) }, () => true));
  }
  const metrics: Metrics = Object.fromEntries(
    Object.entries(totals).map(([name, total]) => [name, total / queries.size]),
  );
  if (columns > 2) metrics.cosine_accuracy = tripletAccuracy(vectors);
  return metrics;
}

function gain(hits: readonly boolean[]): number {
  return hits.reduce((sum, hit, at) => sum + (hit ? 1 / Math.log2(at + 2) : 0), 0);
}

/** The share of anchors that are nearer to their match than to every other text. */
function tripletAccuracy([anchors, matches, ...others]: readonly Float32Array[][]): number {
  const right = anchors!.filter((anchor, row) =>
    others.every((column) => cosine(anchor, matches![row]!) > cosine(anchor, column[row]!)),
  );
  return right.length / anchors!.length;
}

/** The share of texts whose nearest other text has their class. */
export function neighborMetrics(
  values: Float32Array,
  shape: readonly number[],
  classes: ArrayLike<number>,
): Metrics {
  const vectors = unitColumn(values, shape, 0);
  const right = vectors.filter((vector, row) => {
    let [best, nearest] = [Number.NEGATIVE_INFINITY, -1];
    for (const [at, other] of vectors.entries()) {
      const score = at === row ? Number.NEGATIVE_INFINITY : cosine(vector, other);
      if (score > best) [best, nearest] = [score, at];
    }
    return nearest >= 0 && classes[nearest] === classes[row];
  });
  return { neighbor_accuracy: right.length / vectors.length };
}
