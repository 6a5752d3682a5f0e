/** `exportOnnx`: a model as ONNX files in a folder that transformers.js runs. */
import { platform } from '#platform';
import { ConfigError } from '../errors.ts';
import { writeConfig } from '../models/common/config.ts';
import { MultipleChoice } from '../models/common/multiple-choice.ts';
import type { PreTrainedModel } from '../models/common/pretrained.ts';
import { CONFIG_NAME } from '../models/files/checkpoint-files.ts';
import { checkOptions } from '../options.ts';
import type { ExistingFolder, FileSink } from '../platform/contract.ts';
import { sizeOf } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { PreTrainedTokenizer } from '../text/tokenizer.ts';
import type { Axis, Dims } from './dims.ts';
import { type FloatType, Graph, type Port, portShape } from './graph.ts';
import { convert } from './operators.ts';
import { quantize } from './quantize.ts';
import { type Context, filled, ruled } from './sizes.ts';
import { type InputPlan, type Trace, type Traced, type TracedOp, traceModel } from './trace.ts';

/** Element types by transformers.js' names (its option `dtype`), with the suffixes of its files. */
const files = {
  fp32: { type: 'float32', name: 'onnx/model.onnx' },
  fp16: { type: 'float16', name: 'onnx/model_fp16.onnx' },
  q8: { type: 'float32', name: 'onnx/model_quantized.onnx', quantized: true },
} as const satisfies Record<string, GraphKind & { name: string }>;

interface GraphKind {
  type: FloatType;
  /** Whether products and tables are of 8 bits. */
  quantized?: boolean;
}

export type OnnxDtype = keyof typeof files;
export const onnxDtypes = Object.keys(files) as OnnxDtype[];

export interface OnnxOptions {
  /** Its files are written too; a pipeline needs them. */
  tokenizer?: PreTrainedTokenizer;
  /**
   * `fp32`: onnx/model.onnx; `fp16`: onnx/model_fp16.onnx, half as large; `q8`: onnx/model_quantized.onnx, a
   * quarter as large, which transformers.js takes in browsers unless told otherwise. Default: all.
   */
  dtypes?: readonly OnnxDtype[];
  /** What to do if the folder exists. Default `merge`. */
  existing?: ExistingFolder;
}

/** A base model's pooler is left out, as Optimum leaves it. */
const unwritten = new Set(['pooler_output', 'loss']);

function planOf(model: PreTrainedModel): InputPlan {
  const names = ['inputIds', 'attentionMask'];
  if (model.config.typeVocabSize > 1) names.push('tokenTypeIds');
  const choices: readonly Axis[] = model instanceof MultipleChoice ? ['num_choices'] : [];
  return { names, axes: ['batch_size', ...choices, 'sequence_length'] };
}

/** Values of a graph by the keys of traced tensors, and weights under their names in the model. */
class Values implements Context {
  readonly graph: Graph;
  readonly sizes: Dims;
  private readonly names = new Map<number, string>();
  private readonly weights: ReadonlyMap<number, { path: string; tensor: Tensor }>;
  /** Weights that are read as they are. */
  private readonly plain: ReadonlySet<number>;

  constructor(
    readonly where: string,
    type: FloatType,
    model: PreTrainedModel,
    private readonly trace: Trace,
  ) {
    this.graph = new Graph(type);
    this.sizes = trace.sizes;
    this.weights = new Map([...model.stateDict()].map(([path, tensor]) => [tensor.id, { path, tensor }]));
    this.plain = new Set(
      trace.ops.filter(({ name }) => name === 'embedding').map(({ inputs }) => inputs.table!.key),
    );
    for (const [name, { key }] of trace.inputs) this.names.set(key, name);
  }

  set({ key }: Traced, name: string): void {
    this.names.set(key, name);
  }

  readonly name = (op: TracedOp, input: string): string => {
    const traced = op.inputs[input];
    return traced === undefined ? '' : this.of(traced);
  };

  of({ key }: Traced): string {
    const known = this.names.get(key);
    if (known !== undefined) return known;
    const name = this.leaf(key);
    this.names.set(key, name);
    return name;
  }

