/** A graph under construction, and the messages of onnx.proto (ONNX 1.16) that it becomes. */

import { cached } from '../cached.ts';
import { ConfigError } from '../errors.ts';
import type { FileSink } from '../platform/contract.ts';
import { float32ToFloat16 } from '../tensor/float16.ts';
import { sizeOf } from '../tensor/shape.ts';
import type { Dim } from './dims.ts';
import { bytes, bytesHead, float, integer, message } from './protobuf.ts';

/** Numbers of `TensorProto.DataType`. */
const elementTypes = { float32: 1, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10 } as const;
type ElementType = keyof typeof elementTypes;

/** The type of weights and of what is computed; inputs are int64 and results float32. */
export type FloatType = 'float32' | 'float16';

/** The operators of this version are known to ONNX Runtime 1.13 and later. */
const OPSET = 17;
const IR_VERSION = 8;
/** The longest message that protobuf reads. */
const LONGEST = 2 ** 31 - 1;
/** The largest float16. */
const LARGEST_HALF = 65_504;
/** Constants up to this size are the same if their values are. */
const SMALL = 64;

/** An attribute of a node: a number of the kind that the operator wants, or whole numbers. */
type Attribute = { readonly float: number } | { readonly int: number } | { readonly ints: readonly number[] };
type Attributes = Readonly<Record<string, Attribute>>;

export interface Node {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Attributes;
}

/** A tensor of the file whose values are fetched when it is written. */
export interface Initializer {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: ElementType;
  read(): Promise<ArrayLike<number>>;
}

/** An input or output; sizes of the inputs have names. */
export interface Port {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly (number | string)[];
}

function attributeMessage([name, value]: [string, Attribute]): Uint8Array {
  if ('float' in value) return message(bytes(1, name), float(2, value.float), integer(20, 1));
  if ('int' in value) return message(bytes(1, name), integer(3, value.int), integer(20, 2));
  return message(bytes(1, name), ...value.ints.map((one) => integer(8, one)), integer(20, 7));
}

function portMessage({ name, type, shape }: Port): Uint8Array {
  const dims = shape.map((size) =>
    bytes(1, message(typeof size === 'string' ? bytes(2, size) : integer(1, size))),
  );
  const tensor = message(integer(1, elementTypes[type]), bytes(2, message(...dims)));
  return message(bytes(1, name), bytes(2, message(bytes(1, tensor))));
}

function nodeMessage({ op, inputs, outputs, attributes }: Node): Uint8Array {
  return message(
    ...inputs.map((name) => bytes(1, name)),
    ...outputs.map((name) => bytes(2, name)),
    bytes(3, outputs[0]!),
    bytes(4, op),
    ...Object.entries(attributes).map((entry) => bytes(5, attributeMessage(entry))),
  );
}

const itemBytes: Readonly<Record<ElementType, number>> = {
  float32: 4,
  int8: 1,
  int32: 4,
  int64: 8,
  bool: 1,
  float16: 2,
};

