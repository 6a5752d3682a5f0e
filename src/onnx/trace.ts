/** The operations of a model's forward pass, recorded with inputs of two sizes. */
import { ConfigError } from '../errors.ts';
import { LayerStack } from '../models/common/encoder.ts';
import { type LengthRule, lengthRuleOf } from '../models/common/length-tables.ts';
import type { PreTrainedModel } from '../models/common/pretrained.ts';
import { snakeCase } from '../options.ts';
import type { Device } from '../tensor/device.ts';
import { type AppliedOp, watchOps } from '../tensor/op.ts';
import { sizeOf } from '../tensor/shape.ts';
import { noGrad } from '../tensor/tape.ts';
import { Tensor } from '../tensor/tensor.ts';
import { type Axis, type Dim, Dims, traced } from './dims.ts';

/** A tensor of the forward pass. `key` is that of the first trace's tensor. */
export interface Traced {
  readonly key: number;
  readonly dims: readonly Dim[];
}

export interface TracedOp {
  readonly name: string;
  readonly inputs: Readonly<Record<string, Traced | undefined>>;
  /** The options in each trace. */
  readonly options: readonly [unknown, unknown];
  readonly y: Traced;
}

/**
 * A tensor that is neither computed nor a weight nor an input: its values; the one value of a tensor whose
 * size depends on the inputs'; or the rule by which a table depends on the length.
 */
type Constant = { readonly dims: readonly Dim[]; readonly integer: boolean } & (
  | { readonly values: ArrayLike<number> }
  | { readonly value: number }
  | { readonly rule: LengthRule }
);

export interface Trace {
  readonly ops: readonly TracedOp[];
  /** Inputs by transformers' names. */
  readonly inputs: ReadonlyMap<string, Traced>;
  /** Results by transformers' names. */
  readonly outputs: ReadonlyMap<string, Traced>;
  readonly sizes: Dims;
  /** By key. */
  readonly constants: ReadonlyMap<number, Constant>;
}

interface Run {
  ops: AppliedOp[];
  inputs: Record<string, Tensor>;
  outputs: Record<string, Tensor>;
  /** Tensors that were there before the first operation read them, by id; not weights. */
  leaves: Map<number, Leaf>;
}

interface Leaf {
  tensor: Tensor;
  rule: LengthRule | undefined;
}

/** Names and axes of a model's inputs. */
export interface InputPlan {
  readonly names: readonly string[];
  readonly axes: readonly Axis[];
}

function inputTensors(device: Device, { names, axes }: InputPlan, trace: 0 | 1): Record<string, Tensor> {
  const shape = axes.map((axis) => traced[axis][trace]);
  const size = sizeOf(shape);
  return Object.fromEntries(
    names.map((name) => {
      const tensor = device.tensor(new Int32Array(size).fill(name === 'attentionMask' ? 1 : 0), shape);
      // Unknown to the host, so that nothing is decided by the values.
      tensor.overwritten();
      return [name, tensor];
    }),
  );
}

/** Computes the model once. The caller disposes of the leaves. */
function run(model: PreTrainedModel, plan: InputPlan, trace: 0 | 1): Run {
  const inputs = inputTensors(model.device, plan, trace);
  const known = new Set([...model.parameters(), ...Object.values(inputs)].map(({ id }) => id));
  const ops: AppliedOp[] = [];
  const leaves = new Map<number, Leaf>();
  const watch = (op: AppliedOp): void => {
    ops.push(op);
    for (const tensor of Object.values(op.inputs)) {
      if (tensor === undefined || known.has(tensor.id)) continue;
      known.add(tensor.id);
      leaves.set(tensor.id, { tensor: tensor.alias(), rule: lengthRuleOf(tensor) });
    }
    known.add(op.y.id);
  };
  const forward = (model as unknown as { forward(inputs: object): Record<string, Tensor> }).forward;
  // Scores by distance have nodes where attention is computed the plain way, which gives its weights.
  const outputAttentions = [...model.modules()].some(
    (module) => module instanceof LayerStack && module.knowsDistances,
  );
  const optional = { skipPadding: false, outputHiddenStates: false, outputAttentions };
  const outputs = watchOps(watch, () => noGrad(() => forward.call(model, { ...inputs, ...optional })));
  return { ops, inputs, outputs, leaves };
}

/** Tensors of both traces, in pairs. */
class Pairs {
  private readonly known = new Map<number, Traced>();

