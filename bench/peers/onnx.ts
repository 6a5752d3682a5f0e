/**
 * Writes the job's BERT as an ONNX file with the same weights. Attention, residual + LayerNorm and bias +
 * GELU are ONNX Runtime's own fused operators (com.microsoft), as its transformer optimizer would produce, to
 * show the library at its best.
 */

import { bytes, float, integer, message } from '../../src/onnx/protobuf.ts';
import { inputsFirst, LAYER_NORM_EPS, MASKED, type PeerJob } from './job.ts';

// Field numbers are from onnx.proto (ONNX 1.16).
const FLOAT = 1;
const INT32 = 6;
const INT64 = 7;
const CONTRIB = 'com.microsoft';

type Attributes = Record<string, { float: number } | { integer: number }>;

function attribute(name: string, value: Attributes[string]): Uint8Array {
  return 'float' in value
    ? message(bytes(1, name), float(2, value.float), integer(20, 1))
    : message(bytes(1, name), integer(3, value.integer), integer(20, 2));
}

/** Named dimensions have any size. */
function valueInfo(name: string, type: number, shape: readonly (number | string)[]): Uint8Array {
  const dims = shape.map((size) =>
    bytes(1, message(typeof size === 'string' ? bytes(2, size) : integer(1, size))),
  );
  const tensor = message(integer(1, type), bytes(2, message(...dims)));
  return message(bytes(1, name), bytes(2, message(bytes(1, tensor))));
}

class Graph {
  private readonly nodes: Uint8Array[] = [];
  private readonly initializers: Uint8Array[] = [];
  private count = 0;

  /** Adds a constant; a shape is int64. */
  constant(
    name: string,
    shape: readonly number[],
    values: Float32Array | Int32Array | BigInt64Array,
  ): string {
    const type = values instanceof Float32Array ? FLOAT : values instanceof Int32Array ? INT32 : INT64;
    const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    const dims = shape.map((size) => integer(1, size));
    this.initializers.push(message(...dims, integer(2, type), bytes(8, name), bytes(9, raw)));
    return name;
  }

  shape(name: string, values: readonly number[]): string {
    return this.constant(name, [values.length], BigInt64Array.from(values, BigInt));
  }

  scalar(name: string, value: number): string {
    return this.constant(name, [], Float32Array.of(value));
  }

  /** Adds a node and returns the name of its first result. An empty input name omits an optional input. */
  node(
    op: string,
    inputs: readonly string[],
    {
      domain = '',
      output,
      ...attributes
    }: { domain?: string; output?: string } & { attributes?: Attributes } = {},
  ): string {
    this.count += 1;
    const result = output ?? `${op}_${this.count}`;
    this.nodes.push(
      message(
        ...inputs.map((name) => bytes(1, name)),
        bytes(2, result),
        bytes(3, `${op}_${this.count}`),
        bytes(4, op),
        ...Object.entries(attributes.attributes ?? {}).map(([name, value]) =>
          bytes(5, attribute(name, value)),
        ),
        bytes(7, domain),
      ),
    );
    return result;
  }

  model(inputs: readonly Uint8Array[], outputs: readonly Uint8Array[]): Uint8Array {
    const graph = message(
      ...this.nodes.map((node) => bytes(1, node)),
      bytes(2, 'bert'),
      ...this.initializers.map((tensor) => bytes(5, tensor)),
      ...inputs.map((info) => bytes(11, info)),
      ...outputs.map((info) => bytes(12, info)),
    );
    const opset = (domain: string, version: number) =>
      bytes(8, message(bytes(1, domain), integer(2, version)));
    return message(integer(1, 8), bytes(7, graph), opset('', 17), opset(CONTRIB, 1));
  }
}

/** x·W, without the bias. */
function product(graph: Graph, x: string, name: string): string {
  return graph.node('MatMul', [x, `${name}.weight`]);
}

/** Residual, dense bias and LayerNorm in one node. */
function residualNorm(graph: Graph, x: string, residual: string, name: string): string {
  const norm = `${name}.LayerNorm`;
  const inputs = [product(graph, x, `${name}.dense`), residual, `${norm}.weight`, `${norm}.bias`];
  return graph.node('SkipLayerNormalization', [...inputs, `${name}.dense.bias`], {
    domain: CONTRIB,
    attributes: { epsilon: { float: LAYER_NORM_EPS } },
  });
}

