/** `PreTrainedModel`: weights by name, drawn, saved and grouped, for every model. */
import { ConfigError, DawngradError } from '../../errors.ts';
import { drawParts, Embedding, LayerNorm, Linear, parameter } from '../../nn/layers.ts';
import { LoraPart, PartBias } from '../../nn/lora.ts';
import { Module, type WeightPlace } from '../../nn/module.ts';
import type { Device } from '../../tensor/device.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type Pushed, type PushOptions, pushWritten } from '../files/push.ts';
import { type SaveOptions, saveModel, writeModel } from '../files/save.ts';
import { type FileWeight, fileWeights, moduleName } from '../files/weight-names.ts';
import type { ModelAdapters } from '../peft/adapters.ts';
import type { BaseModel } from './base-model.ts';
import type { PretrainedConfig } from './config.ts';
import { LayerStack } from './encoder.ts';
import type { ModelInputs } from './inputs.ts';

export abstract class PreTrainedModel extends Module {
  /** The folder or hub id that the model was loaded from; null for one made of a config. */
  nameOrPath: string | null = null;
  private peft: ModelAdapters | null = null;

  constructor(
    readonly config: PretrainedConfig,
    readonly device: Device,
  ) {
    super();
  }

  /** The model under the head; a base model is its own. */
  abstract get base(): BaseModel;

  /** @internal The adapters that learn in the model's place; null without. */
  get adapters(): ModelAdapters | null {
    return this.peft;
  }

  set adapters(value: ModelAdapters | null) {
    this.peft = value;
  }

  /** The layer with a row for each class; null in models without classes. */
  get classLayer(): Linear | null {
    return null;
  }

  /** The class's name as transformers has it, written to config.json's `architectures`. */
  get architecture(): string {
    return this.constructor.name;
  }

  /** The prefix of the base model's keys in the checkpoint of a model with a head. */
  get baseModelPrefix(): string {
    return this.base.traits.prefix;
  }

  /** Weights by their names in files, each tensor once. */
  override namedParameters(prefix = ''): [string, Tensor][] {
    const name = this.namer();
    return super.namedParameters().map(([path, tensor]) => [prefix + name(path, tensor), tensor]);
  }

  /** Weights by every name that files have for them. */
  override stateDict(): Map<string, Tensor> {
    const name = this.namer();
    return new Map([...super.stateDict()].map(([path, tensor]) => [name(path, tensor), tensor]));
  }

  /** Gives a weight's name in files. */
  private namer(): (path: string, tensor: Tensor) => string {
    const { names } = this.base.traits;
    const own = this.adapters?.parameterNames();
    return (path, tensor) => own?.get(tensor) ?? moduleName(path, names);
  }

  /** @internal The model's own weights in all their places, without those of adapters. */
  ownWeights(): WeightPlace[] {
    return [...this.weightPlaces()].filter(
      ({ owner }) => !(owner instanceof LoraPart || owner instanceof PartBias),
    );
  }

  /** @internal The weights as files hold them, tied ones under every name, without those of adapters. */
  fileWeights(): Map<string, FileWeight> {
    const weights = new Map(this.ownWeights().map(({ path, tensor }) => [path, tensor]));
    return fileWeights(weights, this.base.traits.names);
  }

  /** @internal What `savePretrained` saves: the weights, or those of the adapter that acts. */
  savedWeights(): Map<string, FileWeight> {
    const { adapters } = this;
    const active = adapters?.active ?? null;
    return adapters === null || active === null ? this.fileWeights() : adapters.fileWeights(active);
  }

  override dispose(): void {
    super.dispose();
    this.peft?.dispose();
  }

  /** Optional outputs of `forward`: as its inputs say, else as the config says. */
  protected outputsOf({ outputHiddenStates, outputAttentions }: ModelInputs) {
    return {
      outputHiddenStates: outputHiddenStates ?? this.config.outputHiddenStates,
      outputAttentions: outputAttentions ?? this.config.outputAttentions,
    };
  }

