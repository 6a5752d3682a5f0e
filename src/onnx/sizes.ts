/** Sizes, positions and distances of the texts at hand, as nodes. */
import type { LengthRule } from '../models/common/length-tables.ts';
import type { Dim, Dims, Measure } from './dims.ts';
import type { Graph } from './graph.ts';
import type { TracedOp } from './trace.ts';

/** Looks up and names values while operations become nodes. */
export interface Context {
  readonly graph: Graph;
  /** The model's class. */
  readonly where: string;
  readonly sizes: Dims;
  /** The name of an operation's input; '' if it is absent. */
  name(op: TracedOp, input: string): string;
  /** The same, with its last two dimensions swapped. */
  swapped(op: TracedOp, input: string): string;
}

/** A size of the inputs, or what follows from it, as a vector of one element. */
export function measured(context: Context, measure: Measure): string {
  const { graph, sizes } = context;
  if (measure !== 'distances') {
    const start = sizes.axes.indexOf(measure);
    return graph.node('Shape', ['input_ids'], { start: { int: start }, end: { int: start + 1 } });
  }
  const length = measured(context, 'sequence_length');
  return graph.node('Sub', [graph.node('Add', [length, length]), graph.ints([1])]);
}

/** A size as a vector of one element. */
export function sizeVector({ factor, axes }: Dim, context: Context): string {
  const { graph } = context;
  if (axes.length === 0) return graph.ints([factor]);
  const all = axes
    .map((axis) => measured(context, axis))
    .reduce((product, next) => graph.node('Mul', [product, next]));
  return factor === 1 ? all : graph.node('Mul', [all, graph.ints([factor])]);
}

/** Sizes as a vector. */
function shapeVector(dims: readonly Dim[], context: Context): string {
  const parts = dims.map((dim) => sizeVector(dim, context));
  return context.graph.node('Concat', parts, { axis: { int: 0 } });
}

/** A tensor whose elements are all one value. */
export function filled(value: string, dims: readonly Dim[], context: Context): string {
  return context.graph.node('Expand', [value, shapeVector(dims, context)]);
}

/** The positions of a text: int64 [L]. */
function positions(context: Context): string {
  const { graph } = context;
  const [zero, one] = [0, 1].map((value) => graph.ints([value], [])) as [string, string];
  const length = graph.node('Squeeze', [measured(context, 'sequence_length'), graph.ints([0])]);
  return graph.node('Range', [zero, length, one]);
}

/** Positions of queries [L, 1] and of keys [1, L]. */
export function queriesAndKeys(context: Context): [string, string] {
  const { graph } = context;
  const along = (axis: number) => graph.node('Unsqueeze', [positions(context), graph.ints([axis])]);
  return [along(1), along(0)];
}

/** A table by length: its rows among those of the longest text's table. */
export function ruled(table: string, { over, longest, saturates }: LengthRule, context: Context): string {
  const { graph } = context;
  if (over === 'positions') return graph.node('Gather', [table, positions(context)], { axis: { int: 0 } });
  const last = graph.ints([longest - 1], []);
  const length = graph.node('Squeeze', [measured(context, 'sequence_length'), graph.ints([0])]);
  const one = graph.ints([1], []);
  const distances = graph.node('Range', [graph.node('Sub', [one, length]), length, one]);
  const near = saturates ? graph.node('Clip', [distances, graph.ints([1 - longest], []), last]) : distances;
  return graph.node('Gather', [table, graph.node('Add', [near, last])], { axis: { int: 0 } });
}