function encoderLayer(graph: Graph, x: string, name: string, bias: string, heads: number): string {
  const part = (which: string): string => {
    const full = `${name}.attention.self.${which}`;
    return graph.node('Add', [product(graph, x, full), `${full}.bias`]);
  };
  const context = graph.node(
    'MultiHeadAttention',
    [part('query'), part('key'), part('value'), '', '', bias],
    {
      domain: CONTRIB,
      attributes: { num_heads: { integer: heads } },
    },
  );
  const attended = residualNorm(graph, context, x, `${name}.attention.output`);
  const inner = graph.node(
    'BiasGelu',
    [product(graph, attended, `${name}.intermediate.dense`), `${name}.intermediate.dense.bias`],
    { domain: CONTRIB },
  );
  return residualNorm(graph, inner, attended, `${name}.output`);
}

/** Names of ids and mask, and of token types if the file takes some; transformers.js gives int64. */
export interface OnnxInputs {
  type: 'int32' | 'int64';
  ids: string;
  mask: string;
  types?: string;
}

/** Row 0 of the token types, or those of the input. */
function embedded(graph: Graph, { ids, types }: OnnxInputs): string {
  const weight = (table: string): string => `bert.embeddings.${table}.weight`;
  const words = graph.node('Gather', [weight('word_embeddings'), ids]);
  const length = graph.node('Shape', [ids], { attributes: { start: { integer: 1 } } });
  const bounds = [graph.shape('first.position', [0]), length, graph.shape('position.axis', [0])];
  const places = graph.node('Slice', [weight('position_embeddings'), ...bounds]);
  const kind = types ?? graph.constant('type', [1], Int32Array.of(0));
  const kinds = graph.node('Gather', [weight('token_type_embeddings'), kind]);
  const norm = 'bert.embeddings.LayerNorm';
  const sum = graph.node('Add', [words, graph.node('Add', [places, kinds])]);
  return graph.node('LayerNormalization', [sum, `${norm}.weight`, `${norm}.bias`], {
    attributes: { axis: { integer: -1 }, epsilon: { float: LAYER_NORM_EPS } },
  });
}

/** Added to the scores [batch, 1, length, length], whose last axis attention does not broadcast. */
function scoreBias(graph: Graph, mask: string): string {
  const kept = graph.node('Cast', [mask], { attributes: { to: { integer: FLOAT } } });
  const dropped = graph.node('Sub', [graph.scalar('one', 1), kept]);
  const scores = graph.node('Mul', [dropped, graph.scalar('masked', MASKED)]);
  // In a shape, 0 is the size that is there and -1 the rest.
  const row = graph.node('Reshape', [scores, graph.shape('row.shape', [0, 1, 1, -1])]);
  const zeros = graph.node('Sub', [kept, kept]);
  const column = graph.node('Reshape', [zeros, graph.shape('column.shape', [0, 1, -1, 1])]);
  return graph.node('Add', [row, column]);
}

/** Inputs [batch, length] of any size, by default `ids` and `mask`, int32; output `logits` [batch, classes]. */
export function onnxModel(
  { model, weights }: PeerJob,
  inputs: OnnxInputs = { type: 'int32', ids: 'ids', mask: 'mask' },
): Uint8Array {
  const graph = new Graph();
  for (const [name, weight] of weights) {
    const { shape, values } = inputsFirst(name, weight);
    graph.constant(name, shape, values);
  }
  const bias = scoreBias(graph, inputs.mask);
  let x = embedded(graph, inputs);
  for (let i = 0; i < model.layers; i += 1)
    x = encoderLayer(graph, x, `bert.encoder.layer.${i}`, bias, model.heads);
  const first = graph.node('Gather', [x, graph.constant('first', [], Int32Array.of(0))], {
    attributes: { axis: { integer: 1 } },
  });
  const dense = (input: string, name: string, output?: string): string =>
    graph.node('Add', [product(graph, input, name), `${name}.bias`], output === undefined ? {} : { output });
  dense(graph.node('Tanh', [dense(first, 'bert.pooler.dense')]), 'classifier', 'logits');
  const { type, ids, mask, types } = inputs;
  const given = [ids, mask, types].filter((name) => name !== undefined);
  return graph.model(
    given.map((name) => valueInfo(name, type === 'int32' ? INT32 : INT64, ['batch', 'length'])),
    [valueInfo('logits', FLOAT, ['batch', 2])],
  );
}
