/** Reads ONNX files and computes them in float64, apart from the code that writes them. */
import { float16ToFloat32 } from '../../src/tensor/float16.ts';
import { broadcastShapes, sizeOf, stridesOf } from '../../src/tensor/shape.ts';
import { atBroadcast, build, erf, map, type NdArray, nd } from './ndarray.ts';

type Field = number | Uint8Array;
type Fields = Map<number, Field[]>;

/** The fields of a protobuf message; a fixed32 is its four bytes. */
function fieldsOf(bytes: Uint8Array): Fields {
  const fields: Fields = new Map();
  let at = 0;
  const varint = (): number => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at]!;
      at += 1;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(BigInt.asIntN(64, value));
    }
  };
  const take = (length: number): Uint8Array => {
    at += length;
    if (at > bytes.length) throw new Error('a field ends after its message');
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const key = varint();
    const wire = key & 7;
    const value = wire === 0 ? varint() : wire === 5 ? take(4) : wire === 2 ? take(varint()) : null;
    if (value === null) throw new Error(`wire type ${wire}`);
    fields.set(key >> 3, [...(fields.get(key >> 3) ?? []), value]);
  }
  return fields;
}

const text = (field: Field | undefined): string =>
  new TextDecoder().decode((field ?? new Uint8Array()) as Uint8Array);
const messages = (fields: Fields, number: number): Fields[] =>
  (fields.get(number) ?? []).map((bytes) => fieldsOf(bytes as Uint8Array));

const types: Record<number, string> = {
  1: 'float32',
  3: 'int8',
  6: 'int32',
  7: 'int64',
  9: 'bool',
  10: 'float16',
};

interface Port {
  name: string;
  type: string;
  shape: (number | string)[];
}

interface Node {
  op: string;
  inputs: string[];
  outputs: string[];
  attributes: Record<string, number | number[]>;
}

export interface OnnxModel {
  irVersion: number;
  producer: string;
  /** By domain. */
  opsets: Record<string, number>;
  inputs: Port[];
  outputs: Port[];
  nodes: Node[];
  initializers: Map<string, NdArray & { type: string }>;
}

function portOf(fields: Fields): Port {
  const tensor = messages(messages(fields, 2)[0]!, 1)[0]!;
  const dims = messages(messages(tensor, 2)[0]!, 1);
  const shape = dims.map((dim) => (dim.has(2) ? text(dim.get(2)![0]) : (dim.get(1)![0] as number)));
  return { name: text(fields.get(1)![0]), type: types[tensor.get(1)![0] as number]!, shape };
}

function tensorOf(fields: Fields): [string, NdArray & { type: string }] {
  const shape = (fields.get(1) ?? []) as number[];
  const type = types[fields.get(2)![0] as number]!;
  const { buffer } = (fields.get(9)![0] as Uint8Array).slice();
  const values =
    type === 'float32'
      ? new Float32Array(buffer)
      : type === 'float16'
        ? float16ToFloat32(new Uint16Array(buffer))
        : type === 'int8'
          ? new Int8Array(buffer)
          : Array.from(new BigInt64Array(buffer), Number);
  if (values.length !== sizeOf(shape)) throw new Error(`tensor of ${values.length} elements, not [${shape}]`);
  return [text(fields.get(8)![0]), { ...nd(shape, values), type }];
}

function attributeOf(fields: Fields): [string, number | number[]] {
  const float = fields.get(2)?.[0] as Uint8Array | undefined;
  const value =
    float === undefined
      ? ((fields.get(3)?.[0] as number | undefined) ?? (fields.get(8) as number[]))
      : new DataView(float.slice().buffer).getFloat32(0, true);
  return [text(fields.get(1)![0]), value];
}

