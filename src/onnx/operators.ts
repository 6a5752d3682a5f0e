/** The nodes that compute what an operation of the engine computes. */
import { ConfigError } from '../errors.ts';
import type { Activation } from '../kernels/activations.ts';
import type { DistanceRows } from '../tensor/ops/distances.ts';
import { type Dim, sameDim } from './dims.ts';
import type { Graph } from './graph.ts';
import { type Context, measured, queriesAndKeys, sizeVector } from './sizes.ts';
import type { TracedOp } from './trace.ts';

type Convert = (op: TracedOp, context: Context) => string;

const LOWEST = -3.4028234663852886e38;

const option = <T>({ options }: TracedOp): T => options[0] as T;

/** An option that is a size. */
function sizeOption(op: TracedOp, name: string, { sizes }: Context): Dim {
  const [a, b] = op.options.map((options) => (options as Record<string, number>)[name]!);
  return sizes.of(a!, b!);
}

/** Reshapes to sizes of which any may depend on the inputs'. */
function reshaped(x: string, from: readonly Dim[], to: readonly Dim[], context: Context): string {
  const { graph } = context;
  // In a shape, 0 is the size that is there and −1 the rest.
  let rest = false;
  const parts = to.map((dim, at) => {
    if (dim.axes.length === 0) return dim.factor;
    if (sameDim(dim, from[at])) return 0;
    if (rest) return sizeVector(dim, context);
    rest = true;
    return -1;
  });
  const numbers = parts.filter((part) => typeof part === 'number');
  const shape =
    numbers.length === parts.length
      ? graph.ints(numbers)
      : graph.node(
          'Concat',
          parts.map((part) => (typeof part === 'number' ? graph.ints([part]) : part)),
          { axis: { int: 0 } },
        );
  return graph.node('Reshape', [x, shape]);
}

const times = (graph: Graph, x: string, factor: number): string =>
  graph.node('Mul', [x, graph.floats([factor])]);

function tanhGelu(graph: Graph, x: string): string {
  const cube = graph.node('Mul', [graph.node('Mul', [x, x]), x]);
  const inner = times(graph, graph.node('Add', [x, times(graph, cube, 0.044715)]), Math.sqrt(2 / Math.PI));
  return graph.node('Mul', [
    times(graph, x, 0.5),
    graph.node('Add', [graph.node('Tanh', [inner]), graph.floats([1])]),
  ]);
}

/** In the form that ONNX Runtime's optimizer recognizes. */
function gelu(graph: Graph, x: string): string {
  const erf = graph.node('Erf', [graph.node('Div', [x, graph.floats([Math.SQRT2])])]);
  return times(graph, graph.node('Mul', [x, graph.node('Add', [erf, graph.floats([1])])]), 0.5);
}

const activations: Readonly<Record<Activation, (graph: Graph, x: string) => string>> = {
  none: (_, x) => x,
  gelu,
  gelu_tanh: tanhGelu,
  quick_gelu: (graph, x) => graph.node('Mul', [x, graph.node('Sigmoid', [times(graph, x, 1.702)])]),
  tanh: (graph, x) => graph.node('Tanh', [x]),
  relu: (graph, x) => graph.node('Relu', [x]),
  sigmoid: (graph, x) => graph.node('Sigmoid', [x]),
  silu: (graph, x) => graph.node('Mul', [x, graph.node('Sigmoid', [x])]),
  exp: (graph, x) => graph.node('Exp', [x]),
};

const activationOps = Object.fromEntries(
  Object.entries(activations).map(([name, apply]): [string, Convert] => [
    name,
    (op, { graph, name: nameOf }) => apply(graph, nameOf(op, 'x')),
  ]),
);

const biased = (graph: Graph, x: string, bias: string): string =>
  bias === '' ? x : graph.node('Add', [x, bias]);

/** activation(x · weightᵀ + bias). */
function linear(
  op: TracedOp,
  context: Context,
  x: string,
  { weight, bias, activation = 'none' }: { weight: string; bias: string; activation?: Activation },
): string {
  const { graph } = context;
  const product = graph.node('MatMul', [x, context.swapped(op, weight)]);
  return activations[activation](graph, biased(graph, product, context.name(op, bias)));
}

function normalized(op: TracedOp, { graph, name }: Context, x: string): string {
  const { eps } = option<{ eps: number }>(op);
  const inputs = [x, name(op, 'weight'), name(op, 'bias')].filter((one) => one !== '');
  return graph.node('LayerNormalization', inputs, { axis: { int: -1 }, epsilon: { float: eps } });
}

