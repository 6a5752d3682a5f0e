/** A family of models: one object each, listed in `registry.ts`. */
import type { Device } from '../../tensor/device.ts';
import type { BaseModel, BaseOptions } from './base-model.ts';
import type { ConfigTable, PretrainedConfig } from './config.ts';
import type { PreTrainedModel } from './pretrained.ts';

/** A class of models with a head. */
interface TaskClass {
  new (config: PretrainedConfig, device: Device): PreTrainedModel;
  /** Path of the layer with a row for each class; null for tasks without classes. */
  readonly classLayer: string | null;
}

export interface Family {
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** What its classes' names begin with, in capitals and small letters. */
  readonly className: string;
  readonly config: ConfigTable;
  readonly Model: new (config: PretrainedConfig, options: BaseOptions) => BaseModel;
  readonly tasks: {
    readonly sequenceClassification: TaskClass;
    readonly tokenClassification: TaskClass;
    readonly questionAnswering: TaskClass;
    readonly maskedLm: TaskClass;
    readonly multipleChoice: TaskClass;
    /** If the family was trained for something else than masked language modelling. */
    readonly preTraining?: TaskClass;
  };
  /** Taken if neither tokenizer_config.json nor config.json names a tokenizer class. */
  readonly tokenizerDefaults: { readonly tokenizer_class: string };
}
