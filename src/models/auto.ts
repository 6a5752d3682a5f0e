/** `AutoModel…`: the class that a config's `model_type` names, with each task's head. */
import { ConfigError } from '../errors.ts';
import { type Device, requestDevice } from '../tensor/device.ts';
import { BertModel, type EncoderModel, RobertaModel } from './base.ts';
import { type ConfigOverrides, type ModelType, makeConfig, type PretrainedConfig } from './config.ts';
import type { HubOptions } from './hub.ts';
import { type LoadOptions, loadConfig, loadPretrained } from './load.ts';
import type { PreTrainedModel } from './pretrained.ts';
import {
  BertForMaskedLM,
  BertForQuestionAnswering,
  BertForSequenceClassification,
  BertForTokenClassification,
  RobertaForMaskedLM,
  RobertaForQuestionAnswering,
  RobertaForSequenceClassification,
  RobertaForTokenClassification,
} from './tasks.ts';

/** Reads configs, or makes them from transformers' defaults. */
export const AutoConfig = {
  /** Throws `FileError` for a missing folder, `ConfigError` for a file that cannot be used. */
  fromPretrained(idOrFolder: string, options: HubOptions = {}): Promise<PretrainedConfig> {
    return loadConfig(idOrFolder, options);
  },
  forModel(modelType: ModelType, values: ConfigOverrides = {}): PretrainedConfig {
    return makeConfig(modelType, values);
  },
};

type Create<M> = (config: PretrainedConfig, device: Device) => M;

/** One task's classes by model type. */
export interface AutoClass<M extends PreTrainedModel> {
  /**
   * Loads a folder that transformers or this engine saved, or downloads a hub id. The model comes in eval mode, as in transformers.
   * Throws `FileError`, `ConfigError` or `CheckpointError` naming the file or key that is wrong.
   */
  fromPretrained(idOrFolder: string, options?: LoadOptions): Promise<M>;
  /** A model with freshly drawn weights, in training mode. */
  fromConfig(config: PretrainedConfig, options?: { device?: Device }): Promise<M>;
}

function autoClass<M extends PreTrainedModel>(
  classes: Record<ModelType, Create<M>>,
  check?: (config: PretrainedConfig) => void,
): AutoClass<M> {
  const create: Create<M> = (config, device) => {
    check?.(config);
    return classes[config.modelType](config, device);
  };
  return {
    fromPretrained: (idOrFolder, options) => loadPretrained(idOrFolder, create, options),
    fromConfig: async (config, options = {}) => {
      const model = create(config, options.device ?? (await requestDevice()));
      model.initWeights();
      return model;
    },
  };
}

/** The bare encoder. */
export const AutoModel = autoClass<EncoderModel>({
  bert: (config, device) => new BertModel(config, { device }),
  roberta: (config, device) => new RobertaModel(config, { device }),
});

export const AutoModelForSequenceClassification = autoClass<
  BertForSequenceClassification | RobertaForSequenceClassification
>({
  bert: (config, device) => new BertForSequenceClassification(config, device),
  roberta: (config, device) => new RobertaForSequenceClassification(config, device),
});

export const AutoModelForTokenClassification = autoClass<
  BertForTokenClassification | RobertaForTokenClassification
>({
  bert: (config, device) => new BertForTokenClassification(config, device),
  roberta: (config, device) => new RobertaForTokenClassification(config, device),
});

export const AutoModelForQuestionAnswering = autoClass<
  BertForQuestionAnswering | RobertaForQuestionAnswering
>(
  {
    bert: (config, device) => new BertForQuestionAnswering(config, device),
    roberta: (config, device) => new RobertaForQuestionAnswering(config, device),
  },
  ({ numLabels }) => {
    if (numLabels !== 2)
      throw new ConfigError(`question answering has 2 outputs, start and end; numLabels is ${numLabels}`);
  },
);

export const AutoModelForMaskedLM = autoClass<BertForMaskedLM | RobertaForMaskedLM>({
  bert: (config, device) => new BertForMaskedLM(config, device),
  roberta: (config, device) => new RobertaForMaskedLM(config, device),
});
