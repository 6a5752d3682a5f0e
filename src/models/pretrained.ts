/** `PreTrainedModel`: what every model can do besides computing. */
import { DawngradError } from '../errors.ts';
import { Embedding, LayerNorm, Linear, parameter } from '../nn/layers.ts';
import { Module } from '../nn/module.ts';
import type { Device } from '../tensor/device.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { EncoderModel } from './base.ts';
import type { PretrainedConfig } from './config.ts';
import type { ModelInputs } from './inputs.ts';
import { type SaveOptions, saveModel } from './load.ts';

export abstract class PreTrainedModel extends Module {
  readonly config: PretrainedConfig;
  readonly device: Device;

  constructor(config: PretrainedConfig, device: Device) {
    super();
    this.config = config;
    this.device = device;
  }

  /** The encoder under the head; the model itself where there is none. */
  abstract get base(): EncoderModel;

  /** The layer with a row for each class; null in models without classes. */
  get classLayer(): Linear | null {
    return null;
  }

  /** The class's name as transformers has it, written to config.json's `architectures`. */
  get architecture(): string {
    return this.constructor.name;
  }

  /** The prefix of the encoder's keys in a checkpoint of a model with a head: `bert` or `roberta`. */
  get baseModelPrefix(): string {
    return this.config.modelType;
  }

  /** What `forward` is to return besides: what its inputs say, else the config. */
  protected outputsOf(
    inputs: Pick<ModelInputs, 'outputHiddenStates' | 'outputAttentions'>,
  ): Pick<PretrainedConfig, 'outputHiddenStates' | 'outputAttentions'> {
    return {
      outputHiddenStates: inputs.outputHiddenStates ?? this.config.outputHiddenStates,
      outputAttentions: inputs.outputAttentions ?? this.config.outputAttentions,
    };
  }

  /**
   * Draws weights as transformers does: normal with deviation `initializer_range` for matrices, zero for
   * biases and the padding row, one and zero for LayerNorm. Only those in `which`, if given. Throws
   * `DawngradError` where a weight has no such rule.
   */
  initWeights(which?: ReadonlySet<Tensor>): void {
    const std = this.config.initializerRange;
    const parameters = this.namedParameters();
    const left = new Set(
      parameters.map(([, tensor]) => tensor).filter((tensor) => which?.has(tensor) ?? true),
    );
    for (const module of this.modules()) {
      if (module instanceof Linear || module instanceof Embedding) {
        // Tied weights are drawn by the first that has them.
        if (!left.delete(module.weight)) continue;
        this.device.fillNormal(module.weight, { std });
        if (module instanceof Embedding) module.zeroPadding();
      } else if (module instanceof LayerNorm && left.delete(module.weight)) {
        this.device.fill(module.weight, 1);
      }
    }
    for (const [name, tensor] of parameters) {
      if (/(^|\.)bias$/.test(name) && left.delete(tensor)) this.device.fill(tensor, 0);
      // Its memory would keep what an older tensor left there.
      if (left.has(tensor)) throw new DawngradError(`nothing says how to draw the weight '${name}'`);
    }
  }

  /** @internal Gives a tied weight memory of its own, for a checkpoint to fill. */
  untie(name: string): Tensor {
    const own = parameter(this.device, this.stateDict().get(name)!.shape);
    this.replaceParameter(name, own);
    return own;
  }

  /**
   * Saves config.json and model.safetensors; Python's `from_pretrained` reads the folder. Files appear whole
   * or not at all.
   */
  async savePretrained(folder: string, options: SaveOptions = {}): Promise<void> {
    await saveModel(this, folder, options);
  }

  /**
   * Parts from the top down: heads, pooler, the last layer to the first, embeddings. The order in which
   * fine-tuning thaws them.
   */
  layerGroups(): Module[][] {
    const { base } = this;
    const heads =
      (base as PreTrainedModel) === this
        ? []
        : this.namedChildren()
            .map(([, child]) => child)
            .filter((child) => child !== base);
    const top = base.pooler === null ? heads : [...heads, base.pooler];
    const layers = [...base.encoder.layer].reverse().map((layer) => [layer]);
    return [top, ...layers, [base.embeddings]];
  }
}
