/** `dawngrad export`: a trained model as ONNX files, which transformers.js and ONNX Runtime run. */
import { type Command, InvalidArgumentError } from 'commander';
import { platform } from '#platform';
import { ConfigError, UsageError } from '../errors.ts';
import type { PreTrainedModel } from '../models/common/pretrained.ts';
import { knownFamily } from '../models/config.ts';
import { resolveModel } from '../models/files/hub.ts';
import { loadConfig, loadPretrained } from '../models/files/load.ts';
import { PeftModel } from '../models/peft/peft-model.ts';
import { exportOnnx, type OnnxDtype, onnxDtypes } from '../onnx/export.ts';
import { isFewShotFolder } from '../sentence/folder.ts';
import type { Device } from '../tensor/device.ts';
import { AutoTokenizer } from '../text/auto.ts';
import { addAdapterOption, type CommonOptions, checkOutput, openDevice } from './options.ts';
import { downloadProgress } from './progress.ts';

interface ExportOptions extends CommonOptions {
  output?: string;
  overwrite?: boolean;
  dtype?: OnnxDtype[];
}

function dtypesOf(text: string): OnnxDtype[] {
  const names = text.split(',').map((name) => name.trim()) as OnnxDtype[];
  if (names.every((name) => onnxDtypes.includes(name))) return names;
  throw new InvalidArgumentError(`It must be ${onnxDtypes.join(', ')}, or several with commas between.`);
}

export function addExport(program: Command): void {
  const command = program
    .command('export')
    .description('write a trained model as ONNX files, which transformers.js and ONNX Runtime run')
    .argument('<model>', 'folder or hub id of the model')
    .option('--onnx', 'as ONNX, the only format so far')
    .option('--output <folder>', "where the files go (default: the model's own folder)")
    .option('--overwrite', 'write into a folder that holds a model')
    .option(
      '--dtype <list>',
      `types of the weights, a file each (default: ${onnxDtypes.join(',')})`,
      dtypesOf,
    );
  addAdapterOption(command).action(exportModel);
}

async function exportModel(idOrFolder: string, options: ExportOptions): Promise<void> {
  const own = await platform.isFolder(idOrFolder);
  const output = options.output ?? (own ? idOrFolder : undefined);
  if (output === undefined)
    throw new UsageError(`'${idOrFolder}' is no folder`, {
      remedy: 'check the path; for a hub id, pass --output',
    });
  if (output !== idOrFolder) await checkOutput(output, options.overwrite === true);
  const folder = await resolveModel(idOrFolder, { onProgress: downloadProgress() });
  if (await isFewShotFolder(folder))
    throw new ConfigError(`'${folder}' is a few-shot classifier, whose pooling is not exported`, {
      remedy: 'fine-tune without --few-shot for ONNX files',
    });
  const tokenizer = await AutoTokenizer.fromPretrained(folder);
  const device = await openDevice(options);
  const loaded = await loadAsSaved(folder, device);
  const model = loaded.adapters === null ? loaded : new PeftModel(loaded).mergeAndUnload();
  const { dtype: dtypes } = options;
  await exportOnnx(model, output, { tokenizer, ...(dtypes && { dtypes }) });
  console.log(`${model.architecture} saved to ${platform.joinPath(output, 'onnx')}`);
  device.destroy();
}

/**
 * Loads a model as the class that its config names; a base model without its pooler. Throws `ConfigError` if
 * there is no such class or a weight is missing.
 */
export async function loadAsSaved(folder: string, device: Device): Promise<PreTrainedModel> {
  const { modelType, raw } = await loadConfig(folder);
  const { Model, tasks } = knownFamily(modelType);
  const [name = Model.name] = [raw.architectures].flat();
  const Task = Object.values(tasks).find((one) => one.name === name);
  if (Task === undefined && Model.name !== name)
    throw new ConfigError(`'${folder}' is a ${String(name)}, which is not supported`, {
      remedy: `save it as one of ${[Model, ...Object.values(tasks)].map((one) => one.name).join(', ')}`,
    });
  return loadPretrained<PreTrainedModel>(
    folder,
    (config, on) =>
      Task === undefined ? new Model(config, { device: on, addPoolingLayer: false }) : new Task(config, on),
    {
      device,
      onReport: ({ missing, text }) => {
        if (missing.length > 0)
          throw new ConfigError(`'${folder}' lacks weights of ${String(name)}: ${missing[0]}`, {
            remedy: 'fine-tune it first',
          });
        if (text !== '' && Task !== undefined) console.error(text);
      },
    },
  );
}
