/** Loads a trained model with its tokenizer and its task, for evaluate and predict. */
import { ConfigError } from '../errors.ts';
import type { PreTrainedModel } from '../models/common/pretrained.ts';
import { resolveModel } from '../models/files/hub.ts';
import { type LoadReport, loadConfig } from '../models/files/load.ts';
import { isFewShotFolder, SENTENCE_FILES } from '../sentence/folder.ts';
import { SetFitModel } from '../sentence/setfit.ts';
import { taskNamed, taskOfFolder } from '../tasks/registry.ts';
import type { Bound, Task } from '../tasks/task.ts';
import type { Device } from '../tensor/device.ts';
import { AutoTokenizer } from '../text/auto.ts';
import type { PreTrainedTokenizer } from '../text/tokenizer.ts';
import type { TrainableModel } from '../train/predict.ts';
import { type CommonOptions, openDevice } from './options.ts';
import { downloadProgress } from './progress.ts';
import { encodingOptions, type TaskOptions } from './task-options.ts';

export interface Trained {
  device: Device;
  model: TrainableModel;
  tokenizer: PreTrainedTokenizer;
  task: Task;
  bound: Bound<unknown>;
}

/** The task of a model's folder, as asked for or as its config says, before anything else is loaded. */
export async function taskOf(
  idOrFolder: string,
  asked: string | undefined,
): Promise<{ folder: string; task: Task }> {
  const folder = await resolveModel(idOrFolder, { onProgress: downloadProgress() }, 'all', SENTENCE_FILES);
  const config = await loadConfig(folder);
  return { folder, task: asked === undefined ? await taskOfFolder(folder, config) : taskNamed(asked) };
}

/**
 * Loads a model for a task and prints which of its weights are unused. Throws `ConfigError` if it has no
 * trained head for the task.
 */
export async function loadTrained(
  { folder, task }: { folder: string; task: Task },
  options: CommonOptions & TaskOptions,
): Promise<Trained> {
  const tokenizer = await AutoTokenizer.fromPretrained(folder);
  // Refuses what the config cannot serve before the device opens.
  task.ofModel(await loadConfig(folder), []);
  const device = await openDevice(options);
  const reports: LoadReport[] = [];
  const fewShot = task.name === 'text-classification' && (await isFewShotFolder(folder));
  const model = await (fewShot ? SetFitModel : task.auto).fromPretrained(folder, {
    device,
    onReport: (report) => void reports.push(report),
  });
  for (const report of reports) checkReport(folder, task, model, report);
  const encoding = encodingOptions(options, task, { tokenizer, model });
  const bound = task.bind(tokenizer, model.config, encoding, model);
  return { device, model: model as TrainableModel, tokenizer, task, bound };
}

/** Refuses a model with weights that its folder lacks; prints what else there is to say. */
function checkReport(
  folder: string,
  task: Task,
  model: PreTrainedModel,
  { missing, text }: LoadReport,
): void {
  const weights = model.stateDict();
  const top = new Set(model.layerGroups()[0]!.flatMap((part) => part.parameters()));
  const head = missing.find((name) => top.has(weights.get(name)!));
  const what = task.name === 'text-classification' ? 'classifier' : `head for ${task.name}`;
  if (head !== undefined)
    throw new ConfigError(`'${folder}' holds no trained ${what}: ${head} is missing`, {
      remedy: 'fine-tune it first',
    });
  if (missing.length > 0)
    throw new ConfigError(
      `'${folder}' lacks ${missing.length} weights that its config.json asks for: ${missing[0]}`,
      { remedy: 'check the config: has the model as many layers?' },
    );
  if (text !== '') console.error(text);
}