export function decodeOnnx(bytes: Uint8Array): OnnxModel {
  // A Buffer's slices would share its memory.
  const model = fieldsOf(new Uint8Array(bytes));
  const graph = messages(model, 7)[0]!;
  const names = (fields: Fields, number: number): string[] => (fields.get(number) ?? []).map(text);
  return {
    irVersion: model.get(1)![0] as number,
    producer: text(model.get(2)![0]),
    opsets: Object.fromEntries(
      messages(model, 8).map((one) => [text(one.get(1)![0]), one.get(2)![0] as number]),
    ),
    inputs: messages(graph, 11).map(portOf),
    outputs: messages(graph, 12).map(portOf),
    nodes: messages(graph, 1).map((node) => ({
      op: text(node.get(4)![0]),
      inputs: names(node, 1),
      outputs: names(node, 2),
      attributes: Object.fromEntries(messages(node, 5).map(attributeOf)),
    })),
    initializers: new Map(messages(graph, 5).map(tensorOf)),
  };
}

type Attributes = Node['attributes'];
type Compute = (inputs: NdArray[], attributes: Attributes) => NdArray | NdArray[];

/** The elements of x as if it had the shape `shape`, each dimension of x being the one named by `from`. */
function spread(x: NdArray, shape: readonly number[], from: readonly number[]): Float64Array {
  const own = stridesOf(x.shape);
  const strides = shape.map((_, d) => {
    const at = from.indexOf(d);
    return at < 0 || x.shape[at] === 1 ? 0 : own[at]!;
  });
  const out = new Float64Array(sizeOf(shape));
  const index = shape.map(() => 0);
  let offset = 0;
  for (let flat = 0; flat < out.length; flat += 1) {
    out[flat] = x.data[offset]!;
    for (let d = shape.length - 1; d >= 0; d -= 1) {
      index[d]! += 1;
      offset += strides[d]!;
      if (index[d]! < shape[d]!) break;
      offset -= strides[d]! * shape[d]!;
      index[d] = 0;
    }
  }
  return out;
}

/** Elements of x broadcast to a shape. */
const broadcastTo = (x: NdArray, shape: readonly number[]): Float64Array =>
  spread(
    x,
    shape,
    x.shape.map((_, d) => shape.length - x.shape.length + d),
  );

function broadcast(f: (a: number, b: number) => number): Compute {
  return ([a, b]) => {
    const shape = broadcastShapes('test', a!.shape, b!.shape);
    const right = broadcastTo(b!, shape);
    return { shape, data: broadcastTo(a!, shape).map((value, flat) => f(value, right[flat]!)) };
  };
}

const each =
  (f: (x: number) => number): Compute =>
  ([x]) =>
    map(x!, f);

/** Rows of the last dimension, each replaced. */
function rows(x: NdArray, f: (row: Float64Array) => ArrayLike<number>): NdArray {
  const width = x.shape.at(-1)!;
  const out = x.data.slice();
  for (let at = 0; at < out.length; at += width) out.set(f(out.slice(at, at + width)), at);
  return { shape: x.shape, data: out };
}

function transposed(x: NdArray, perm: readonly number[]): NdArray {
  const shape = perm.map((d) => x.shape[d]!);
  return {
    shape,
    data: spread(
      x,
      shape,
      perm.map((_, d) => perm.indexOf(d)),
    ),
  };
}

function product([a, b]: NdArray[]): NdArray {
  const [k, n] = b!.shape.slice(-2) as [number, number];
  const lead = b!.shape.length === 2 ? a!.shape.slice(0, -2) : b!.shape.slice(0, -2);
  const m = a!.shape.at(-2)!;
  if (a!.shape.at(-1) !== k) throw new Error(`MatMul [${a!.shape}] · [${b!.shape}]`);
  const shape = [...lead, m, n];
  const data = new Float64Array(sizeOf(shape));
  const shared = b!.shape.length === 2;
  for (let row = 0; row < data.length / n; row += 1) {
    const from = shared ? 0 : Math.floor(row / m) * k! * n!;
    for (let i = 0; i < k!; i += 1) {
      const factor = a!.data[row * k! + i]!;
      for (let column = 0; column < n!; column += 1)
        data[row * n! + column]! += factor * b!.data[from + i * n! + column]!;
    }
  }
  return { shape, data };
}

