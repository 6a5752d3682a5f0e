/** `dawngrad merge`: an adapter and its base as one model. */
import type { Command } from 'commander';
import { platform } from '#platform';
import { UsageError } from '../errors.ts';
import { resolveModel } from '../models/files/hub.ts';
import { PeftModel } from '../models/peft/peft-model.ts';
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
  const folder = await resolveModel(idOrFolder, { onProgress: downloadProgress() });
  const tokenizer = await AutoTokenizer.fromPretrained(folder);
  const device = await openDevice(options);
  const model = await loadAsSaved(folder, device);
  if (model.adapters === null)
    throw new UsageError(`'${idOrFolder}' holds no adapter`, { remedy: 'name the folder that --lora wrote' });
  const merged = new PeftModel(model).mergeAndUnload();
  await merged.savePretrained(output, { existing: 'merge' });
  await platform.writeFolder(output, 'merge', (writer) => tokenizer.write(writer));
  console.log(`${merged.architecture} saved to ${output}`);
  device.destroy();
}