  private leaf(key: number): string {
    const weight = this.weights.get(key);
    if (weight !== undefined) {
      const { path, tensor } = weight;
      const { shape } = tensor;
      return this.graph.weight({
        name: path,
        shape,
        type: this.graph.type,
        read: () => tensor.float32Data(),
      });
    }
    const constant = this.trace.constants.get(key)!;
    const { dims, integer } = constant;
    const hold = (values: ArrayLike<number>, shape: readonly number[]) =>
      integer ? this.graph.ints(values, shape) : this.graph.floats(values, shape);
    if ('value' in constant) return filled(hold([constant.value], []), dims, this);
    const shape = dims.map(({ factor }) => factor);
    if ('values' in constant) return hold(constant.values, shape);
    const table = constant.rule.values(constant.rule.longest);
    const [, ...width] = shape;
    return ruled(hold(table, [table.length / sizeOf(width), ...width]), constant.rule, this);
  }

  readonly swapped = (op: TracedOp, input: string): string => {
    const { key, dims } = op.inputs[input]!;
    const weight = this.weights.get(key);
    if (weight !== undefined && dims.length === 2 && !this.plain.has(key)) return this.transposed(weight);
    const order = dims.map((_, at) => at);
    const perm = [...order.slice(0, -2), order.at(-1)!, order.at(-2)!];
    return this.graph.node('Transpose', [this.name(op, input)], { perm: { ints: perm } });
  };

  /** A weight [out, in], stored as [in, out]: quantizers look for products with such weights. */
  private transposed({ path, tensor }: { path: string; tensor: Tensor }): string {
    const [rows, columns] = tensor.shape as [number, number];
    const read = async (): Promise<Float32Array> => {
      const values = await tensor.float32Data();
      const out = new Float32Array(values.length);
      for (let row = 0; row < rows; row += 1)
        for (let column = 0; column < columns; column += 1)
          out[column * rows + row] = values[row * columns + column]!;
      return out;
    };
    return this.graph.weight({
      name: `${path}.transposed`,
      shape: [columns, rows],
      type: this.graph.type,
      read,
    });
  }
}

/** Writes a traced model as an ONNX file. */
async function writeGraph(
  sink: FileSink,
  model: PreTrainedModel,
  { trace, type, quantized = false }: { trace: Trace } & GraphKind,
): Promise<void> {
  const where = model.architecture;
  const values = new Values(where, type, model, trace);
  for (const op of trace.ops) values.set(op.y, convert(op, values));
  const inputs = [...trace.inputs].map(
    ([name, { dims }]): Port => ({ name, type: 'int64', shape: portShape(dims) }),
  );
  const results = [...trace.outputs].filter(([name]) => !unwritten.has(name));
  for (const [name, traced] of results) values.graph.output(name, values.of(traced));
  const outputs = results.map(
    ([name, { dims }]): Port => ({ name, type: 'float32', shape: portShape(dims) }),
  );
  if (quantized) quantize(values.graph);
  await values.graph.write(sink, where, inputs, outputs);
}

/**
 * Writes `config.json`, the tokenizer's files, and the model as ONNX (opset 17): int64 inputs `input_ids`,
 * `attention_mask` and, where the model has token types, `token_type_ids`, of any batch size and length;
 * float32 outputs named as in transformers (`logits`, `start_logits`, `last_hidden_state`, …). transformers.js
 * runs the folder. The graph has what `forward` computes in eval mode, layers that you replaced too. Throws
 * `ConfigError` for a model that computes what ONNX files cannot hold.
 */
export async function exportOnnx(
  model: PreTrainedModel,
  folder: string,
  options: OnnxOptions = {},
): Promise<void> {
  checkOptions<OnnxOptions>('exportOnnx', options, { tokenizer: true, dtypes: true, existing: true });
  const { tokenizer, dtypes = onnxDtypes, existing = 'merge' } = options;
  const stray = dtypes.find((dtype) => !onnxDtypes.includes(dtype));
  if (stray !== undefined || dtypes.length === 0)
    throw new ConfigError(`exportOnnx: dtypes has ${stray === undefined ? 'no entry' : `'${stray}'`}`, {
      remedy: `use one of ${onnxDtypes.join(', ')}, or several`,
    });
  if (model.adapters !== null)
    throw new ConfigError('exportOnnx: the model has adapters', { remedy: 'mergeAndUnload() first' });
  const trace = await traceModel(model, planOf(model));
  await platform.writeFolder(folder, existing, async (writer) => {
    const config = writeConfig(model.base.traits.config, model.config, model.architecture, 'float32');
    await writer.writeText(CONFIG_NAME, config);
    await tokenizer?.write(writer);
    for (const dtype of dtypes) {
      const { name, ...kind } = files[dtype];
      await writer.writeFile(name, (sink) => writeGraph(sink, model, { trace, ...kind }));
    }
  });
}