/** softmax(q·kᵀ / √size) · v of each head; q, k, v and the result [B, L, heads · size]. */
function attended(op: TracedOp, context: Context, [q, k, v]: readonly string[]): string {
  const { graph } = context;
  const { heads, window } = option<{ heads: number; window?: number }>(op);
  const width = op.y.dims.at(-1)!.factor;
  const size = width / heads;
  const seen = seenKeys(context.name(op, 'mask'), window, context);
  const apart = (x: string, order: readonly number[]): string =>
    graph.node('Transpose', [graph.node('Reshape', [x, graph.ints([0, 0, heads, size])])], {
      perm: { ints: order },
    });
  const [query, key, value] = [apart(q!, [0, 2, 1, 3]), apart(k!, [0, 2, 3, 1]), apart(v!, [0, 2, 1, 3])];
  const scores = times(graph, graph.node('MatMul', [query, key]), 1 / Math.sqrt(size));
  const lowest = graph.floats([LOWEST]);
  const shown = seen === '' ? scores : graph.node('Where', [seen, scores, lowest]);
  const weights = graph.node('Softmax', [shown], { axis: { int: -1 } });
  const mixed = graph.node('Transpose', [graph.node('MatMul', [weights, value])], {
    perm: { ints: [0, 2, 1, 3] },
  });
  return graph.node('Reshape', [mixed, graph.ints([0, 0, width])]);
}

/** Which keys a query sees, of those that a mask [B, L] shows and of those near by: broadcasts to [B, heads, L, L]. */
function seenKeys(mask: string, window: number | undefined, context: Context): string {
  const { graph } = context;
  const shown = mask === '' ? '' : graph.node('Unsqueeze', [graph.cast(mask, 'bool'), graph.ints([1, 2])]);
  if (window === undefined) return shown;
  const distances = graph.node('Abs', [graph.node('Sub', queriesAndKeys(context))]);
  const near = graph.node('LessOrEqual', [distances, graph.ints([window], [])]);
  return shown === '' ? near : graph.node('And', [shown, near]);
}

/** Queries and keys of each head, turned by the angles of their positions; see `rotary`. */
function turned(op: TracedOp, { graph, name }: Context): string {
  const columns = op.y.dims.at(-1)!.factor;
  const size = op.inputs.angles!.dims[1]!.factor;
  const halves = [size / 2, size / 2];
  const split = (x: string, sizes: readonly number[]) =>
    graph.split('Split', [x, graph.ints(sizes)], sizes.length, { axis: { int: -1 } });
  const [turning, values] = split(name(op, 'qkv'), [(columns / 3) * 2, columns / 3]) as [string, string];
  const angles = graph.node('Gather', [name(op, 'angles'), name(op, 'positions')], { axis: { int: 0 } });
  const [cosine, sine] = split(graph.node('Unsqueeze', [angles, graph.ints([1])]), halves) as [
    string,
    string,
  ];
  const apart = graph.node('Reshape', [turning, graph.ints([0, 0, (columns / 3 / size) * 2, size])]);
  const [a, b] = split(apart, halves) as [string, string];
  const product = (x: string, y: string) => graph.node('Mul', [x, y]);
  const first = graph.node('Sub', [product(a, cosine), product(b, sine)]);
  const second = graph.node('Add', [product(b, cosine), product(a, sine)]);
  const together = graph.node('Concat', [first, second], { axis: { int: -1 } });
  const flat = graph.node('Reshape', [together, graph.ints([0, 0, (columns / 3) * 2])]);
  return graph.node('Concat', [flat, values], { axis: { int: -1 } });
}

/** Values for each distance, laid out by query and key; see `byDistance`. */
function laidOut(op: TracedOp, context: Context): string {
  const { graph } = context;
  const { rows } = option<{ rows: DistanceRows }>(op);
  const [query, key] = queriesAndKeys(context);
  const length = measured(context, 'sequence_length');
  const last = graph.node('Sub', [length, graph.ints([1])]);
  const place = graph.node('Add', [graph.node('Sub', [query, key]), last]);
  const x = context.name(op, 'x');
  if (rows === 'none') return graph.node('Gather', [x, place], { axis: { int: -1 } });
  const row = graph.node('Mul', [rows === 'query' ? query : key, measured(context, 'distances')]);
  const lead = op.y.dims.slice(0, -2).map(() => 0);
  const flat = graph.node('Reshape', [x, graph.ints([...lead, -1])]);
  return graph.node('Gather', [flat, graph.node('Add', [row, place])], { axis: { int: -1 } });
}

