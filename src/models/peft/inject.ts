/** Gives models adapters, fresh ones and those of folders. */
import { platform } from '#platform';
import type { PreTrainedModel } from '../common/pretrained.ts';
import { ModelAdapters } from './adapters.ts';
import { LoraConfig } from './config.ts';
import { openAdapter } from './files.ts';
import { ADAPTER_WEIGHTS_NAME, DEFAULT_ADAPTER } from './names.ts';

/** The adapters of a model, which is frozen from the first on. */
export function adaptersOf(model: PreTrainedModel): ModelAdapters {
  model.adapters ??= new ModelAdapters(model);
  return model.adapters;
}

/** @internal Gives a model the adapter of a folder. */
export async function addFrom(
  model: PreTrainedModel,
  folder: string,
  {
    adapterName = DEFAULT_ADAPTER,
    isTrainable = false,
  }: { adapterName?: string; isTrainable?: boolean } = {},
): Promise<void> {
  const config = await LoraConfig.fromPretrained(folder);
  const file = await openAdapter(folder);
  const adapters = adaptersOf(model);
  try {
    adapters.add(adapterName, config, isTrainable);
    await adapters
      .load(adapterName, file, platform.joinPath(folder, ADAPTER_WEIGHTS_NAME))
      .catch((error: unknown) => {
        adapters.remove(adapterName);
        throw error;
      });
  } finally {
    await file.close();
  }
}
