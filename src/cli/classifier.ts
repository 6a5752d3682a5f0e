/** A saved classifier with its tokenizer, as evaluate and predict use it. */
import { type LabelSet, labelsOfModel } from '../data/labels.ts';
import { ConfigError } from '../errors.ts';
import { AutoModelForSequenceClassification } from '../models/auto.ts';
import { resolveModel } from '../models/hub.ts';
import { loadConfig } from '../models/load.ts';
import type { Device } from '../tensor/device.ts';
import { AutoTokenizer } from '../text/auto.ts';
import type { PreTrainedTokenizer } from '../text/tokenizer.ts';
import type { TrainableModel } from '../train/predict.ts';
import { type CommonOptions, openDevice } from './options.ts';
import { downloadProgress } from './progress.ts';

export interface Classifier {
  device: Device;
  model: TrainableModel;
  tokenizer: PreTrainedTokenizer;
  labels: LabelSet;
  maxLength: number;
}

/** Throws `ConfigError` where the folder's model has no trained classifier. */
export async function loadClassifier(idOrFolder: string, options: CommonOptions): Promise<Classifier> {
  const folder = await resolveModel(idOrFolder, { onProgress: downloadProgress() });
  const config = await loadConfig(folder);
  const tokenizer = await AutoTokenizer.fromPretrained(folder);
  const device = await openDevice(options);
  const model = await AutoModelForSequenceClassification.fromPretrained(folder, {
    device,
    onReport: ({ missing }) => {
      if (missing.length === 0) return;
      throw new ConfigError(`'${folder}' holds no trained classifier: ${missing[0]} is missing`, {
        remedy: 'fine-tune it first',
      });
    },
  });
  const maxLength = Math.min(model.base.maxLength, tokenizer.modelMaxLength);
  return { device, model: model as TrainableModel, tokenizer, labels: labelsOfModel(config), maxLength };
}
