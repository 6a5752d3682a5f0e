/**
 * Dynamic quantization to 8 bits, as ONNX Runtime's `quantize_dynamic` does it: products with a weight are
 * computed with integers, and tables are stored as such.
 */
import { sizeOf } from '../tensor/shape.ts';
import type { Graph, Initializer, Node } from './graph.ts';

/** The largest weight. A weight w of a column whose largest is m becomes round(w · 127 / m). */
const LARGEST = 127;

/** The numbers of one scale: a column's, or all. */
type Scaling = 'columns' | 'whole';

/** [rows, columns] → the step of each column, or of all; 1 for zeros. */
function steps(values: ArrayLike<number>, columns: number, scaling: Scaling): Float32Array {
  const groups = scaling === 'columns' ? columns : 1;
  const largest = new Float32Array(groups);
  for (let at = 0; at < values.length; at += 1) {
    const size = Math.abs(values[at]!);
    if (size > largest[at % groups]!) largest[at % groups] = size;
  }
  return largest.map((one) => (one === 0 ? 1 : one / LARGEST));
}

function rounded(values: ArrayLike<number>, step: Float32Array): Int8Array {
  const integers = new Int8Array(values.length);
  for (let at = 0; at < values.length; at += 1)
    integers[at] = Math.round(values[at]! / step[at % step.length]!);
  return integers;
}

/** A weight in integers: the names of its values, their scales and their zero points. */
interface Quantized {
  values: string;
  scale: string;
  zero: string;
}

class Quantizer {
  constructor(
    private readonly graph: Graph,
    /** Names of weights whose rows are looked up. */
    private readonly tables: ReadonlySet<string>,
  ) {}

  /** The integers of a weight [rows, columns], which is read for its values and for its scales, never kept. */
  private weight({ name, shape, read }: Initializer): Quantized {
    const columns = shape.at(-1)!;
    const scaling: Scaling = this.tables.has(name) ? 'whole' : 'columns';
    const groups = scaling === 'columns' ? [columns] : [];
    const add = (suffix: string, one: Omit<Initializer, 'name'>) =>
      this.graph.constant({ name: `${name}_${suffix}`, ...one });
    const integers = async () => {
      const values = await read();
      return rounded(values, steps(values, columns, scaling));
    };
    return {
      values: add('quantized', { shape, type: 'int8', read: integers }),
      scale: add('scale', {
        shape: groups,
        type: 'float32',
        read: async () => steps(await read(), columns, scaling),
      }),
      zero: add('zero_point', {
        shape: groups,
        type: 'int8',
        read: async () => new Int8Array(sizeOf(groups)),
      }),
    };
  }

  /** Rows of a table, which become floats once they are looked up. */
  gather({ inputs: [, ids], outputs, attributes }: Node, table: Initializer): void {
    const { values, scale, zero } = this.weight(table);
    const rows = this.graph.node('Gather', [values, ids!], attributes);
    this.graph.add({ op: 'DequantizeLinear', inputs: [rows, scale, zero], outputs, attributes: {} });
  }

  /** x · weight, where x gets its scale and zero point as the graph computes. */
  product({ inputs: [x], outputs }: Node, weight: Initializer, transpose?: Node): void {
    const { graph } = this;
    const { values, scale, zero } = this.weight(weight);
    const right = transpose === undefined ? values : graph.node('Transpose', [values], transpose.attributes);
    const [integers, step, start] = graph.split('DynamicQuantizeLinear', [x!], 3) as [string, string, string];
    const product = graph.cast(graph.node('MatMulInteger', [integers, right, start, zero]), 'float32');
    const inputs = [product, graph.node('Mul', [step, scale])];
    graph.add({ op: 'Mul', inputs, outputs, attributes: {} });
  }
}

/** Replaces the products with weights, and the lookups in them, of a float32 graph. */
export function quantize(graph: Graph): void {
  const tables = new Set(graph.nodes.filter(({ op }) => op === 'Gather').map(({ inputs }) => inputs[0]!));
  const quantizer = new Quantizer(graph, tables);
  const { weights } = graph;
  graph.rewrite((node, makerOf) => {
    const [first = '', second = ''] = node.inputs;
    // A decoder with tied weights multiplies by a table.
    const maker = makerOf(second);
    const transpose = maker?.op === 'Transpose' && tables.has(maker.inputs[0]!) ? maker : undefined;
    const weight = weights.get(transpose?.inputs[0] ?? second);
    const table = weights.get(first);
    if (node.op === 'Gather' && table !== undefined) quantizer.gather(node, table);
    else if (node.op === 'MatMul' && weight !== undefined) quantizer.product(node, weight, transpose);
    else graph.add(node);
  });
}
