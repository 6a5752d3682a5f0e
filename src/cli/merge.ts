/** `dawngrad merge`: an adapter and its base as one model. */
import type { Command } from 'commander';
import { platform } from '#platform';
import { UsageError } from '../errors.ts';
import type { PreTrainedModel } from '../models/common/pretrained.ts';
import { resolveModel } from '../models/files/hub.ts';
import { PeftModel } from '../models/peft/peft-model.ts';
import { isFewShotFolder, isSentenceFolder, SENTENCE_FILES } from '../sentence/folder.ts';
import { SentenceTransformer } from '../sentence/sentence-transformer.ts';
import { SetFitModel } from '../sentence/setfit.ts';
import type { Device } from '../tensor/device.ts';
import { AutoTokenizer } from '../text/auto.ts';
import { loadAsSaved } from './export.ts';
import { addAdapterOption, type CommonOptions, checkOutput, openDevice, required } from './options.ts';
import { downloadProgress } from './progress.ts';

interface MergeOptions extends CommonOptions {
  output?: string;
  overwrite?: boolean;
}

export function addMerge(program: Command): void {
  const command = program
    .command('merge')
    .description('write an adapter and its base as one model, a plain checkpoint')
    .argument('<adapter>', 'folder or hub id of the adapter')
    .option('--output <folder>', 'where the model goes')
    .option('--overwrite', 'replace a model in the output folder');
  addAdapterOption(command).action(merge);
}

async function merge(idOrFolder: string, options: MergeOptions): Promise<void> {
  const output = required(options.output, '--output');
  await checkOutput(output, options.overwrite === true);
  const folder = await resolveModel(idOrFolder, { onProgress: downloadProgress() }, 'all', SENTENCE_FILES);
  const tokenizer = await AutoTokenizer.fromPretrained(folder);
  const device = await openDevice(options);
  const model = await loadWhole(folder, device);
  if (model.adapters === null)
    throw new UsageError(`'${idOrFolder}' holds no adapter`, { remedy: 'name the folder that --lora wrote' });
  new PeftModel(model.adapters.model).mergeAndUnload();
  await model.savePretrained(output, { existing: 'merge' });
  await platform.writeFolder(output, 'merge', (writer) => tokenizer.write(writer));
  console.log(`${model.architecture} saved to ${output}`);
  device.destroy();
}

/** The model with all that its folder holds: pooling, or a few-shot classifier's head. */
async function loadWhole(folder: string, device: Device): Promise<PreTrainedModel> {
  if (!(await isSentenceFolder(folder))) return loadAsSaved(folder, device);
  return (await isFewShotFolder(folder))
    ? SetFitModel.fromPretrained(folder, { device })
    : SentenceTransformer.fromPretrained(folder, { device });
}
