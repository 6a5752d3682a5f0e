/** `PeftModel`: a model with adapters, as PEFT wraps it. */

import { ConfigError } from '../../errors.ts';
import { floatDtypes } from '../../gpu/dtype.ts';
import type { Linear } from '../../nn/layers.ts';
import { declarePure, type Module } from '../../nn/module.ts';
import { checkChoice, checkOptions } from '../../options.ts';
import type { FloatDtype } from '../../tensor/ops/elementwise.ts';
import type { BaseModel } from '../common/base-model.ts';
import { PreTrainedModel } from '../common/pretrained.ts';
import { type HubOptions, hubOptionNames, resolveAdapter } from '../files/hub.ts';
import type { FileWeight } from '../files/weight-names.ts';
import type { ModelAdapters } from './adapters.ts';
import type { LoraConfig } from './config.ts';
import { LoraConfig as Config } from './config.ts';
import { adaptersOf, addFrom } from './inject.ts';
import { DEFAULT_ADAPTER } from './names.ts';

export interface AdapterOptions {
  /** Default `default`. */
  adapterName?: string;
  /**
   * How the frozen base is stored: float16 halves the memory of its matrices, whose values are rounded. Default: as
   * it is, float32.
   */
  baseDtype?: FloatDtype;
}

export interface LoadAdapterOptions extends AdapterOptions, HubOptions {
  /** Whether it goes on learning. Default false. */
  isTrainable?: boolean;
}

const loadNames = { ...hubOptionNames, adapterName: true, baseDtype: true, isTrainable: true } as const;

/** What a model's `forward` takes and gives. */
type Takes<M> = M extends { forward(inputs: infer I): unknown } ? I : never;
type Gives<M> = M extends { forward(inputs: never): infer O } ? O : object;

export class PeftModel<M extends PreTrainedModel = PreTrainedModel> extends PreTrainedModel {
  /** @internal Use `getPeftModel` or `PeftModel.fromPretrained`. */
  constructor(readonly model: M) {
    super(model.config, model.device);
    this.nameOrPath = model.nameOrPath;
    this.training = model.training;
  }

  /**
   * A model with the adapter of a folder, or of a hub id, which PEFT or this engine saved; in eval mode. Throws
   * `FileError`, `ConfigError` or `CheckpointError` naming the file or key that is wrong.
   */
  static async fromPretrained<M extends PreTrainedModel>(
    model: M,
    idOrFolder: string,
    options: LoadAdapterOptions = {},
  ): Promise<PeftModel<M>> {
    checkOptions<LoadAdapterOptions>('PeftModel.fromPretrained', options, loadNames);
    requireModel(model);
    const made = new PeftModel(model);
    await made.loadAdapter(idOrFolder, options);
    return made.eval();
  }

  override get base(): BaseModel {
    return this.model.base;
  }

  override get classLayer(): Linear | null {
    return this.model.classLayer;
  }

  override get architecture(): string {
    return this.model.architecture;
  }

  override get adapters(): ModelAdapters | null {
    return this.model.adapters;
  }

  forward(inputs: Takes<M>): Gives<M> {
    const { model } = this as unknown as { model: { forward(inputs: Takes<M>): Gives<M> } };
    return model.forward(inputs);
  }

  override layerGroups(): Module[][] {
    return this.model.layerGroups();
  }

  override namedParameters(prefix = ''): ReturnType<M['namedParameters']> {
    return this.model.namedParameters(`${prefix}base_model.model.`) as ReturnType<M['namedParameters']>;
  }

  override stateDict(): ReturnType<M['stateDict']> {
    const weights = [...this.model.stateDict()].map(
      ([name, tensor]) => [`base_model.model.${name}`, tensor] as const,
    );
    return new Map(weights) as ReturnType<M['stateDict']>;
  }

  /** @internal */
  override fileWeights(): Map<string, FileWeight> {
    return this.model.fileWeights();
  }

  override extraFiles(): Readonly<Record<string, string>> {
    return this.model.extraFiles();
  }

  override dispose(): void {
    this.model.dispose();
  }

  private get all(): ModelAdapters {
    const { adapters } = this.model;
    if (adapters !== null) return adapters;
    throw new ConfigError('the model has no adapters any more', {
      remedy: 'use the model that unload() gave',
    });
  }