/** Integers that are 1 or 0, as the engine's comparisons give. */
const comparison =
  (node: string): Convert =>
  (op, { graph, name }) =>
    graph.cast(graph.node(node, [name(op, 'a'), name(op, 'b')]), 'int64');

const unary =
  (node: string): Convert =>
  (op, { graph, name }) =>
    graph.node(node, [name(op, 'x')]);

/** The position of an extreme, the first of equal ones. */
const position =
  (node: string): Convert =>
  (op, context) => {
    const { graph, name } = context;
    const { dim, keepdim } = option<{ dim: number | undefined; keepdim: boolean }>(op);
    const { dims } = op.inputs.x!;
    if (dim !== undefined) {
      const axis = { int: (dim + dims.length) % dims.length };
      return graph.node(node, [name(op, 'x')], { axis, keepdims: { int: Number(keepdim) } });
    }
    const flat = graph.node('Reshape', [name(op, 'x'), graph.ints([-1])]);
    const found = graph.node(node, [flat], { axis: { int: 0 }, keepdims: { int: 0 } });
    return graph.node('Reshape', [found, graph.ints(op.y.dims.map(() => 1))]);
  };

/** The values of a dimension at positions that are computed. */
function taken(op: TracedOp, { graph, name }: Context): string {
  const { dim, keepdim } = option<{ dim: number; keepdim: boolean }>(op);
  const { dims } = op.inputs.x!;
  const axis = (dim + dims.length) % dims.length;
  const rows = name(op, 'rows');
  const kept = keepdim ? rows : graph.node('Unsqueeze', [rows, graph.ints([axis])]);
  const values = graph.node('GatherElements', [name(op, 'x'), kept], { axis: { int: axis } });
  return keepdim ? values : graph.node('Squeeze', [values, graph.ints([axis])]);
}

/** Values between two limits, of which either may be infinite. */
function limited(op: TracedOp, { graph, name }: Context): string {
  const { low, high } = option<{ low: number; high: number }>(op);
  const x = name(op, 'x');
  const raised = Number.isFinite(low) ? graph.node('Max', [x, graph.floats([low])]) : x;
  return Number.isFinite(high) ? graph.node('Min', [raised, graph.floats([high])]) : raised;
}

function reduction(node: string): Convert {
  return (op, { graph, name }) => {
    const { dim, keepdim } = option<{ dim: number | undefined; keepdim: boolean }>(op);
    const rank = op.inputs.x!.dims.length;
    const keepdims = { keepdims: { int: keepdim ? 1 : 0 } };
    if (node === 'ReduceSum') {
      const axes = dim === undefined ? [] : [graph.ints([(dim + rank) % rank])];
      return graph.node(node, [name(op, 'x'), ...axes], keepdims);
    }
    const axes = dim === undefined ? {} : { axes: { ints: [(dim + rank) % rank] } };
    return graph.node(node, [name(op, 'x')], { ...keepdims, ...axes });
  };
}

const binary =
  (node: string): Convert =>
  (op, { graph, name }) =>
    graph.node(node, [name(op, 'a'), name(op, 'b')]);