function reshaped([x, to]: NdArray[]): NdArray {
  const wanted = Array.from(to!.data, (size, d) => (size === 0 ? x!.shape[d]! : size));
  const known = wanted.filter((size) => size !== -1).reduce((all, size) => all * size, 1);
  const shape = wanted.map((size) => (size === -1 ? x!.data.length / known : size));
  if (sizeOf(shape) !== x!.data.length) throw new Error(`Reshape [${x!.shape}] to [${shape}]`);
  return { shape, data: x!.data };
}

function sliced([x, starts, ends, axes]: NdArray[]): NdArray {
  const axis = axes!.data[0]!;
  const from = starts!.data[0]!;
  const shape = x!.shape.map((size, d) => (d === axis ? Math.min(ends!.data[0]!, size) - from : size));
  return build(shape, (index) =>
    atBroadcast(
      x!,
      index.map((i, d) => (d === axis ? i + from : i)),
    ),
  );
}

/** Parts of the last dimension, of the sizes that are given or equal ones. */
function split([x, sizes]: NdArray[], outputs: number): NdArray[] {
  const width = x!.shape.at(-1)!;
  const widths = sizes?.data ?? new Float64Array(outputs).fill(width / outputs);
  if (widths.reduce((sum, one) => sum + one, 0) !== width)
    throw new Error(`Split of ${width} into ${widths}`);
  let start = 0;
  return Array.from(widths, (size) => {
    const from = start;
    start += size;
    return build([...x!.shape.slice(0, -1), size], (index) =>
      atBroadcast(x!, [...index.slice(0, -1), index.at(-1)! + from]),
    );
  });
}

/** Arrays one after the other along a dimension. */
function joined(parts: NdArray[], { axis }: Attributes): NdArray {
  const { shape } = parts[0]!;
  const at = ((axis as number) + shape.length) % shape.length;
  const whole = parts.reduce((sum, part) => sum + part.shape[at]!, 0);
  const inner = sizeOf(shape.slice(at + 1));
  const outer = sizeOf(shape.slice(0, at));
  const data = new Float64Array(outer * whole * inner);
  let start = 0;
  for (const part of parts) {
    const size = part.shape[at]! * inner;
    for (let row = 0; row < outer; row += 1)
      data.set(part.data.slice(row * size, (row + 1) * size), row * whole * inner + start);
    start += size;
  }
  return { shape: shape.map((size, d) => (d === at ? whole : size)), data };
}

/** One number of each line along a dimension, or of all numbers. */
function reduced(
  x: NdArray,
  axis: number | undefined,
  keepdims: boolean,
  of: (line: Float64Array) => number,
): NdArray {
  const at = axis ?? 0;
  const taken = axis === undefined ? x.shape.length : 1;
  const [before, after] = [x.shape.slice(0, at), x.shape.slice(at + taken)];
  const kept = keepdims ? x.shape.slice(at, at + taken).map(() => 1) : [];
  const size = sizeOf(x.shape.slice(at, at + taken));
  const inner = sizeOf(after);
  const data = Float64Array.from({ length: sizeOf(before) * inner }, (_, flat) => {
    const first = Math.floor(flat / inner) * size * inner + (flat % inner);
    return of(Float64Array.from({ length: size }, (_, i) => x.data[first + i * inner]!));
  });
  return { shape: [...before, ...kept, ...after], data };
}

const sumOf = (line: Float64Array): number => line.reduce((sum, value) => sum + value, 0);
const reduction =
  (of: (line: Float64Array) => number): Compute =>
  ([x, given], { axes, axis, keepdims }) => {
    const [from] = given === undefined ? [((axes as number[] | undefined) ?? [])[0] ?? axis] : given.data;
    return reduced(x!, from as number | undefined, keepdims === 1, of);
  };

/** Slices of x along a dimension, one for each id. */
function gathered([x, ids]: NdArray[], { axis }: Attributes): NdArray {
  const at = ((axis as number) + x!.shape.length) % x!.shape.length;
  const [lead, rest] = [x!.shape.slice(0, at), x!.shape.slice(at + 1)];
  const [size, inner] = [x!.shape[at]!, sizeOf(rest)];
  const shape = [...lead, ...ids!.shape, ...rest];
  const data = new Float64Array(sizeOf(shape));
  for (let flat = 0; flat < data.length; flat += 1) {
    const row = Math.floor(flat / inner);
    const id = ids!.data[row % ids!.data.length]!;
    if (id < 0 || id >= size) throw new Error(`Gather: id ${id}`);
    const outer = Math.floor(row / ids!.data.length);
    data[flat] = x!.data[(outer * size + id) * inner + (flat % inner)]!;
  }
  return { shape, data };
}

