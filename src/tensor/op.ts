/**
 * `defineOp`: one operation in one place, with its inputs, shape rule, forward, saved tensors and backward.
 *
 * Forward and backward work on tensors off the tape. Everything they make is outside every scope and is
 * handed over: `y` to the caller, saved tensors to the tape, gradients to the tape's `backward`. `defineOp`
 * disposes of the rest.
 */
import { AutogradError, DtypeError } from '../errors.ts';
import { gradientMemory } from './parameters.ts';
import type { Shape } from './shape.ts';
import { type Gradients, isGradEnabled, record } from './tape.ts';
import type { Dtype, Tensor } from './tensor.ts';

/**
 * Element types that an input accepts:
 *
 * - `float32`, `int32`: this type only.
 * - `float`: float32 or float16, the same for all inputs of this kind.
 * - `wide`: as `float`, but may stay float32 when the `float` inputs are float16.
 * - `any`: every type; the op checks it.
 */
type Kind = 'float32' | 'int32' | 'float' | 'wide' | 'any';

/** Kinds by input name. A `?` marks an input that may be left out. */
type Kinds = Readonly<Record<string, Kind | `${Kind}?`>>;

type OptionalName<K extends Kinds> = {
  [N in keyof K]: [Extract<K[N], `${string}?`>] extends [never] ? never : N;
}[keyof K];

type Inputs<K extends Kinds> = { readonly [N in Exclude<keyof K, OptionalName<K>>]: Tensor } & {
  readonly [N in OptionalName<K>]?: Tensor | undefined;
};

type Names<T> = keyof T & string;

export interface OutputSpec {
  shape: Shape;
  dtype: Dtype;
}

/** Further tensors that forward makes, by name. */
type Extras<E> = { readonly [N in keyof E]: Tensor | undefined };

/** The saved tensors by name: inputs, forward's extras, and the result as `y`. */
type Saved<K extends Kinds, E extends Extras<E>, S extends string> = {
  readonly [N in S]: N extends 'y'
    ? Tensor
    : N extends keyof E
      ? E[N]
      : N extends OptionalName<K>
        ? Tensor | undefined
        : Tensor;
};

/** An error for each key that is no input. */
type OnlyInputs<K extends Kinds, G> = {
  readonly [N in G extends unknown ? Exclude<keyof G, keyof K> : never]: never;
};

/** Backward's argument; `Name` is an input's name. */
export interface BackwardContext<Name extends string, Saved, Options> {
  /** The gradient of the result. */
  readonly dy: Tensor;
  readonly saved: Saved;
  /** Whether an input needs a gradient. */
  readonly needs: Readonly<Record<Name, boolean>>;
  readonly options: Options;
  shape(input: Name): Shape;
  dtype(input: Name): Dtype;
  /**
   * Memory for an input's gradient, outside every scope. A parameter's gradient belongs here: one computed
   * elsewhere costs a copy (see `gradientMemory`).
   */
  gradient(input: Name): Tensor;
}

interface Common<K extends Kinds, E extends Extras<E>, O> {
  readonly name: string;
  /** Kinds by input name, in the order in which gradients are handed on. */
  readonly inputs: K;
  /** The result's shape and type. Throws `ShapeError` naming the op and the shapes. */
  shape(inputs: Inputs<K>, options: O): OutputSpec;
  /**
   * The result where it exists already, as an alias outside every scope; null if forward has to compute it.
   */
  view?(inputs: Inputs<K>, spec: OutputSpec, options: O): Tensor | null;
  /**
   * Fills `y`; may return extras: new tensors that `saves` can name. `recorded`: backward may follow. An op
   * whose `view` never gives null needs no forward.
   */
  forward?(inputs: Inputs<K>, y: Tensor, options: O, recorded: boolean): E;
}

interface Differentiable<K extends Kinds, E extends Extras<E>, S extends string, G, O>
  extends Common<K, E, O> {
  /** Tensors that the tape keeps for backward: names of inputs, of extras, or `y`. */
  readonly saves: readonly (S & (Names<K> | Names<E> | 'y'))[];
  /**
   * Gradients by input name, at least of the inputs that `needs` marks. Each is a tensor of its own (use
   * `alias` to pass one on).
   */
  backward(context: BackwardContext<Names<K>, Saved<K, E, S>, O>): G & OnlyInputs<K, G>;
}

interface NonDifferentiable<K extends Kinds, E extends Extras<E>, O> extends Common<K, E, O> {
  /** Why there is no gradient. */
  readonly nonDifferentiable: string;
}

/** An operation; one without options takes its inputs alone. */
export type Op<K extends Kinds, O> = (
  inputs: Inputs<K>,
  ...options: [O] extends [undefined] ? [] : [O]
) => Tensor;

/**
 * Inputs that may be float16 (`halves`), and those that may then stay float32 (`wide`), by operation. A test
 * requires a row for each operation.
 */
export const operations = new Map<string, { halves: readonly string[]; wide: readonly string[] }>();

/**
 * Defines and registers an operation. The compiler infers names: `saves` and `saved` know the inputs and
 * forward's extras, `needs` and the gradients know the inputs. Options get their type from the annotation in
 * `shape`.
 */
export function defineOp<
  const K extends Kinds,
  const S extends string,
  G extends Gradients,
  E extends Extras<E> = void,
  O = undefined,
