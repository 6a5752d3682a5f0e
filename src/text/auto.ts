/** `AutoTokenizer`: loads a tokenizer from whichever files a model's folder has. */

import { platform } from '#platform';
import { FileError } from '../errors.ts';
import { CONFIG_NAME } from '../models/files/checkpoint-files.ts';
import { type HubOptions, hubOptionNames, resolveModel, TOKENIZER_FILES } from '../models/files/hub.ts';
import { adapterIn, baseFolder } from '../models/peft/files.ts';
import { type Advice, checkOptions } from '../options.ts';
import { namedJson } from './special-tokens.ts';
import { PreTrainedTokenizer } from './tokenizer.ts';
import { type LoadedTokenizer, loadTokenizer } from './tokenizer-json.ts';

/** Remedies for options that only Python has. */
const advice: Advice = {
  useFast: 'leave it out: there is one kind',
  modelMaxLength: 'pass maxLength to encode',
  truncationSide: 'set truncation_side in tokenizer_config.json',
  paddingSide: 'pass it to encodeBatch, or set padding_side in tokenizer_config.json',
};

export const AutoTokenizer: {
  fromPretrained(idOrFolder: string, options?: HubOptions): Promise<PreTrainedTokenizer>;
} = {
  /**
   * Reads a folder's tokenizer.json, or builds the tokenizer from vocab.txt (BERT) or vocab.json and
   * merges.txt (RoBERTa). Downloads a hub id first. Reads tokenizer_config.json, special_tokens_map.json and
   * added_tokens.json as transformers 5 does; if they do not name the tokenizer class, the model's
   * config.json decides. Throws `FileError` for a missing folder, and `TokenizerError` naming the file and
   * the key that cannot be used.
   */
  async fromPretrained(idOrFolder: string, options: HubOptions = {}): Promise<PreTrainedTokenizer> {
    checkOptions('AutoTokenizer.fromPretrained', options, hubOptionNames, advice);
    const folder = await resolveModel(idOrFolder, options, 'tokenizer');
    const path = (name: string): string => (name === '' ? folder : platform.joinPath(folder, name));
    const files = await readFiles(path);
    if (Object.keys(files).length === 0) {
      // An adapter's tokenizer may be its base's.
      const adapter = await adapterIn(folder);
      if (adapter !== null)
        return AutoTokenizer.fromPretrained(await baseFolder(folder, adapter, options), options);
      throw new FileError(`'${folder}' has no tokenizer files`, {
        remedy: 'copy tokenizer.json or vocab.txt into the folder',
      });
    }
    const config = (await platform.exists(path(CONFIG_NAME)))
      ? await platform.readText(path(CONFIG_NAME))
      : undefined;
    const loaded = loadTokenizer({ ...files, [CONFIG_NAME]: config }, path);
    return new PreTrainedTokenizer(loaded, {
      ...files,
      'tokenizer.json': files['tokenizer.json'] ?? `${JSON.stringify(loaded.json, null, 2)}\n`,
      'tokenizer_config.json':
        files['tokenizer_config.json'] ?? `${JSON.stringify(defaultConfig(loaded), null, 2)}\n`,
    });
  },
};

/** The texts of the tokenizer's files that are in a folder. */
async function readFiles(path: (name: string) => string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  const read = async (...names: readonly string[]): Promise<void> => {
    for (const name of names)
      if (await platform.exists(path(name))) files[name] = await platform.readText(path(name));
  };
  if (!platform.isRemote(path(''))) {
    await read(...TOKENIZER_FILES);
    return files;
  }
  // Only what matters: the others change no token.
  await read('tokenizer_config.json', 'tokenizer.json');
  const config = files['tokenizer_config.json'] ?? '';
  // Found in the text, because whether it can be read is another's business.
  if (!config.includes('"added_tokens_decoder"')) await read('special_tokens_map.json', 'added_tokens.json');
  if (files['tokenizer.json'] !== undefined) return files;
  if (!/"tokenizer_class"\s*:\s*"(Roberta|GPT2)/.test(config)) await read('vocab.txt');
  if (files['vocab.txt'] === undefined) await read('vocab.json', 'merges.txt');
  return files;
}

/** The config that Python needs if the vocabulary came without a tokenizer_config.json. */
function defaultConfig({ className, special }: LoadedTokenizer): Record<string, unknown> {
  return { tokenizer_class: className, ...namedJson(special.named) };
}
