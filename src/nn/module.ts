/**
 * `Module`: a part of a model. Its properties are its weights and sub-modules, and their names are the
 * checkpoint's keys.
 */

import { DawngradError } from '../errors.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor/tensor.ts';

const own = new WeakSet<object>();
const pure = new WeakSet<object>();

type ModuleClass = abstract new (...args: never[]) => Module;

/**
 * @internal Declares classes of the package, whose `forward` does nothing but compute, so that a copy of a
 * model may do so to see what it takes. Subclasses are not included.
 */
export function declareOwn(...classes: readonly ModuleClass[]): void {
  for (const one of classes) own.add(one);
}

/**
 * @internal Declares that results of these classes depend on nothing but inputs, weights and properties, so
 * that an inference can be recorded once and repeated. Subclasses are not included.
 */
export function declarePure(...classes: readonly ModuleClass[]): void {
  declareOwn(...classes);
  for (const one of classes) pure.add(one);
}

/** A weight, and the module and property that hold it. */
export interface WeightPlace {
  path: string;
  tensor: Tensor;
  owner: Module;
  key: string;
}

export abstract class Module {
  /** Dropout acts while true. Set by `train` and `eval`. */
  training = true;

  /** Sub-modules by property name; an array of modules gives `layer.0`, `layer.1`, … */
  namedChildren(): [string, Module][] {
    const children: [string, Module][] = [];
    for (const [name, value] of Object.entries(this)) {
      if (value instanceof Module) children.push([name, value]);
      else if (Array.isArray(value)) {
        for (const [index, item] of value.entries()) {
          if (item instanceof Module) children.push([`${name}.${index}`, item]);
        }
      }
    }
    return children;
  }

  /** This module and all below it, outermost first. */
  *modules(): Generator<Module> {
    yield this;
    for (const [, child] of this.namedChildren()) yield* child.modules();
  }

  /** @internal Whether this module and all below it are of declared classes, with no method replaced. */
  get isPure(): boolean {
    return this.consistsOf(pure);
  }

  /** @internal Whether this module and all below it are the package's own, with no method replaced. */
  get isOwn(): boolean {
    return this.consistsOf(own);
  }

  private consistsOf(classes: WeakSet<object>): boolean {
    const changed = (value: unknown): boolean => typeof value === 'function';
    return [...this.modules()].every(
      (module) => classes.has(module.constructor) && !Object.values(module).some(changed),
    );
  }

  /** @internal Every weight in every place that it has, with the module and the property that hold it. */
  *weightPlaces(prefix = ''): Generator<WeightPlace> {
    for (const [key, tensor] of Object.entries(this)) {
      if (tensor instanceof Tensor) yield { path: prefix + key, tensor, owner: this, key };
    }
    for (const [name, child] of this.namedChildren()) yield* child.weightPlaces(`${prefix}${name}.`);
  }

  /** Every weight under every name it has; tied weights come more than once. */
  private everyParameter(prefix: string): [string, Tensor][] {
    return [...this.weightPlaces(prefix)].map(({ path, tensor }) => [path, tensor]);
  }

  /** Weights by name, each tensor once. */
  namedParameters(prefix = ''): [string, Tensor][] {
    const seen = new Set<Tensor>();
    return this.everyParameter(prefix).filter(([, tensor]) => {
      const first = !seen.has(tensor);
      seen.add(tensor);
      return first;
    });
  }

  parameters(): Tensor[] {
    return this.namedParameters().map(([, tensor]) => tensor);
  }

  /**
   * This module's own weights without weight decay: its `bias`. A module whose other weights should not
   * shrink either, such as a norm, overrides this.
   */
  ownUndecayed(): readonly Tensor[] {
    const bias: unknown = Reflect.get(this, 'bias');
    return bias instanceof Tensor ? [bias] : [];
  }

  /** All weights without weight decay, here and below. */
  undecayedParameters(): Set<Tensor> {
    return new Set([...this.modules()].flatMap((module) => module.ownUndecayed()));
  }

  /** Weights by every name, tied ones under each of theirs. */
  stateDict(): Map<string, Tensor> {
    return new Map(this.everyParameter(''));
  }

  /**
   * @internal Puts another tensor in the place of a weight, by its name in `stateDict`; whoever calls
   * disposes of the old one.
   */
  replaceParameter(name: string, tensor: Tensor): void {
    const [child] = this.namedChildren().filter(([prefix]) => name.startsWith(`${prefix}.`));
    if (child !== undefined) child[1].replaceParameter(name.slice(child[0].length + 1), tensor);
    else if (Reflect.get(this, name) instanceof Tensor) Reflect.set(this, name, tensor);
    else throw new DawngradError(`there is no weight '${name}'`);
  }

  /** Number of weights, each counted once. */
  numParameters(options: { onlyTrainable?: boolean } = {}): number {
    checkOptions('numParameters', options, { onlyTrainable: true });
    const counted = this.parameters().filter(
      (tensor) => options.onlyTrainable !== true || tensor.requiresGrad,
    );
    return counted.reduce((total, tensor) => total + tensor.size, 0);
  }

  /** Switches dropout on (or off, with false) here and below. */
  train(mode = true): this {
    for (const module of this.modules()) module.training = mode;
    return this;
  }

  eval(): this {
    return this.train(false);
  }

  /** Whether the weights here and below collect gradients; false freezes them. */
  setRequiresGrad(value: boolean): this {
    for (const tensor of this.parameters()) tensor.requiresGrad = value;
    return this;
  }

  /** Drops all gradients. */
  zeroGrad(): void {
    for (const tensor of this.parameters()) tensor.dropGradient();
  }

  /**
   * @internal Tensors that this module keeps beside its weights, and makes again if they are gone; not saved.
   */
  ownTables(): readonly Tensor[] {
    return [];
  }

  /** Frees all weights. */
  dispose(): void {
    for (const tensor of this.parameters()) tensor.dispose();
    for (const module of this.modules()) for (const table of module.ownTables()) table.dispose();
  }
}