const converts: Readonly<Record<string, Convert>> = {
  ...activationOps,
  add: binary('Add'),
  sub: binary('Sub'),
  mul: binary('Mul'),
  div: binary('Div'),
  pow: binary('Pow'),
  maximum: binary('Max'),
  minimum: binary('Min'),
  eq: comparison('Equal'),
  ne: (op, { graph, name }) =>
    graph.cast(graph.node('Not', [graph.node('Equal', [name(op, 'a'), name(op, 'b')])]), 'int64'),
  lt: comparison('Less'),
  le: comparison('LessOrEqual'),
  gt: comparison('Greater'),
  ge: comparison('GreaterOrEqual'),
  where: (op, { graph, name }) =>
    graph.node('Where', [graph.cast(name(op, 'condition'), 'bool'), name(op, 'a'), name(op, 'b')]),
  log: unary('Log'),
  sqrt: unary('Sqrt'),
  abs: unary('Abs'),
  clamp: limited,
  power: (op, { graph, name }) =>
    graph.node('Pow', [name(op, 'x'), graph.floats([option<{ low: number }>(op).low])]),
  cat: (op, { graph, name }) => {
    const parts = Object.keys(op.inputs).map((input) => name(op, input));
    const given = parts.filter((part) => part !== '');
    return graph.node('Concat', given, { axis: { int: option<{ dim: number }>(op).dim } });
  },
  argmax: position('ArgMax'),
  argmin: position('ArgMin'),
  takeAlong: taken,
  amax: reduction('ReduceMax'),
  amin: reduction('ReduceMin'),
  sum: reduction('ReduceSum'),
  mean: reduction('ReduceMean'),
  softmax: (op, { graph, name }) => graph.node('Softmax', [name(op, 'x')], { axis: { int: -1 } }),
  affine: (op, { graph, name }) => {
    const { scale, shift } = option<{ scale: number; shift: number }>(op);
    const scaled = times(graph, name(op, 'x'), scale);
    return shift === 0 ? scaled : graph.node('Add', [scaled, graph.floats([shift])]);
  },
  embedding: (op, { graph, name }) =>
    graph.node('Gather', [name(op, 'table'), name(op, 'ids')], { axis: { int: 0 } }),
  positionIds: (op, { graph, name }) => {
    const { padding } = option<{ padding: number }>(op);
    const first = graph.ints([padding], []);
    const real = graph.cast(graph.node('Not', [graph.node('Equal', [name(op, 'ids'), first])]), 'int32');
    const counts = graph.node('Mul', [graph.node('CumSum', [real, graph.ints([1], [])]), real]);
    return graph.node('Add', [graph.cast(counts, 'int64'), first]);
  },
  reshape: (op, context) => reshaped(context.name(op, 'x'), op.inputs.x!.dims, op.y.dims, context),
  permute: (op, { graph, name }) =>
    graph.node('Transpose', [name(op, 'x')], {
      perm: { ints: option<{ dims: readonly number[] }>(op).dims },
    }),
  narrow: (op, context) => {
    const { graph, name } = context;
    const { dim } = option<{ dim: number }>(op);
    const start = sizeOption(op, 'start', context);
    const length = sizeOption(op, 'length', context);
    const from = sizeVector(start, context);
    const count = sizeVector(length, context);
    const isFirst = start.factor === 0 && start.axes.length === 0;
    const numbers = start.axes.length + length.axes.length === 0;
    const to = isFirst
      ? count
      : numbers
        ? graph.ints([start.factor + length.factor])
        : graph.node('Add', [from, count]);
    return graph.node('Slice', [name(op, 'x'), from, to, graph.ints([dim])]);
  },
  layerNorm: (op, context) => normalized(op, context, context.name(op, 'x')),
  addLayerNorm: (op, context) => {
    const { graph, name } = context;
    return normalized(op, context, graph.node('Add', [name(op, 'x'), name(op, 'residual')]));
  },
  matmul: (op, context) => {
    const { graph, name, swapped } = context;
    const { transposeA = false, transposeB = false } = option<{ transposeA?: boolean; transposeB?: boolean }>(
      op,
    );
    const side = (input: string, swap: boolean) => (swap ? swapped(op, input) : name(op, input));
    const product = graph.node('MatMul', [side('a', transposeA), side('b', transposeB)]);
    return biased(graph, product, name(op, 'bias'));
  },
  linearActivation: (op, context) =>
    linear(op, context, context.name(op, 'a'), { weight: 'b', bias: 'bias', activation: option(op) }),
  feedForward: (op, context) => {
    const inner = { weight: 'innerWeight', bias: 'innerBias', activation: option<Activation>(op) };
    const hidden = linear(op, context, context.name(op, 'x'), inner);
    return linear(op, context, hidden, { weight: 'outerWeight', bias: 'outerBias' });
  },
  attention: (op, context) => {
    const inputs = ['q', 'k', 'v'].map((input) => context.name(op, input));
    return attended(op, context, inputs);
  },
  selfAttention: (op, context) => {
    if (op.inputs.bias !== undefined || option<{ scale?: number }>(op).scale !== undefined)
      throw new ConfigError(
        `${context.where}: attention with a bias or a scale has no counterpart in ONNX files`,
        { remedy: 'this model cannot be exported' },
      );
    const parts = context.graph.split('Split', [context.name(op, 'qkv')], 3, { axis: { int: -1 } });
    return attended(op, context, parts);
  },
  gated: (op, { graph, name }) => {
    const [a, b] = graph.split('Split', [name(op, 'x')], 2, { axis: { int: -1 } }) as [string, string];
    return graph.node('Mul', [activations[option<Activation>(op)](graph, a), b]);
  },
  rotary: turned,
  byDistance: laidOut,
};

/** Adds an operation's nodes and returns the name of its result. Throws `ConfigError` if it has none. */
export function convert(op: TracedOp, context: Context): string {
  const known = Object.hasOwn(converts, op.name) ? converts[op.name] : undefined;
  if (known === undefined)
    throw new ConfigError(`${context.where}: the operation '${op.name}' has no counterpart in ONNX files`, {
      remedy: 'this model cannot be exported',
    });
  return known(op, context);
}
