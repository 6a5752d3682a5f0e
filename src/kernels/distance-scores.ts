/** Launchers for scores of attention by the distance of query and key: their products, and their gradients. */
import { cached } from '../cached.ts';
import type { GpuContext } from '../gpu/context.ts';
import { type FloatDtype, floatDtypeOf, floatDtypes, wgslTypes } from '../gpu/dtype.ts';
import type { ScoreBias } from './attention.ts';
import { type KernelVariant, kernel, launch, type Slot, shifted } from './launch.ts';
import { type MatmulLaunch, matmul } from './matmul/matmul.ts';
import { bindRows, type Operand, type Sequences, sequenceWindows } from './sequences.ts';

const families = ['cpu', 'gpu'] as const;

/** Invocations of a workgroup: on a CPU as many as it computes at once. */
const LANES = { cpu: 8, gpu: 64 };

const parts = ['spread', 'collect', 'sum'] as const;
type Part = (typeof parts)[number];

interface Sides {
  byQuery: boolean;
  byKey: boolean;
}

const made = new Map<string, KernelVariant>();

function variantOf(part: Part, lanes: number, { byQuery, byKey }: Sides, dtype: FloatDtype): KernelVariant {
  return cached(made, `${part} ${lanes} ${byQuery} ${byKey} ${dtype}`, () =>
    kernel('distance_scores', {
      PART: part,
      LANES: lanes,
      BY_QUERY: byQuery,
      BY_KEY: byKey,
      SIDES: Number(byQuery) + Number(byKey),
      T: wgslTypes[dtype],
    }),
  );
}

const noSides: Sides = { byQuery: false, byKey: false };

for (const family of families) {
  variantOf('sum', LANES[family], noSides, 'float32');
  for (const part of ['spread', 'collect'] as const)
    for (const dtype of floatDtypes)
      for (const [byQuery, byKey] of [
        [true, false],
        [false, true],
        [true, true],
      ] as const)
        variantOf(part, LANES[family], { byQuery, byKey }, dtype);
}

/** Scores of attention by sequence; float32 [tokens, heads, length]. */
interface ScoresLaunch extends Sequences {
  heads: number;
  scores: Slot;
}

/** The bias of attention that such scores are. */
export function biasOfScores({ heads, length, scores }: ScoresLaunch): ScoreBias {
  return { slot: scores, head: length, row: heads * length, query: 0, key: 1, first: 0 };
}

/** The bias of attention that numbers [heads, 2 · n − 1] are, one for each distance from −(n − 1) to n − 1. */
export function biasOfDistances(numbers: Slot, width: number): ScoreBias {
  return { slot: numbers, head: width, row: 0, query: 1, key: -1, first: (width - 1) / 2 };
}

/** Runs a kernel by sequences; binding 1 has their starts, or some buffer if there are none. */
function run(
  gpu: GpuContext,
  variant: KernelVariant,
  o: ScoresLaunch,
  operands: readonly [Operand, ...Operand[]],
  {
    x,
    uints,
    scale = 1,
  }: { x: number; uints: readonly [count: number, zero: number, low: number]; scale?: number },
): void {
  const all: Operand[] = [o.starts === undefined ? operands[0] : [o.starts], ...operands];
  const [count, zero, low] = uints;
  for (const window of sequenceWindows(gpu, o, all)) {
    const place = [window.first, window.rows?.first ?? 0, o.starts === undefined ? 0 : 1];
    const scalars = { uints: [o.length, o.heads, count, ...place, zero, low], floats: [scale] };
    const slots = all.map((operand) => bindRows(operand, window));
    launch(gpu, variant, slots, scalars, [x, window.count, o.heads]);
  }
}

/** sums [batch, heads, width]: the scores of each sequence, added up by distance. */
export function sumByDistance(gpu: GpuContext, o: ScoresLaunch & { sums: Slot; width: number }): void {
  const lanes = LANES[gpu.kernels];
  const variant = variantOf('sum', lanes, noSides, 'float32');
  const uints = [o.width, (o.width - 1) / 2, 0] as const;
  run(gpu, variant, o, [[o.scores, o.heads * o.length], [o.sums]], { x: Math.ceil(o.width / lanes), uints });
}

/** Tensors of a kind for the side of the queries, or of the keys, or for both. */
export interface BySide {
  byQuery?: Slot | undefined;
  byKey?: Slot | undefined;
}