  /**
   * Draws weights as transformers does: normal with deviation `initializer_range` for matrices, zero for
   * biases and the padding row, one and zero for LayerNorm. Only those in `which`, if given. Throws
   * `DawngradError` for a weight without a rule.
   */
  initWeights(which?: ReadonlySet<Tensor>): void {
    const std = this.config.initializerRange;
    const parameters = this.namedParameters();
    const names = new Map(parameters.map(([name, tensor]) => [tensor, name]));
    const left = new Set(
      parameters.map(([, tensor]) => tensor).filter((tensor) => which?.has(tensor) ?? true),
    );
    for (const module of this.modules()) {
      if (module instanceof Linear || module instanceof Embedding) {
        // Tied weights are drawn by the first that has them.
        if (!left.delete(module.weight)) continue;
        const how = this.base.drawing?.(names.get(module.weight)!) ?? { std };
        drawParts([module.weight], (drawn) => this.device.fillNormal(drawn, how));
        if (module instanceof Embedding) module.zeroPadding();
      } else if (module instanceof LayerNorm && left.delete(module.weight)) {
        this.device.fill(module.weight, 1);
      }
    }
    for (const [name, tensor] of parameters) {
      if (/(^|\.)bias$/.test(name) && left.delete(tensor)) this.device.fill(tensor, 0);
      // Undrawn memory would keep the values of an older tensor.
      if (left.has(tensor)) throw new DawngradError(`nothing says how to draw the weight '${name}'`);
    }
    this.base.initOwnWeights?.(which);
  }

  /**
   * Has layers in training keep no activations, and compute each one's again when backward reaches it, with the
   * same dropout: less memory, the same numbers, about a third more time. Throws `ConfigError` for a model
   * without such layers.
   */
  gradientCheckpointingEnable(): void {
    this.setCheckpointing(true);
  }

  gradientCheckpointingDisable(): void {
    this.setCheckpointing(false);
  }

  get isGradientCheckpointing(): boolean {
    return this.layerStacks().some(({ gradientCheckpointing }) => gradientCheckpointing);
  }

  private layerStacks(): LayerStack[] {
    return [...this.modules()].filter((module) => module instanceof LayerStack);
  }

  private setCheckpointing(value: boolean): void {
    const stacks = this.layerStacks();
    if (stacks.length === 0)
      throw new ConfigError(`${this.architecture} has no layers for gradient checkpointing`, {
        remedy: 'train without it',
      });
    for (const stack of stacks) stack.gradientCheckpointing = value;
  }

  /** @internal Texts of further files in a saved folder, by name. */
  extraFiles(): Readonly<Record<string, string>> {
    return {};
  }

  /** @internal Gives a tied weight, by its name in files, memory of its own for a checkpoint to fill. */
  untie(name: string): void {
    const { path, tensor } = this.fileWeights().get(name)!;
    this.replaceParameter(path, parameter(this.device, tensor.shape));
  }

  /**
   * Saves config.json and model.safetensors, or the adapters of a model that has some; Python's `from_pretrained`
   * reads the folder. Files appear whole or not at all.
   */
  async savePretrained(folder: string, options: SaveOptions = {}): Promise<void> {
    await saveModel(this, folder, options);
  }

  /**
   * Pushes config.json and model.safetensors to the hub, as one commit; a repository that is not there is
   * made. Without an owner in `id`, the token's account is it. Throws `ConfigError` for a name that the hub
   * does not take, without a token (`token`, else HF_TOKEN, else a log-in's) or for one that may not write
   * there, and `FileError` if the push fails.
   */
  async pushToHub(id: string, options: PushOptions = {}): Promise<Pushed> {
    return pushWritten(id, this.architecture, (folder) => writeModel(folder, this), options);
  }

  /**
   * Parts from the top down: heads and pooler, the last layer to the first, embeddings. The order in which
   * fine-tuning thaws them.
   */
  layerGroups(): Module[][] {
    const { base } = this;
    const [top, ...rest] = base.groups();
    const heads = this.namedChildren().map(([, child]) => child);
    const above = (base as PreTrainedModel) === this ? [] : heads.filter((child) => child !== base);
    return [[...above, ...top!], ...rest];
  }
}