/** The elements of x at the positions that `ids` has along a dimension; elsewhere at their own. */
function gatheredElements([x, ids]: NdArray[], { axis }: Attributes): NdArray {
  const at = ((axis as number) + x!.shape.length) % x!.shape.length;
  const others = (shape: readonly number[]) => String(shape.toSpliced(at, 1));
  if (others(x!.shape) !== others(ids!.shape)) throw new Error(`GatherElements of [${x!.shape}]`);
  const inner = sizeOf(x!.shape.slice(at + 1));
  const data = Float64Array.from(ids!.data, (id, flat) => {
    const outer = Math.floor(flat / inner / ids!.shape[at]!);
    if (id < 0 || id >= x!.shape[at]!) throw new Error(`GatherElements: id ${id}`);
    return x!.data[(outer * x!.shape[at]! + id) * inner + (flat % inner)]!;
  });
  return { shape: ids!.shape, data };
}

function normalized([x, weight, bias]: NdArray[], { epsilon }: Attributes): NdArray {
  return rows(x!, (row) => {
    const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
    return row.map(
      (value, i) =>
        ((value - mean) / Math.sqrt(variance + (epsilon as number))) * weight!.data[i]! +
        (bias?.data[i] ?? 0),
    );
  });
}

function softmax([x]: NdArray[]): NdArray {
  return rows(x!, (row) => {
    const highest = Math.max(...row);
    const powers = row.map((value) => Math.exp(value - highest));
    const total = powers.reduce((sum, value) => sum + value, 0);
    return powers.map((value) => value / total);
  });
}

/** x in steps of its own, 0 to 255, with the step and the number that stands for 0 (ONNX's definition). */
function quantized([x]: NdArray[]): NdArray[] {
  const [lowest, highest] = [Math.min(0, ...x!.data), Math.max(0, ...x!.data)];
  const step = Math.fround((highest - lowest) / 255);
  const even = (value: number) => {
    const down = Math.floor(value);
    const odd = value - down === 0.5 ? down % 2 !== 0 : value - down > 0.5;
    return down + Number(odd);
  };
  const limited = (value: number) => Math.min(Math.max(value, 0), 255);
  const zero = step === 0 ? 0 : limited(even(-lowest / step));
  const values = map(x!, (value) => limited((step === 0 ? 0 : even(value / step)) + zero));
  return [values, nd([], [step]), nd([], [zero])];
}

const subtract = broadcast((a, b) => a - b);

