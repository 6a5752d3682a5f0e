/**
 * `defineOp`: an operation in one place, its shape rule, forward, what it saves, and backward.
 *
 * Forward and backward work on tensors off the tape; what they make is outside every scope and handed over:
 * `y` to the caller, saved tensors to the tape, gradients to whoever collects them. The rest is disposed of
 * here.
 */
import { AutogradError, DtypeError } from '../errors.ts';
import { gradientMemory } from './parameters.ts';
import type { Shape } from './shape.ts';
import { type Gradients, isGradEnabled, record } from './tape.ts';
import type { Dtype, Tensor } from './tensor.ts';

export type OpInputs = Readonly<Record<string, Tensor | undefined>>;

export interface OutputSpec {
  shape: Shape;
  dtype: Dtype;
}

/** What backward gets: the saved tensors by name. */
export type Saved = Readonly<Record<string, Tensor | undefined>>;
/** Which inputs want a gradient. */
export type Needs = Readonly<Record<string, boolean | undefined>>;

/** Of the inputs, by name. */
export interface InputSpecs {
  shape(name: string): Shape;
  dtype(name: string): Dtype;
  /**
   * Memory for an input's gradient, outside every scope; of several inputs, one after the other along the
   * first dimension. See `gradientMemory`: a gradient computed elsewhere costs a copy.
   */
  gradient(...names: string[]): Tensor;
}

interface OpCommon<I extends OpInputs, O> {
  readonly name: string;
  /** Element types by input; float32 where not given. */
  readonly dtypes?: Readonly<Partial<Record<keyof I & string, Dtype | 'any'>>>;
  /** Inputs that may be float16, all of them together; their gradients then are, too. */
  readonly halves?: readonly (keyof I & string)[];
  /** Of these, inputs that may also be float32 beside float16. */
  readonly wide?: readonly (keyof I & string)[];
  /** Throws `ShapeError` naming the op and the shapes. */
  shape(inputs: I, options: O): OutputSpec;
  /** The result, where it is known without forward: a fresh tensor outside every scope. */
  known?(inputs: I, options: O): Tensor | null;
  /**
   * Fills `y`; may return further tensors (fresh ones) that `saves` can name. `recorded`: backward may
   * follow.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a forward that makes nothing but y returns nothing
  forward(inputs: I, y: Tensor, options: O, recorded: boolean): Record<string, Tensor> | void;
}

interface Differentiable<I extends OpInputs, O> extends OpCommon<I, O> {
  /** What the tape keeps: names of inputs, of forward's further tensors, or `y`. */
  readonly saves: readonly string[];
  /**
   * Gradients by input name, at least those that `needs` names; each a tensor of its own (use `alias` to pass
   * one on).
   */
  backward(dy: Tensor, saved: Saved, needs: Needs, options: O, inputs: InputSpecs): Gradients;
}

interface NonDifferentiable<I extends OpInputs, O> extends OpCommon<I, O> {
  /** Why there is no gradient. */
  readonly nonDifferentiable: string;
}

export type OpDefinition<I extends OpInputs, O> = Differentiable<I, O> | NonDifferentiable<I, O>;

/**
 * Names of all operations, and of the inputs that may be float16, and of those that may be float32 beside
 * them; a test requires a row for each.
 */
export const operations = new Map<string, { halves: readonly string[]; wide: readonly string[] }>();

export function defineOp<I extends OpInputs, O = undefined>(
  definition: OpDefinition<I, O>,
): (inputs: I, options: O) => Tensor {
  const { name, halves = [], wide = [] } = definition;
  operations.set(name, { halves, wide });
  return (inputs, options) => apply(definition, inputs, options);
}

function apply<I extends OpInputs, O>(definition: OpDefinition<I, O>, inputs: I, options: O): Tensor {
  const present = Object.entries(inputs).filter((entry): entry is [string, Tensor] => entry[1] !== undefined);
  checkDtypes(definition, present);
  const recorded = isGradEnabled() && present.some(([, tensor]) => tensor.requiresGrad);
  if (recorded && 'nonDifferentiable' in definition) {
    throw new AutogradError(`${definition.name} has no gradient: ${definition.nonDifferentiable}`, {
      remedy: 'call it inside noGrad(), or on detach()ed tensors',
    });
  }
  const { device } = present[0]![1];
  // A disposed input throws here, before anything is made.
  for (const [, tensor] of present) tensor.requireLive();
  const spec = definition.shape(inputs, options);
  const known = definition.known?.(inputs, options) ?? null;
  const y = known ?? device.raw(spec.shape, spec.dtype);
  let extras: Record<string, Tensor> = {};
  try {
    if (known === null) extras = definition.forward(inputs, y, options, recorded) ?? {};
  } catch (error) {
    y.dispose();
    throw error;
  }
  if (recorded && 'backward' in definition) tape(definition, inputs, present, extras, y, options);
  for (const extra of Object.values(extras)) extra.dispose();
  return device.track(y);
}

function checkDtypes<I extends OpInputs, O>(
  definition: OpCommon<I, O>,
  present: readonly [string, Tensor][],
): void {
  for (const [name, tensor] of present) {
    const wanted = definition.dtypes?.[name] ?? 'float32';
    const half = tensor.dtype === 'float16' && definition.halves?.includes(name);
    if (half === true) checkHalves(definition, present);
    else if (wanted !== 'any' && tensor.dtype !== wanted) {
      throw new DtypeError(`${definition.name}: ${name} is ${tensor.dtype}`, {
        remedy: `it must be ${wanted}`,
      });
    }
  }
}

function checkHalves<I extends OpInputs, O>(
  { name: op, halves, wide = [] }: OpCommon<I, O>,
  present: readonly [string, Tensor][],
): void {
  const narrow = present.some(([name, { dtype }]) => dtype === 'float16' && !wide.includes(name));
  const those = present.filter(([name]) => halves!.includes(name) && !(narrow && wide.includes(name)));
  if (those.every(([, { dtype }]) => dtype === 'float16')) return;
  const given = those.map(([name, { dtype }]) => `${name} is ${dtype}`).join(', ');
  throw new DtypeError(`${op}: ${given}`, {
    remedy: "give them one type with to(x, 'float16') or to(x, 'float32')",
  });
}

function tape<I extends OpInputs, O>(
  definition: Differentiable<I, O>,
  inputs: I,
  present: readonly [string, Tensor][],
  extras: Readonly<Record<string, Tensor>>,
  y: Tensor,
  options: O,
): void {
  const saved: Record<string, Tensor> = {};
  for (const name of definition.saves) {
    const source = name === 'y' ? y : (extras[name] ?? inputs[name]);
    if (source !== undefined) saved[name] = source.alias();
  }
  const needs: Record<string, boolean> = {};
  for (const [name, tensor] of present) if (tensor.requiresGrad) needs[name] = true;
  const kept = Object.values(saved);
  record(y, definition.name, present, kept, (dy) => {
    // Gradients themselves, these may lie where those to be computed would.
    const read = [dy, ...kept];
    const specs: InputSpecs = {
      // Their values may be gone.
      shape: (name) => inputs[name]!.shape,
      dtype: (name) => inputs[name]!.dtype,
      gradient: (...names) =>
        gradientMemory(
          names.map((name) => inputs[name]!),
          read,
        ),
    };
    return definition.backward(dy, saved, needs, options, specs);
  });
}