  constructor(
    private readonly where: string,
    private readonly sizes: Dims,
  ) {}

  add(a: Tensor, b: Tensor): Traced {
    const known = this.known.get(a.id);
    if (known !== undefined) return known;
    if (a.rank !== b.rank) throw this.differs();
    const dims = a.shape.map((size, at) => this.sizes.of(size, b.shape[at]!));
    const pair = { key: a.id, dims };
    this.known.set(a.id, pair);
    return pair;
  }

  ops(first: readonly AppliedOp[], second: readonly AppliedOp[]): TracedOp[] {
    if (first.length !== second.length) throw this.differs();
    return first.map((a, at) => {
      const b = second[at]!;
      if (a.name !== b.name) throw this.differs();
      const inputs = Object.entries(a.inputs).map(([name, tensor]) => {
        const other = b.inputs[name];
        if ((tensor === undefined) !== (other === undefined)) throw this.differs();
        return [name, tensor && this.add(tensor, other!)];
      });
      return {
        name: a.name,
        inputs: Object.fromEntries(inputs),
        options: [a.options, b.options],
        y: this.add(a.y, b.y),
      };
    });
  }

  named(a: Record<string, Tensor>, b: Record<string, Tensor>): Map<string, Traced> {
    const tensors = Object.entries(a).filter(([, tensor]) => tensor instanceof Tensor);
    return new Map(tensors.map(([name, tensor]) => [snakeCase(name), this.add(tensor, b[name]!)]));
  }

  private differs(): ConfigError {
    return new ConfigError(`${this.where}: other lengths of the text take other operations`, {
      remedy: 'this model cannot be exported',
    });
  }
}

const valuesOf = async (tensor: Tensor): Promise<ArrayLike<number>> =>
  tensor.integers ?? (await tensor.data());

const equal = (a: ArrayLike<number>, b: ArrayLike<number>): boolean =>
  a.length === b.length && Array.from(a).every((value, at) => value === b[at]);

/** What both traces say of a leaf. Throws `ConfigError` if its values depend on the size of the inputs. */
async function constantOf(sizes: Dims, where: string, first: Leaf, second: Leaf): Promise<Constant> {
  const [a, b] = [first.tensor, second.tensor];
  const dims = a.shape.map((size, at) => sizes.of(size, b.shape[at]!));
  const common = { dims, integer: a.dtype === 'int32' };
  const [values, more] = [await valuesOf(a), await valuesOf(b)];
  const { rule } = first;
  const [short, long] = traced.sequence_length;
  if (rule !== undefined && equal(values, rule.values(short)) && equal(more, rule.values(long)))
    return { ...common, rule };
  if (equal(values, more)) return { ...common, values };
  const value = values[0]!;
  if ([...Array.from(values), ...Array.from(more)].every((one) => one === value)) return { ...common, value };
  throw new ConfigError(`${where}: a table that is computed for the length of the text has no counterpart`, {
    remedy: 'this model cannot be exported',
  });
}

async function constantsOf(
  sizes: Dims,
  where: string,
  first: Run,
  second: Run,
): Promise<Map<number, Constant>> {
  const others = [...second.leaves.values()];
  const constants = new Map<number, Constant>();
  for (const [key, leaf] of first.leaves)
    constants.set(key, await constantOf(sizes, where, leaf, others[constants.size]!));
  return constants;
}

/**
 * Computes the model with inputs of two sizes, in eval mode. Throws `ConfigError` if what it computes is not
 * the same for both.
 */
export async function traceModel(model: PreTrainedModel, plan: InputPlan): Promise<Trace> {
  const where = model.architecture;
  const modes = [...model.modules()].map((module) => ({ module, training: module.training }));
  using _scope = model.device.scope();
  const runs: Run[] = [];
  try {
    model.eval();
    const first = run(model, plan, 0);
    runs.push(first);
    const second = run(model, plan, 1);
    runs.push(second);
    const sizes = new Dims(plan.axes, where);
    const pairs = new Pairs(where, sizes);
    const inputs = pairs.named(first.inputs, second.inputs);
    const ops = pairs.ops(first.ops, second.ops);
    const outputs = pairs.named(first.outputs, second.outputs);
    return { ops, inputs, outputs, sizes, constants: await constantsOf(sizes, where, first, second) };
  } finally {
    for (const { module, training } of modes) module.training = training;
    for (const { leaves } of runs) for (const { tensor } of leaves.values()) tensor.dispose();
  }
}
