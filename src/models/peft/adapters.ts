/** The adapters of a model: made, chosen, saved and merged. */
import { CheckpointError, ConfigError } from '../../errors.ts';
import { cast } from '../../kernels/pointwise.ts';
import { Linear, parameter, skipInit } from '../../nn/layers.ts';
import { LoraAdapter, LoraLinear, LoraPart, PartBias } from '../../nn/lora.ts';
import type { Module } from '../../nn/module.ts';
import type { FloatDtype } from '../../tensor/ops/elementwise.ts';
import { formatShape, sameShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { PreTrainedModel } from '../common/pretrained.ts';
import type { SafetensorsFile } from '../files/safetensors-reader.ts';
import { type FileWeight, fileWeights } from '../files/weight-names.ts';
import type { LoraConfig } from './config.ts';
import { PREFIX } from './names.ts';
import {
  byPattern,
  layersOf,
  modulesToSaveOf,
  replaceModule,
  type Site,
  sitesOf,
  targetNames,
  targetsOf,
} from './targets.ts';

/** A weight that an adapter has a copy of. */
interface Kept {
  path: string;
  places: readonly (readonly [owner: Module, key: string])[];
  original: Tensor;
  own: Tensor;
}

/** A layer that an adapter changes. */
interface Changed {
  layer: LoraLinear;
  /** Of the layer's parts in files. */
  names: readonly string[];
}

interface Adapter {
  config: LoraConfig;
  /** Whether it learns when it acts. */
  trainable: boolean;
  changed: readonly Changed[];
  kept: readonly Kept[];
}

export class ModelAdapters {
  private readonly byName = new Map<string, Adapter>();
  private readonly layers = new Map<LoraLinear, Site>();
  private chosen: string | null = null;

  /** Freezes the model, whose adapters learn in its place. */
  constructor(readonly model: PreTrainedModel) {
    model.setRequiresGrad(false);
  }

  get names(): string[] {
    return [...this.byName.keys()];
  }

  /** The name of the adapter that acts; null: the model computes without one. */
  get active(): string | null {
    return this.chosen;
  }

  config(name: string): LoraConfig {
    return this.adapter(name).config;
  }

  private adapter(name: string): Adapter {
    const found = this.byName.get(name);
    if (found !== undefined) return found;
    throw new ConfigError(`there is no adapter '${name}'`, {
      remedy: this.names.length === 0 ? 'there are none' : `there are ${this.names.join(', ')}`,
    });
  }

  /**
   * Makes an adapter with fresh weights, and chooses it if it is the first. Throws `ConfigError` for a name that
   * is taken, or for modules that are not there.
   */
  add(name: string, given: LoraConfig, trainable = true): void {
    if (this.byName.has(name) || name === '')
      throw new ConfigError(`there is an adapter '${name}' already`, { remedy: 'give it another name' });
    const { model } = this;
    const config = given.with({
      targetModules: targetsOf(model, given),
      modulesToSave: modulesToSaveOf(given),
      baseModelNameOrPath: given.baseModelNameOrPath ?? model.nameOrPath,
    });
    const targets = layersOf(model, config);
    const saved = this.savedWeights(config);
    const changed = targets.map(({ site, layer, parts }) => this.change(name, config, site, layer, parts));
    const kept = [...saved, ...this.biases(config, saved)].map((one) => this.keep(one));
    const all = config.targetModules === 'all-linear';
    const named = all ? config.with({ targetModules: targetNames(targets) }) : config;
    this.byName.set(name, { config: named, trainable, changed, kept });
    this.collect(name, false);
    if (this.chosen === null) this.choose(name);
  }

  /** Gives a layer an adapter. */
  private change(
    name: string,
    config: LoraConfig,
    site: Site,
    given: Site['module'] & { weight: Tensor },
    parts: readonly number[],
  ): Changed {
    const layer = given instanceof LoraLinear ? given : this.adaptable(site, given);
    const { r: usual, loraAlpha, loraDropout: dropout, useRslora, initLoraWeights: start, bias } = config;
    const { device, shape, parts: count } = layer.weight;
    const rows = shape[0]! / count;
    const made = parts.map((part) => {
      const place = site.names[part]!;
      const r = byPattern(config.rankPattern, place, usual);
      const alpha = byPattern(config.alphaPattern, place, loraAlpha);
      const scaling = alpha / (useRslora ? Math.sqrt(r) : r);
      return new LoraPart(device, part, [rows, shape[1]!], { r, scaling, dropout, start });
    });
    const learning = bias === 'all' ? site.names.map((_, part) => part) : bias === 'lora_only' ? parts : [];
    const biases = layer.bias === null ? [] : learning.map((part) => this.partBias(layer, part, rows));
    layer.adapters = [...layer.adapters, new LoraAdapter(name, made, biases)];
    for (const own of layer.adapters.at(-1)!.modules()) own.training = layer.training;
    return { layer, names: site.names };
  }

  private partBias({ bias }: LoraLinear, part: number, rows: number): PartBias {
    const { device } = bias!;
    const own = parameter(device, [rows]);
    const slot = bias!.slot;
    device.gpu.recorder.copy({ ...slot, offset: (slot.offset ?? 0) + 4 * part * rows }, own.slot, 4 * rows);
    return new PartBias(part, own);
  }

  private adaptable(site: Site, layer: Site['module']): LoraLinear {
    // The weights are the layer's, and drawn already.
    const made = skipInit(() => new LoraLinear(layer as LoraLinear));
    replaceModule(site, made);
    this.layers.set(made, { ...site, module: made });
    return made;
  }

  /** The weights of modules that learn as a whole. */
  private savedWeights({ modulesToSave }: LoraConfig): Omit<Kept, 'own'>[] {
    if (modulesToSave === null) return [];
    const sites = sitesOf(this.model);
    const named = (name: string) => modulesToSave.some((end) => name.endsWith(end));
    const modules = sites.filter(({ names }) => names.some(named));
    const part = modules.find(({ names }) => names.length > 1);
    if (part !== undefined)
      throw new ConfigError(`LoraConfig: modulesToSave names a part of ${part.names.join(', ')}`, {
        remedy: 'name the module around it; an adapter can change the part (targetModules)',
      });
    const tensors = new Set(modules.flatMap(({ module }) => module.parameters()));
    return this.weights((_, tensor) => tensors.has(tensor)).map((kept) => ({
      ...kept,
      // A tied weight stays what it is in other modules.
      places: kept.places.filter(([owner]) =>
        modules.some(({ module }) => [...module.modules()].includes(owner)),
      ),
    }));
  }

  /** Biases that learn outside of the layers with adapters. */
  private biases({ bias }: LoraConfig, saved: readonly Omit<Kept, 'own'>[]): Omit<Kept, 'own'>[] {
    if (bias !== 'all') return [];
    const taken = new Set(saved.map(({ original }) => original));
    const own = new Set([...this.layers.keys()].map((layer) => layer.bias));
    return this.weights((path, tensor) => /(^|\.)bias$/.test(path) && !taken.has(tensor) && !own.has(tensor));
  }

  /** The model's weights, without those of adapters, and where they are. */
  private weights(wanted: (path: string, tensor: Tensor) => boolean): Omit<Kept, 'own'>[] {
    const found = new Map<Tensor, { path: string; places: [Module, string][] }>();
    for (const { path, tensor, owner, key } of this.model.ownWeights()) {
      if (!wanted(path, tensor)) continue;
      const known = found.get(tensor);
      if (known === undefined) found.set(tensor, { path, places: [[owner, key]] });
      else known.places.push([owner, key]);
    }
    return [...found].map(([original, kept]) => ({ original, ...kept }));
  }

  private keep(kept: Omit<Kept, 'own'>): Kept {
    const { device, shape, parts } = kept.original;
    const own = parameter(device, shape, parts);
    copyValues(own, kept.original);
    return { ...kept, own };
  }

  /** Frozen matrices that products read: of linear layers and the word embeddings. */
  private baseMatrices(): Omit<Kept, 'own'>[] {
    const plain = [...this.model.modules()].filter(
      (module) => module.constructor === Linear || module instanceof LoraLinear,
    );
    const matrices = new Set(
      [...(plain as Linear[]), this.model.base.wordEmbeddings].map((one) => one.weight),
    );
    const copied = [...this.byName.values()].flatMap(({ kept }) => kept);
    for (const { original, own } of copied) for (const tensor of [original, own]) matrices.delete(tensor);
    return this.weights((_, tensor) => matrices.has(tensor));
  }

  /**
   * Stores the frozen matrices of linear layers and the word embeddings as another type: float16 takes half of the
   * memory. Biases, norms, small tables and what learns stay float32. Throws `DtypeError` if the adapter of the
   * device has no float16.
   */
  castBase(dtype: FloatDtype): void {
    const { device } = this.model;
    if (dtype === 'float16') device.requireFloat16();
    for (const { original, places } of this.baseMatrices()) {
      if (original.dtype === dtype) continue;
      const made = Object.assign(device.raw(original.shape, dtype), { parts: original.parts });
      copyValues(made, original);
      place(places, made);
      original.dispose();
      // Otherwise the pool would keep what this is to save.
      device.trim();
    }
    for (const layer of this.layers.keys()) Reflect.set(layer.plain[0], 'weight', layer.weight);
  }

  /** The type of the frozen matrices. */
  get baseDtype(): FloatDtype {
    return this.baseMatrices().some(({ original }) => original.dtype === 'float16') ? 'float16' : 'float32';
  }

  /** Has one adapter act, and learn; null: none. Throws `ConfigError` for one that is not there. */
  choose(name: string | null): void {
    if (name !== null) this.adapter(name);
    if (this.chosen !== null) {
      this.collect(this.chosen, false);
      for (const { places, original } of this.adapter(this.chosen).kept) place(places, original);
    }
    this.chosen = name;
    for (const layer of this.layers.keys()) layer.active = name;
    if (name === null) return;
    const { kept, trainable } = this.adapter(name);
    for (const { places, own } of kept) place(places, own);
    this.collect(name, trainable);
  }

  /** Has the adapter that acts learn, if it was read from files. */
  train(): void {
    if (this.chosen === null) return;
    this.adapter(this.chosen).trainable = true;
    this.collect(this.chosen, true);
  }

  /** Whether an adapter's weights collect gradients. */
  private collect(name: string, value: boolean): void {
    for (const tensor of this.tensors(name)) tensor.requiresGrad = value;
  }

  private tensors(name: string): Tensor[] {
    const { changed, kept } = this.adapter(name);
    const own = changed.flatMap(({ layer }) => adapterOf(layer, name).parameters());
    return [...own, ...kept.map((one) => one.own)];
  }

  /** An adapter's weights as PEFT's files name them. */
  fileWeights(name: string): Map<string, FileWeight> {
    const { changed, kept } = this.adapter(name);
    const weights: [string, FileWeight][] = changed.flatMap(({ layer, names }) => {
      const { parts, biases } = adapterOf(layer, name);
      const targets = new Set(parts.map(({ part }) => part));
      return [
        ...parts.flatMap(({ part, lora_A, lora_B }) => [
          whole(`${names[part]}.lora_A.weight`, lora_A),
          whole(`${names[part]}.lora_B.weight`, lora_B),
        ]),
        ...biases.map(({ part, bias }) =>
          whole(`${names[part]}${targets.has(part) ? '.base_layer' : ''}.bias`, bias),
        ),
      ];
    });
    const { names: rules } = this.model.base.traits;
    const copies = fileWeights(new Map(kept.map(({ path, own }) => [path, own])), rules);
    return new Map([...weights, ...copies].map(([key, weight]) => [PREFIX + key, weight]));
  }

  /** Names of adapters' weights, as PEFT has them in a model. */
  parameterNames(): Map<Tensor, string> {
    const named = this.names.flatMap((name) =>
      [...this.fileWeights(name)].map(([key, { tensor }]): [Tensor, string] => [
        tensor,
        key.slice(PREFIX.length).replace(/\.(lora_[AB])\.weight$/, `.$1.${name}.weight`),
      ]),
    );
    return new Map(named);
  }

  /** Fills an adapter from PEFT's file. Throws `CheckpointError` for a weight that is missing or does not fit. */
  async load(name: string, file: SafetensorsFile, source: string): Promise<void> {
    const weights = this.fileWeights(name);
    const wrong = (what: string): CheckpointError =>
      new CheckpointError(`${source}: ${what}`, {
        remedy: 'is it the model, and the adapter_config.json, that the adapter was trained with?',
      });
    const stray = [...file.tensors.keys()].find((key) => !weights.has(key) && !isCopy(key));
    if (stray !== undefined) throw wrong(`the model has no place for '${stray}'`);
    for (const [key, { tensor, shape, offset }] of weights) {
      if (!file.tensors.has(key)) throw wrong(`'${key}' is missing`);
      const saved = file.entry(key).shape;
      if (!sameShape(saved, shape))
        throw wrong(`'${key}' is ${formatShape(saved)}, the model's is ${formatShape(shape)}`);
      for await (const { elementOffset, values } of file.float32Chunks(key))
        tensor.write(values, offset + elementOffset);
    }
  }

  /** Removes an adapter. Throws `ConfigError` for one that is not there. */
  remove(name: string): void {
    const { changed, kept } = this.adapter(name);
    if (this.chosen === name) this.choose(null);
    for (const { layer } of changed) {
      const gone = adapterOf(layer, name);
      layer.adapters = layer.adapters.filter((one) => one !== gone);
      gone.dispose();
    }
    for (const { own } of kept) own.dispose();
    this.byName.delete(name);
  }

  /** Adds the chosen adapter to the weights, and makes of the model what it was before, without adapters. */
  unload({ merge }: { merge: boolean }): void {
    const { chosen } = this;
    if (merge && chosen === null)
      throw new ConfigError('no adapter acts', { remedy: 'choose one: setAdapter(name)' });
    if (merge && this.baseDtype === 'float16')
      throw new ConfigError('the base is float16, which would round the merged weights', {
        remedy: 'save the adapter, load it with a float32 base (no baseDtype), and merge there',
      });
    if (merge) {
      const { changed, kept } = this.adapter(chosen!);
      for (const { layer } of changed) layer.merge(adapterOf(layer, chosen!));
      this.choose(null);
      for (const { original, own } of kept) original.device.assign(original, own);
    }
    for (const name of this.names) this.remove(name);
    for (const [layer, site] of this.layers) {
      const [plain] = layer.plain;
      plain.training = layer.training;
      replaceModule(site, plain);
    }
    this.layers.clear();
  }

  /** Frees the weights that are in no module now. */
  dispose(): void {
    for (const { kept } of this.byName.values())
      for (const { own, original } of kept) for (const tensor of [own, original]) tensor.dispose();
  }
}

const adapterOf = (layer: LoraLinear, name: string): LoraAdapter =>
  layer.adapters.find(({ adapterName }) => adapterName === name)!;

const whole = (key: string, tensor: Tensor): [string, FileWeight] => [
  key,
  { path: key, tensor, shape: tensor.shape, offset: 0 },
];

/** With biases, PEFT also writes those of a saved module that it keeps as they were. */
const isCopy = (key: string): boolean =>
  key.includes('.original_module.') || key.includes('.modules_to_save.');

/** Copies values, of another type too. */
function copyValues(target: Tensor, source: Tensor): void {
  if (target.dtype === source.dtype) target.device.assign(target, source);
  else cast(target.device.gpu, { x: source.slot, y: target.slot, count: source.size });
}

function place(places: Kept['places'], tensor: Tensor): void {
  for (const [owner, key] of places) Reflect.set(owner, key, tensor);
}
