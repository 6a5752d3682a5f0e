/** `PreTrainedModel`: what every model can do besides computing. */
import { Embedding, LayerNorm, Linear } from '../nn/layers.ts';
import { Module } from '../nn/module.ts';
import type { Device } from '../tensor/device.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { EncoderModel } from './base.ts';
import type { PretrainedConfig } from './config.ts';
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

  /**
   * Draws weights as transformers does: normal with deviation `initializer_range` for matrices, zero for biases and the padding
   * row, one and zero for LayerNorm. Only those in `which`, if given.
   */
  initWeights(which?: ReadonlySet<Tensor>): void {
    const std = this.config.initializerRange;
    const wanted = (tensor: Tensor | null): tensor is Tensor =>
      tensor !== null && (which === undefined || which.has(tensor));
    const drawn = new Set<Tensor>();
    for (const module of this.modules()) {
      if (module instanceof Linear || module instanceof Embedding) {
        if (!wanted(module.weight) || drawn.has(module.weight)) continue;
        this.device.fillNormal(module.weight, { std });
        drawn.add(module.weight);
        if (module instanceof Embedding) module.zeroPadding();
      } else if (module instanceof LayerNorm && wanted(module.weight)) {
        this.device.fill(module.weight, 1);
      }
    }
    for (const [name, tensor] of this.namedParameters()) {
      if (/(^|\.)bias$/.test(name) && wanted(tensor)) this.device.fill(tensor, 0);
    }
  }

  /** Saves config.json and model.safetensors; Python's `from_pretrained` reads the folder. Files appear whole or not at all. */
  async savePretrained(folder: string, options: SaveOptions = {}): Promise<void> {
    await saveModel(this, folder, options);
  }

  /** Parts from the top down: heads, pooler, the last layer to the first, embeddings. The order in which fine-tuning thaws them. */
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