>(op: Differentiable<K, E, S, G, O> | NonDifferentiable<K, E, O>): Op<K, O> {
  const definition = op as unknown as Definition;
  const kinds = kindsOf(definition.inputs);
  const named = (...wanted: Kind[]): string[] =>
    [...kinds].filter(([, kind]) => wanted.includes(kind)).map(([name]) => name);
  operations.set(definition.name, { halves: named('float', 'wide'), wide: named('wide') });
  return (inputs, ...[options]) => apply(definition, kinds, inputs, options);
}

type Tensors = Readonly<Record<string, Tensor | undefined>>;

/** @internal An operation that was computed. */
export interface AppliedOp {
  readonly name: string;
  readonly inputs: Tensors;
  readonly options: unknown;
  readonly y: Tensor;
}

let watcher: ((op: AppliedOp) => void) | null = null;

/** @internal Runs `body`, telling `watch` of each operation once it is computed. */
export function watchOps<T>(watch: (op: AppliedOp) => void, body: () => T): T {
  const outer = watcher;
  watcher = watch;
  try {
    return body();
  } finally {
    watcher = outer;
  }
}

/** A definition with its names as strings. */
type Definition = Common<Kinds, Tensors | undefined, unknown> &
  Partial<
    Pick<Differentiable<Kinds, Tensors, string, Gradients, unknown>, 'saves' | 'backward'> &
      Pick<NonDifferentiable<Kinds, Tensors, unknown>, 'nonDifferentiable'>
  >;

function kindsOf(inputs: Kinds): ReadonlyMap<string, Kind> {
  return new Map(Object.entries(inputs).map(([name, kind]) => [name, kind.replace('?', '') as Kind]));
}

function apply(
  definition: Definition,
  kinds: ReadonlyMap<string, Kind>,
  inputs: Tensors,
  options: unknown,
): Tensor {
  const present: [string, Tensor][] = [];
  for (const name of kinds.keys()) {
    const tensor = inputs[name];
    if (tensor !== undefined) present.push([name, tensor]);
  }
  checkDtypes(definition.name, kinds, present);
  const recorded = isGradEnabled() && present.some(([, tensor]) => tensor.requiresGrad);
  if (recorded && definition.backward === undefined) {
    throw new AutogradError(`${definition.name} has no gradient: ${definition.nonDifferentiable}`, {
      remedy: 'call it inside noGrad(), or on detach()ed tensors',
    });
  }
  const { device } = present[0]![1];
  // A disposed input throws here, before anything is made.
  for (const [, tensor] of present) tensor.requireLive();
  const spec = definition.shape(inputs, options);
  const view = definition.view?.(inputs, spec, options) ?? null;
  const y = view ?? device.raw(spec.shape, spec.dtype);
  let extras: Tensors = {};
  try {
    if (view === null) extras = definition.forward!(inputs, y, options, recorded) ?? {};
  } catch (error) {
    y.dispose();
    throw error;
  }
  if (recorded) tape(definition, inputs, present, extras, y, options);
  for (const extra of Object.values(extras)) extra?.dispose();
  watcher?.({ name: definition.name, inputs, options, y });
  return device.track(y);
}

function checkDtypes(
  op: string,
  kinds: ReadonlyMap<string, Kind>,
  present: readonly [string, Tensor][],
): void {
  for (const [name, { dtype }] of present) {
    const kind = kinds.get(name)!;
    const floating = kind === 'float' || kind === 'wide';
    if (floating && dtype === 'float16') checkHalves(op, kinds, present);
    else if (kind !== 'any' && dtype !== (floating ? 'float32' : kind)) {
      throw new DtypeError(`${op}: ${name} is ${dtype}`, {
        remedy: `it must be ${floating ? 'float32' : kind}`,
      });
    }
  }
}

/**
 * Throws `DtypeError` unless all `float` inputs are float16, and the `wide` ones too if nothing else is
 * float16.
 */
function checkHalves(
  op: string,
  kinds: ReadonlyMap<string, Kind>,
  present: readonly [string, Tensor][],
): void {
  const narrow = present.some(([name, { dtype }]) => dtype === 'float16' && kinds.get(name) !== 'wide');
  const bound = present.filter(([name]) => {
    const kind = kinds.get(name);
    return kind === 'float' || (kind === 'wide' && !narrow);
  });
  if (bound.every(([, { dtype }]) => dtype === 'float16')) return;
  const given = bound.map(([name, { dtype }]) => `${name} is ${dtype}`).join(', ');
  throw new DtypeError(`${op}: ${given}`, {
    remedy: "give them one type with to(x, 'float16') or to(x, 'float32')",
  });
}

/** Records the op on the tape, with aliases of what backward needs. */
function tape(
  { name: op, inputs: kinds, saves, backward }: Definition,
  inputs: Tensors,
  present: readonly [string, Tensor][],
  extras: Tensors,
  y: Tensor,
  options: unknown,
): void {
  const saved: Record<string, Tensor> = {};
  for (const name of saves!) {
    const source = name === 'y' ? y : (extras[name] ?? inputs[name]);
    if (source !== undefined) saved[name] = source.alias();
  }
  const needs: Record<string, boolean> = {};
  for (const name of Object.keys(kinds)) needs[name] = inputs[name]?.requiresGrad === true;
  const kept = Object.values(saved);
  record(y, op, present, kept, (dy) =>
    backward!({
      dy,
      saved,
      needs,
      options,
      // An input may have been disposed of; its shape and dtype outlive it.
      shape: (name) => inputs[name]!.shape,
      dtype: (name) => inputs[name]!.dtype,
      // What backward reads may be gradients in the very buffer that the new one belongs to.
      gradient: (name) => gradientMemory(inputs[name]!, [dy, ...kept]),
    }),
  );
}
