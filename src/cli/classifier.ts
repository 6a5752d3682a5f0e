/** Loads a saved classifier with its tokenizer, for evaluate and predict. */
import { type LabelSet, labelsOfModel } from '../data/labels.ts';
import { ConfigError } from '../errors.ts';
import { AutoModelForSequenceClassification } from '../models/auto.ts';
import type { PreTrainedModel } from '../models/common/pretrained.ts';
import { resolveModel } from '../models/files/hub.ts';
import { type LoadReport, loadConfig } from '../models/files/load.ts';
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

/**
 * Loads the model of a folder or hub id and prints which of its weights are unused. Throws `ConfigError` if
 * it has no trained classifier.
 */
export async function loadClassifier(idOrFolder: string, options: CommonOptions): Promise<Classifier> {
  const folder = await resolveModel(idOrFolder, { onProgress: downloadProgress() });
  const config = await loadConfig(folder);
  const labels = labelsOfModel(config);
  const tokenizer = await AutoTokenizer.fromPretrained(folder);
  const device = await openDevice(options);
  const reports: LoadReport[] = [];
  const model = await AutoModelForSequenceClassification.fromPretrained(folder, {
    device,
    onReport: (report) => void reports.push(report),
  });
  for (const report of reports) checkReport(folder, model, report);
  const maxLength = Math.min(model.base.maxLength, tokenizer.modelMaxLength);
  return { device, model: model as TrainableModel, tokenizer, labels, maxLength };
}

/** Refuses a model with weights that its folder lacks; prints what else there is to say. */
function checkReport(folder: string, model: PreTrainedModel, { missing, text }: LoadReport): void {
  const weights = model.stateDict();
  const top = new Set(model.layerGroups()[0]!.flatMap((part) => part.parameters()));
  const head = missing.find((name) => top.has(weights.get(name)!));
  if (head !== undefined)
    throw new ConfigError(`'${folder}' holds no trained classifier: ${head} is missing`, {
      remedy: 'fine-tune it first',
    });
  if (missing.length > 0)
    throw new ConfigError(
      `'${folder}' lacks ${missing.length} weights that its config.json asks for: ${missing[0]}`,
      { remedy: 'check the config: has the model as many layers?' },
    );
  if (text !== '') console.error(text);
}
