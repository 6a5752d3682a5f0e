/** `AutoModel…`: the class that a config's `model_type` names, with each task's head. */
import { ConfigError } from '../errors.ts';
import { checkOptions, type OptionNames } from '../options.ts';
import type { Device } from '../tensor/device.ts';
import type { PretrainedConfig } from './common/config.ts';
import type { Family } from './common/family.ts';
import type { PreTrainedModel } from './common/pretrained.ts';
import { type ConfigOverrides, knownFamily, makeConfig } from './config.ts';
import { type HubOptions, hubOptionNames } from './files/hub.ts';
import { deviceOf, type LoadOptions, loadConfig, loadPretrained } from './files/load.ts';
import type { BaseClasses, ClassesOf, ModelType } from './registry.ts';

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

/** Of `AutoModel` alone. */
export interface PoolerOption {
  /** False: without the layer over the first token, whatever the checkpoint has. Default true. */
  addPoolingLayer?: boolean;
}

export interface CreateOptions {
  /** Where the weights go; the best adapter if absent. */
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
   * A model with freshly drawn weights, in training mode. Throws `ConfigError` for an unknown option.
   */
  fromConfig(config: PretrainedConfig, options?: CreateOptions & More): Promise<M>;
}

function autoClass<M extends PreTrainedModel, More extends object = object>(
  make: (family: Family, config: PretrainedConfig, device: Device, options: PoolerOption) => PreTrainedModel,
  more: OptionNames<More>,
): AutoClass<M, More> {
  const create =
    (options: PoolerOption) =>
    (config: PretrainedConfig, device: Device): M =>
      make(knownFamily(config?.modelType), config, device, options) as M;
  return {
    fromPretrained: (idOrFolder, options: (LoadOptions & PoolerOption) | undefined = {}) =>
      loadPretrained(idOrFolder, create(options), options, more),
    fromConfig: async (config, options: (CreateOptions & PoolerOption) | undefined = {}) => {
      checkOptions('fromConfig', options, { device: true, ...more });
      const model = create(options)(config, await deviceOf(options.device));
      model.initWeights();
      return model;
    },
  };
}

/** The models of a task, one of each family. */
type ModelsOf<Task extends keyof Family['tasks']> =
  ClassesOf<Task> extends new (...args: never) => infer M ? Extract<M, PreTrainedModel> : never;

function autoTask<Task extends Exclude<keyof Family['tasks'], 'preTraining'>>(
  task: Task,
  check: (config: PretrainedConfig) => void = () => {},
): AutoClass<ModelsOf<Task>> {
  return autoClass<ModelsOf<Task>>(({ tasks }, config, device) => {
    check(config);
    return new tasks[task](config, device);
  }, {});
}

/** The base model, without a head. */
export const AutoModel = autoClass<InstanceType<BaseClasses>, PoolerOption>(
  ({ Model }, config, device, options) => new Model(config, { ...options, device }),
  { addPoolingLayer: true },
);

function checkClasses({ numLabels }: PretrainedConfig): void {
  if (numLabels < 1)
    throw new ConfigError('id2label names no class', { remedy: 'pass numLabels or id2label' });
}

export const AutoModelForSequenceClassification = autoTask('sequenceClassification', checkClasses);

export const AutoModelForTokenClassification = autoTask('tokenClassification', checkClasses);

export const AutoModelForQuestionAnswering = autoTask('questionAnswering', ({ numLabels }) => {
  if (numLabels !== 2)
    throw new ConfigError(`question answering has 2 outputs, start and end; numLabels is ${numLabels}`);
});

export const AutoModelForMaskedLM = autoTask('maskedLm');

export const AutoModelForMultipleChoice = autoTask('multipleChoice');

/** What the family was first trained for: masked language modelling, unless it has a class of its own. */
export const AutoModelForPreTraining = autoClass<ModelsOf<'preTraining'> | ModelsOf<'maskedLm'>>(
  ({ tasks }, config, device) => new (tasks.preTraining ?? tasks.maskedLm)(config, device),
  {},
);
