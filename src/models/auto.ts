/** `AutoModel…`: the class that a config's `model_type` names, with each task's head. */
import { ConfigError } from '../errors.ts';
import { checkOptions, type OptionNames } from '../options.ts';
import type { Device } from '../tensor/device.ts';
import { BertModel, type EncoderModel, RobertaModel } from './base.ts';
import { type ConfigOverrides, type ModelType, makeConfig, type PretrainedConfig } from './config.ts';
import { type HubOptions, hubOptionNames } from './hub.ts';
import { deviceOf, type LoadOptions, loadConfig, loadPretrained } from './load.ts';
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
  async fromPretrained(idOrFolder: string, options: HubOptions = {}): Promise<PretrainedConfig> {
    checkOptions('AutoConfig.fromPretrained', options, hubOptionNames);
    return loadConfig(idOrFolder, options);
  },
  forModel(modelType: ModelType, values: ConfigOverrides = {}): PretrainedConfig {
    return makeConfig(modelType, values);
  },
};

type Create<M> = (config: PretrainedConfig, device: Device, options: PoolerOption) => M;

/** Of `AutoModel` alone. */
export interface PoolerOption {
  /** False: without the layer over the first token, whatever the checkpoint has. Default true. */
  addPoolingLayer?: boolean;
}

export interface CreateOptions {
  /** Where the weights go; the best adapter there is where absent. */
  device?: Device;
}

/** One task's classes by model type. */
export interface AutoClass<M extends PreTrainedModel, More = object> {
  /**
   * Loads a folder that transformers or this engine saved, or downloads a hub id. The model comes in eval
   * mode, as in transformers. Throws `FileError`, `ConfigError` or `CheckpointError` naming the file, key or
   * option that is wrong.
   */
  fromPretrained(idOrFolder: string, options?: LoadOptions & More): Promise<M>;
  /**
   * A model with freshly drawn weights, in training mode. Throws `ConfigError` for an option there is not.
   */
  fromConfig(config: PretrainedConfig, options?: CreateOptions & More): Promise<M>;
}

const createOptionNames: OptionNames<CreateOptions> = { device: true };

function autoClass<M extends PreTrainedModel, More extends object = object>(
  classes: Record<ModelType, Create<M>>,
  more: OptionNames<More>,
  check?: (config: PretrainedConfig) => void,
): AutoClass<M, More> {
  const create =
    (options: PoolerOption) =>
    (config: PretrainedConfig, device: Device): M => {
      if (!Object.hasOwn(classes, config?.modelType))
        throw new ConfigError('what was given is no config', {
          remedy: 'use AutoConfig.fromPretrained or AutoConfig.forModel',
        });
      check?.(config);
      return classes[config.modelType](config, device, options);
    };
  return {
    fromPretrained: (idOrFolder, options: (LoadOptions & PoolerOption) | undefined = {}) =>
      loadPretrained(idOrFolder, create(options), options, more),
    fromConfig: async (config, options: (CreateOptions & PoolerOption) | undefined = {}) => {
      checkOptions('fromConfig', options, { ...createOptionNames, ...more });
      const model = create(options)(config, await deviceOf(options.device));
      model.initWeights();
      return model;
    },
  };
}

/** The bare encoder. */
export const AutoModel = autoClass<EncoderModel, PoolerOption>(
  {
    bert: (config, device, options) => new BertModel(config, { ...options, device }),
    roberta: (config, device, options) => new RobertaModel(config, { ...options, device }),
  },
  { addPoolingLayer: true },
);

function checkClasses({ numLabels }: PretrainedConfig): void {
  if (numLabels < 1)
    throw new ConfigError('id2label names no class', { remedy: 'pass numLabels or id2label' });
}

export const AutoModelForSequenceClassification = autoClass<
  BertForSequenceClassification | RobertaForSequenceClassification
>(
  {
    bert: (config, device) => new BertForSequenceClassification(config, device),
    roberta: (config, device) => new RobertaForSequenceClassification(config, device),
  },
  {},
  checkClasses,
);

export const AutoModelForTokenClassification = autoClass<
  BertForTokenClassification | RobertaForTokenClassification
>(
  {
    bert: (config, device) => new BertForTokenClassification(config, device),
    roberta: (config, device) => new RobertaForTokenClassification(config, device),
  },
  {},
  checkClasses,
);

export const AutoModelForQuestionAnswering = autoClass<
  BertForQuestionAnswering | RobertaForQuestionAnswering
>(
  {
    bert: (config, device) => new BertForQuestionAnswering(config, device),
    roberta: (config, device) => new RobertaForQuestionAnswering(config, device),
  },
  {},
  ({ numLabels }) => {
    if (numLabels !== 2)
      throw new ConfigError(`question answering has 2 outputs, start and end; numLabels is ${numLabels}`);
  },
);

export const AutoModelForMaskedLM = autoClass<BertForMaskedLM | RobertaForMaskedLM>(
  {
    bert: (config, device) => new BertForMaskedLM(config, device),
    roberta: (config, device) => new RobertaForMaskedLM(config, device),
  },
  {},
);