export interface DistanceScoresLaunch extends ScoresLaunch {
  /** [tokens, 3 · heads · size]; float16 or float32, as all but the scores. */
  qkv: Slot;
  size: number;
  /** Embeddings of distances, [count, heads · size], of those sides that have some. */
  tables: BySide;
  count: number;
  /** int32: for each distance, 0 at `zero`, a number that `low` less is its row of the tables; rising. */
  rows: Slot;
  /** int32: the place of the first distance of each such number. */
  firsts: Slot;
  zero: number;
  low: number;
  /** Memory for [tokens, sides, heads, count]. */
  products: Slot;
  scale: number;
}

/** A side's place among the products, and the columns of qkv that it multiplies. */
function sidesOf({ tables, heads, size }: DistanceScoresLaunch) {
  const both = [
    { side: 'byQuery', table: tables.byQuery, column: 0 },
    { side: 'byKey', table: tables.byKey, column: heads * size },
  ] as const;
  return both.flatMap(({ table, ...more }) => (table === undefined ? [] : [{ table, ...more }]));
}

const flagsOf = ({ tables }: DistanceScoresLaunch): Sides => ({
  byQuery: tables.byQuery !== undefined,
  byKey: tables.byKey !== undefined,
});

/** What products of the heads share: those of qkv have rows of all three parts. */
function headsOf(o: DistanceScoresLaunch): { width: number; products: number } {
  return { width: o.heads * o.size, products: sidesOf(o).length * o.heads * o.count };
}

/** Fills `scores` with `scale` · (query · its row + key · its row), and `products` with the products. */
export function distanceScores(gpu: GpuContext, o: DistanceScoresLaunch): void {
  const { qkv, heads, size, count, tokens, products } = o;
  const { width, products: columns } = headsOf(o);
  for (const [at, { table, column }] of sidesOf(o).entries())
    matmul(gpu, {
      a: shifted(qkv, column),
      b: table,
      c: shifted(products, at * heads * count),
      m: tokens,
      n: count,
      k: size,
      batch: heads,
      rowStrideA: 3 * width,
      batchStrideA: size,
      rowStrideB: width,
      batchStrideB: size,
      rowStrideC: columns,
      batchStrideC: count,
      transposeA: false,
      transposeB: true,
    });
  const variant = variantOf('spread', LANES[gpu.kernels], flagsOf(o), floatDtypeOf(qkv));
  const operands = [[products, columns], [o.rows], [o.scores, heads * o.length]] as const;
  run(gpu, variant, o, operands, { x: o.length, uints: [count, o.zero, o.low], scale: o.scale });
}

export interface DistanceGradientsLaunch extends DistanceScoresLaunch {
  /** Has gradients, to which those of queries and keys are added. */
  dqkv: Slot;
  /** Filled with the gradients of the tables, for those that are wanted. */
  dtables: BySide;
}

/** Gradients from those of the scores, which are in `scores`; overwrites `products`. */
export function distanceGradients(gpu: GpuContext, o: DistanceGradientsLaunch): void {
  const { qkv, dqkv, dtables, heads, size, count, tokens, products } = o;
  const { width, products: columns } = headsOf(o);
  const variant = variantOf('collect', LANES[gpu.kernels], flagsOf(o), floatDtypeOf(qkv));
  const operands = [[o.scores, heads * o.length], [o.firsts], [products, columns]] as const;
  run(gpu, variant, o, operands, { x: o.length, uints: [count, o.zero, o.low], scale: o.scale });
  for (const [at, { side, table, column }] of sidesOf(o).entries()) {
    const dproducts = shifted(products, at * heads * count);
    const ofProducts = { a: dproducts, rowStrideA: columns, batchStrideA: count };
    const common: Omit<MatmulLaunch, 'b' | 'c' | 'm' | 'k' | 'transposeA'> = {
      ...ofProducts,
      n: size,
      batch: heads,
      batchStrideB: size,
      batchStrideC: size,
      transposeB: false,
    };
    matmul(gpu, {
      ...common,
      b: table,
      c: shifted(dqkv, column),
      m: tokens,
      k: count,
      rowStrideB: width,
      rowStrideC: 3 * width,
      transposeA: false,
      accumulate: true,
    });
    const dtable = dtables[side];
    if (dtable !== undefined)
      matmul(gpu, {
        ...common,
        b: shifted(qkv, column),
        c: dtable,
        m: count,
        k: tokens,
        rowStrideB: 3 * width,
        rowStrideC: width,
        transposeA: true,
      });
  }
}