  /** The settings of each adapter, by name. */
  get peftConfig(): Readonly<Record<string, LoraConfig>> {
    return Object.fromEntries(this.all.names.map((name) => [name, this.all.config(name)]));
  }

  /** The name of the adapter that acts; null within `disableAdapter`. */
  get activeAdapter(): string | null {
    return this.all.active;
  }

  /** Makes another adapter with fresh weights. Throws `ConfigError` for a name that is taken. */
  addAdapter(adapterName: string, config: LoraConfig): void {
    this.all.add(adapterName, config);
  }

  /**
   * Reads another adapter; the first one acts. Throws as `fromPretrained` does, and `ConfigError` for a name that
   * is taken.
   */
  async loadAdapter(idOrFolder: string, options: LoadAdapterOptions = {}): Promise<void> {
    checkOptions<LoadAdapterOptions>('loadAdapter', options, loadNames);
    const { adapterName = DEFAULT_ADAPTER, isTrainable = false, baseDtype, ...hub } = options;
    checkChoice('baseDtype', baseDtype, floatDtypes);
    const folder = await resolveAdapter(idOrFolder, hub);
    await addFrom(this.model, folder, { adapterName, isTrainable });
    if (baseDtype !== undefined) this.all.castBase(baseDtype);
  }

  /** Chooses the adapter that acts, and learns if it may. Throws `ConfigError` for one that is not there. */
  setAdapter(adapterName: string): void {
    this.all.choose(adapterName);
  }

  /** Runs `body` without an adapter, until an async body settles. */
  disableAdapter<T>(body: () => T): T {
    const { all } = this;
    const { active } = all;
    all.choose(null);
    const back = (): void => all.choose(active);
    let pending = false;
    try {
      const result = body();
      pending = result instanceof Promise;
      return pending ? ((result as Promise<unknown>).finally(back) as T) : result;
    } finally {
      if (!pending) back();
    }
  }

  /** Frees an adapter. Throws `ConfigError` for one that is not there. */
  deleteAdapter(adapterName: string): void {
    this.all.remove(adapterName);
  }

  /**
   * Adds the acting adapter to the model's weights, and gives the model without adapters: `savePretrained` then
   * writes a plain checkpoint. Its weights stay frozen, as in PEFT: `setRequiresGrad(true)` thaws them. Throws
   * `ConfigError` if no adapter acts, or for a base of float16.
   */
  mergeAndUnload(): M {
    this.all.unload({ merge: true });
    this.model.adapters = null;
    return this.model;
  }

  /** The model without adapters, as it was before. */
  unload(): M {
    this.all.unload({ merge: false });
    this.model.adapters = null;
    return this.model;
  }

  /** Prints how many weights learn, in the words of PEFT. */
  printTrainableParameters(): void {
    const learn = this.numParameters({ onlyTrainable: true });
    const all = this.numParameters();
    const share = ((100 * learn) / all).toFixed(4);
    const shown = (count: number): string => count.toLocaleString('en-US');
    console.log(`trainable params: ${shown(learn)} || all params: ${shown(all)} || trainable%: ${share}`);
  }
}

declarePure(PeftModel);

function requireModel(model: PreTrainedModel): void {
  if (!(model instanceof PreTrainedModel))
    throw new ConfigError('the first argument is no model', { remedy: 'pass a model of AutoModelFor…' });
}

/**
 * Gives a model an adapter, which learns in its place; the model itself gets the layers. Throws `ConfigError` for
 * modules that are not there.
 */
export function getPeftModel<M extends PreTrainedModel>(
  model: M,
  config: LoraConfig,
  options: AdapterOptions = {},
): PeftModel<M> {
  checkOptions<AdapterOptions>('getPeftModel', options, { adapterName: true, baseDtype: true });
  checkChoice('baseDtype', options.baseDtype, floatDtypes);
  requireModel(model);
  if (!(config instanceof Config))
    throw new ConfigError('getPeftModel: the config is no LoraConfig', {
      remedy: 'pass new LoraConfig({ … })',
    });
  if (model.adapters !== null)
    throw new ConfigError('getPeftModel: the model has adapters already', {
      remedy: 'addAdapter adds another',
    });
  const adapters = adaptersOf(model);
  adapters.add(options.adapterName ?? DEFAULT_ADAPTER, config);
  if (options.baseDtype !== undefined) adapters.castBase(options.baseDtype);
  return new PeftModel(model);
}