const compute: Record<string, Compute> = {
  DynamicQuantizeLinear: (inputs) => quantized(inputs),
  DequantizeLinear: ([x, scale, zero]) => map(x!, (value) => (value - zero!.data[0]!) * scale!.data[0]!),
  // Zero points are one number, or one for each column.
  MatMulInteger: ([a, b, zeroA, zeroB]) =>
    product([subtract([a!, zeroA!], {}) as NdArray, subtract([b!, zeroB!], {}) as NdArray]),
  Add: broadcast((a, b) => a + b),
  Sub: broadcast((a, b) => a - b),
  Mul: broadcast((a, b) => a * b),
  Div: broadcast((a, b) => a / b),
  Equal: broadcast((a, b) => Number(a === b)),
  Pow: broadcast((a, b) => a ** b),
  Max: broadcast(Math.max),
  Min: broadcast(Math.min),
  Log: each(Math.log),
  Sqrt: each(Math.sqrt),
  Less: broadcast((a, b) => Number(a < b)),
  Greater: broadcast((a, b) => Number(a > b)),
  GreaterOrEqual: broadcast((a, b) => Number(a >= b)),
  LessOrEqual: broadcast((a, b) => Number(a <= b)),
  And: broadcast((a, b) => Number(a !== 0 && b !== 0)),
  Not: each((x) => Number(x === 0)),
  Abs: each(Math.abs),
  Clip: ([x, lowest, highest]) =>
    map(x!, (value) => Math.min(Math.max(value, lowest!.data[0]!), highest!.data[0]!)),
  Range: (bounds) => {
    const [start, limit, step] = bounds.map(({ data }) => data[0]!) as [number, number, number];
    const length = Math.max(0, Math.ceil((limit - start) / step));
    return nd(
      [length],
      Array.from({ length }, (_, at) => start + at * step),
    );
  },
  Cast: ([x], { to }) => map(x!, (value) => (types[to as number] === 'bool' ? Number(value !== 0) : value)),
  Identity: ([x]) => x!,
  Erf: each(erf),
  Tanh: each(Math.tanh),
  Relu: each((x) => Math.max(0, x)),
  Sigmoid: each((x) => 1 / (1 + Math.exp(-x))),
  Exp: each(Math.exp),
  MatMul: (inputs) => product(inputs),
  Gather: gathered,
  GatherElements: gatheredElements,
  CumSum: ([x]) => {
    let sum = 0;
    return rows(x!, (row) => {
      sum = 0;
      return row.map((value) => (sum += value));
    });
  },
  Shape: ([x], { start, end }) => {
    const sizes = x!.shape.slice(start as number, end as number);
    return nd([sizes.length], sizes);
  },
  Concat: joined,
  Expand: ([x, to]) => {
    const shape = broadcastShapes('Expand', x!.shape, Array.from(to!.data));
    return { shape, data: broadcastTo(x!, shape) };
  },
  Squeeze: ([x, axes]) => {
    if (Array.from(axes!.data).some((axis) => x!.shape[axis] !== 1))
      throw new Error(`Squeeze of [${x!.shape}]`);
    return { shape: x!.shape.filter((_, d) => !axes!.data.includes(d)), data: x!.data };
  },
  Unsqueeze: ([x, axes]) => {
    const shape = [...x!.shape];
    for (const axis of axes!.data) shape.splice(axis, 0, 1);
    return { shape, data: x!.data };
  },
  Where: (given) => {
    const shape = given.map((one) => one.shape).reduce((a, b) => broadcastShapes('Where', a, b));
    const [seen, x, other] = given.map((one) => broadcastTo(one, shape));
    return { shape, data: x!.map((value, flat) => (seen![flat] === 1 ? value : other![flat]!)) };
  },
  Reshape: (inputs) => reshaped(inputs),
  Transpose: ([x], { perm }) => transposed(x!, perm as number[]),
  Slice: (inputs) => sliced(inputs),
  Softmax: (inputs) => softmax(inputs),
  ReduceSum: reduction(sumOf),
  ReduceMean: reduction((line) => sumOf(line) / line.length),
  ReduceMax: reduction((line) => Math.max(...line)),
  ReduceMin: reduction((line) => Math.min(...line)),
  ArgMax: reduction((line) => line.indexOf(Math.max(...line))),
  ArgMin: reduction((line) => line.indexOf(Math.min(...line))),
  LayerNormalization: normalized,
};

/** The outputs of a model, by name. Throws for a node that is not known, and for an input that is missing. */
export function runOnnx(model: OnnxModel, inputs: Readonly<Record<string, NdArray>>): Map<string, NdArray> {
  const values = new Map<string, NdArray>([...model.initializers, ...Object.entries(inputs)]);
  for (const { op, inputs: names, outputs, attributes } of model.nodes) {
    const given = names.map((name) => {
      const value = values.get(name);
      if (value === undefined) throw new Error(`${op} reads '${name}' before it is there`);
      return value;
    });
    const found = compute[op];
    if (found === undefined && op !== 'Split') throw new Error(`${op} is not known`);
    const results = [op === 'Split' ? split(given, outputs.length) : found!(given, attributes)].flat();
    for (const [at, name] of outputs.entries()) {
      if (values.has(name)) throw new Error(`'${name}' is there twice`);
      values.set(name, results[at]!);
    }
  }
  return new Map(model.outputs.map(({ name }) => [name, values.get(name)!]));
}
