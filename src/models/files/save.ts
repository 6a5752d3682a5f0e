/** Saving a model as transformers does. */
import { platform } from '#platform';
import { checkChoice, checkOptions } from '../../options.ts';
import type { ExistingFolder, FolderWriter } from '../../platform/contract.ts';
import { sizeOf } from '../../tensor/shape.ts';
import { writeConfig } from '../common/config.ts';
import type { PreTrainedModel } from '../common/pretrained.ts';
import { writeAdapters } from '../peft/files.ts';
import { CONFIG_NAME, WEIGHTS_NAME } from './checkpoint-files.ts';
import { type TensorToWrite, writeSafetensors } from './safetensors-writer.ts';
import { type FileWeight, storedWeights } from './weight-names.ts';

export interface SaveOptions {
  /** F16 halves the file; weights past 65,504 become infinite in it. */
  dtype?: 'F32' | 'F16';
  /** What to do if the folder exists; `merge` replaces the files written and keeps the rest. */
  existing?: ExistingFolder;
}

/** The part of `whole` that a file holds; `whole` is a weight, or has a number for each of its elements. */
export function partToWrite(
  name: string,
  whole: { float32Data(): Promise<Float32Array> },
  { shape, offset }: Pick<FileWeight, 'shape' | 'offset'>,
  dtype: TensorToWrite['dtype'] = 'F32',
): TensorToWrite {
  const read = async () => (await whole.float32Data()).subarray(offset, offset + sizeOf(shape));
  return { name, shape, dtype, read };
}

/** Writes config.json and model.safetensors, or a model's adapters, into a folder under construction. */
export async function writeModel(
  folder: FolderWriter,
  model: PreTrainedModel,
  { dtype = 'F32' }: SaveOptions = {},
): Promise<void> {
  for (const [name, text] of Object.entries(model.extraFiles())) await folder.writeText(name, text);
  if (model.adapters !== null) return writeAdapters(folder, model, model.adapters, dtype);
  const name = dtype === 'F16' ? 'float16' : 'float32';
  await folder.writeText(
    CONFIG_NAME,
    writeConfig(model.base.traits.config, model.config, model.architecture, name),
  );
  const tensors = storedWeights(model.fileWeights()).map((weight) =>
    partToWrite(weight.name, weight.tensor, weight, dtype),
  );
  await folder.writeFile(WEIGHTS_NAME, (sink) => writeSafetensors(sink, tensors));
}

/** Saves config.json and model.safetensors so that the folder's files appear whole or not at all. */
export async function saveModel(
  model: PreTrainedModel,
  path: string,
  options: SaveOptions = {},
): Promise<void> {
  checkOptions<SaveOptions>('savePretrained', options, { dtype: true, existing: true });
  checkChoice('savePretrained: dtype', options.dtype, ['F32', 'F16']);
  checkChoice('savePretrained: existing', options.existing, ['refuse', 'replace', 'merge']);
  await platform.writeFolder(path, options.existing ?? 'merge', (folder) =>
    writeModel(folder, model, options),
  );
}