async function rawData({ name, type, read }: Initializer): Promise<Uint8Array> {
  const values = await read();
  const floats = values instanceof Float32Array ? values : Float32Array.from(values);
  if (type === 'float16' && floats.some((value) => Math.abs(value) > LARGEST_HALF))
    throw new ConfigError(`weight '${name}' has a value beyond ±${LARGEST_HALF}, the largest float16`, {
      remedy: 'export fp32 only',
    });
  const data =
    values instanceof Int8Array
      ? values
      : type === 'float16'
        ? float32ToFloat16(floats)
        : type === 'float32'
          ? floats
          : BigInt64Array.from(values as number[], BigInt);
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

export class Graph {
  nodes: Node[] = [];
  /** By name. */
  readonly weights = new Map<string, Initializer>();
  private readonly constants = new Map<string, Initializer>();
  /** Names of what nodes and small constants give, by what they are. */
  private readonly known = new Map<string, string[]>();
  private count = 0;

  constructor(readonly type: FloatType) {}

  private fresh(op: string): string {
    this.count += 1;
    return `${op}_${this.count}`;
  }

  /** Adds a node whose results have names. */
  add(node: Node): void {
    this.nodes.push(node);
  }

  /** Goes over the nodes anew: `body` adds each, or others with its results; `makerOf` has a value's node. */
  rewrite(body: (node: Node, makerOf: (value: string) => Node | undefined) => void): void {
    const { nodes } = this;
    const makers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
    this.nodes = [];
    // A node that is like a later one must not stand for it before it is there.
    this.known.clear();
    for (const node of nodes) body(node, (value) => makers.get(value));
  }

  /** Adds a node with several results, unless there is one like it, and returns their names. */
  split(op: string, inputs: readonly string[], results: number, attributes: Attributes = {}): string[] {
    return cached(this.known, JSON.stringify([op, inputs, results, attributes]), () => {
      const name = this.fresh(op);
      const outputs = Array.from({ length: results }, (_, at) => (results === 1 ? name : `${name}_${at}`));
      this.add({ op, inputs, outputs, attributes });
      return outputs;
    });
  }

  /** Adds a node, unless there is one like it, and returns the name of its result. */
  node(op: string, inputs: readonly string[], attributes: Attributes = {}): string {
    return this.split(op, inputs, 1, attributes)[0]!;
  }

  /** Names a value as the output of the graph that it is, as float32. */
  output(name: string, value: string): void {
    const op = this.type === 'float32' ? 'Identity' : 'Cast';
    const attributes: Attributes = op === 'Cast' ? { to: { int: elementTypes.float32 } } : {};
    this.add({ op, inputs: [value], outputs: [name], attributes });
  }

  cast(value: string, type: ElementType): string {
    return this.node('Cast', [value], { to: { int: elementTypes[type] } });
  }

  weight(weight: Initializer): string {
    this.weights.set(weight.name, weight);
    return weight.name;
  }

  constant(constant: Initializer): string {
    this.constants.set(constant.name, constant);
    return constant.name;
  }

  /** An int64 constant, a vector unless `shape` says otherwise. */
  ints(values: ArrayLike<number>, shape: readonly number[] = [values.length]): string {
    return this.values('ints', 'int64', values, shape);
  }

  /**
   * A constant of the graph's float type, a scalar unless `shape` says otherwise. Values that stand for
   * infinity become the type's largest.
   */
  floats(values: ArrayLike<number>, shape: readonly number[] = []): string {
    const { type } = this;
    const clamped = (value: number) => Math.min(Math.max(value, -LARGEST_HALF), LARGEST_HALF);
    const held = type === 'float16' ? Array.from(values, clamped) : values;
    return this.values('floats', type, held, shape);
  }

  private values(
    prefix: string,
    type: ElementType,
    values: ArrayLike<number>,
    shape: readonly number[],
  ): string {
    const make = () => [this.constant({ name: this.fresh(prefix), shape, type, read: async () => values })];
    if (values.length > SMALL) return make()[0]!;
    return cached(this.known, JSON.stringify([type, shape, Array.from(values).join()]), make)[0]!;
  }

  /** Leaves what no output needs, and writes the file. Throws `ConfigError` if it would be too long. */
  async write(
    sink: FileSink,
    where: string,
    inputs: readonly Port[],
    outputs: readonly Port[],
  ): Promise<void> {
    const needed = new Set(outputs.map(({ name }) => name));
    const nodes = this.nodes
      .toReversed()
      .filter((node) => {
        const used = node.outputs.some((name) => needed.has(name));
        if (used) for (const name of node.inputs) needed.add(name);
        return used;
      })
      .reverse();
    const before = message(...nodes.map((node) => bytes(1, nodeMessage(node))), bytes(2, 'main_graph'));
    const after = message(
      ...inputs.filter(({ name }) => needed.has(name)).map((port) => bytes(11, portMessage(port))),
      ...outputs.map((port) => bytes(12, portMessage(port))),
    );
    const kept = [...this.weights.values(), ...this.constants.values()].filter(({ name }) =>
      needed.has(name),
    );
    const tensors = kept.map((one) => {
      const length = sizeOf(one.shape) * itemBytes[one.type];
      const dims = one.shape.map((size) => integer(1, size));
      const fields = message(
        ...dims,
        integer(2, elementTypes[one.type]),
        bytes(8, one.name),
        bytesHead(9, length),
      );
      return { one, head: message(bytesHead(5, fields.length + length), fields), length };
    });
    const total = tensors.reduce(
      (sum, { head, length }) => sum + head.length + length,
      before.length + after.length,
    );
    if (total > LONGEST - 1024)
      throw new ConfigError(
        `${where}: ${total} bytes in ${this.type} are more than an ONNX file holds, 2 GiB`,
        {
          remedy: this.type === 'float32' ? 'export fp16 or q8 only' : 'export q8 only',
        },
      );
    const opset = bytes(8, message(bytes(1, ''), integer(2, OPSET)));
    const producer = bytes(2, 'dawngrad');
    await sink.write(message(integer(1, IR_VERSION), producer, opset, bytesHead(7, total), before));
    for (const { one, head } of tensors) {
      await sink.write(head);
      await sink.write(await rawData(one));
    }
    await sink.write(after);
  }
}

/** A port's shape. Products of sizes have no name of their own. */
export function portShape(dims: readonly Dim[]): (number | string)[] {
  return dims.map(({ factor, axes }) =>
    axes.length === 0 ? factor : [...(factor === 1 ? [] : [factor]), ...axes].join('_x_'),
  );
}
