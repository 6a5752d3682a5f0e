/** `AutoTokenizer`: a tokenizer from whatever files a model's folder has. */
import { platform } from '#platform';
import { FileError, TokenizerError } from '../errors.ts';
import { type HubOptions, resolveModel, TOKENIZER_FILES } from '../models/hub.ts';
import { PreTrainedTokenizer, type TokenizerFiles } from './tokenizer.ts';
import {
  type AddedTokenJson,
  addedToken,
  bertTokenizerJson,
  checkTokenizerClass,
  robertaTokenizerJson,
  type TokenizerConfig,
  type TokenizerJson,
  withAddedTokens,
  withCasing,
} from './tokenizer-json.ts';

type FileName = (typeof TOKENIZER_FILES)[number];

function parseJson(text: string, path: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new TokenizerError(`${path}: not JSON`, {
      remedy: 'the file may be damaged: download or save it again',
      cause,
    });
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new TokenizerError(`${path}: not a JSON object`);
  return json as Record<string, unknown>;
}

/** Tokens added to a vocabulary after it was made: added_tokens.json (token to id), or tokenizer_config.json's `added_tokens_decoder`. */
function readAddedTokens(text: string | undefined, config: TokenizerConfig, path: string): AddedTokenJson[] {
  const byContent = text === undefined ? {} : parseJson(text, path);
  const plain = Object.entries(byContent).map(([content, id]) => addedToken(Number(id), { content }));
  const decoder = (config.added_tokens_decoder ?? {}) as Record<string, Partial<AddedTokenJson>>;
  return [...plain, ...Object.entries(decoder).map(([id, token]) => addedToken(Number(id), token))];
}

/** Reads tokenizer.json, or makes it from a vocabulary. */
function readTokenizerJson(
  files: Partial<Record<FileName, string>>,
  config: TokenizerConfig,
  folder: string,
): TokenizerJson {
  const path = (name: FileName): string => platform.joinPath(folder, name);
  const { 'tokenizer.json': full, 'vocab.txt': words, 'vocab.json': bpe, 'merges.txt': merges } = files;
  if (full !== undefined) {
    const json = parseJson(full, path('tokenizer.json'));
    const model = json.model as TokenizerJson['model'] | undefined;
    if (typeof model !== 'object' || model === null || typeof model.vocab !== 'object') {
      throw new TokenizerError(`${path('tokenizer.json')}: 'model.vocab' is missing`);
    }
    const found: TokenizerJson = {
      truncation: null,
      padding: null,
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: null,
      ...json,
      model,
      added_tokens: (json.added_tokens ?? []) as TokenizerJson['added_tokens'],
    };
    return withCasing(found, config);
  }
  checkTokenizerClass(config, path('tokenizer_config.json'));
  const added = readAddedTokens(files['added_tokens.json'], config, path('added_tokens.json'));
  if (words !== undefined) return withAddedTokens(bertTokenizerJson(words, config, path('vocab.txt')), added);
  if (bpe !== undefined && merges !== undefined)
    return withAddedTokens(robertaTokenizerJson(bpe, merges, config, path('vocab.json')), added);
  const half = bpe !== undefined ? `, and ${path('vocab.json')} needs merges.txt beside it` : '';
  throw new TokenizerError(
    `'${folder}' has no tokenizer.json, no vocab.txt and no vocab.json with merges.txt${half}`,
    {
      remedy: 'copy the tokenizer files that came with the model into the folder',
    },
  );
}

export const AutoTokenizer = {
  /**
   * Reads a folder's tokenizer.json, or builds the tokenizer from vocab.txt (BERT) or vocab.json and merges.txt (RoBERTa); a hub id
   * is downloaded first. Throws `FileError` for a missing folder, `TokenizerError` naming the file that cannot be used.
   */
  async fromPretrained(idOrFolder: string, options: HubOptions = {}): Promise<PreTrainedTokenizer> {
    const folder = await resolveModel(idOrFolder, options, 'tokenizer');
    const files: Partial<Record<FileName, string>> = {};
    for (const name of TOKENIZER_FILES) {
      const path = platform.joinPath(folder, name);
      if (await platform.exists(path)) files[name] = await platform.readText(path);
    }
    if (Object.keys(files).length === 0) {
      throw new FileError(`'${folder}' has no tokenizer files`, {
        remedy: 'copy tokenizer.json or vocab.txt into the folder',
      });
    }
    const configText = files['tokenizer_config.json'];
    const optional = (name: FileName): TokenizerConfig =>
      files[name] === undefined ? {} : parseJson(files[name], platform.joinPath(folder, name));
    // The map of special tokens has the last word, as in Python.
    const config = { ...optional('tokenizer_config.json'), ...optional('special_tokens_map.json') };
    const json = readTokenizerJson(files, config, folder);
    const kept: TokenizerFiles = {
      ...(files as Record<string, string>),
      'tokenizer.json': files['tokenizer.json'] ?? `${JSON.stringify(json, null, 2)}\n`,
      'tokenizer_config.json': configText ?? `${JSON.stringify(defaultConfig(json), null, 2)}\n`,
    };
    return new PreTrainedTokenizer(json, config, kept, folder);
  },
};

/** What Python needs to know where no tokenizer_config.json came with the vocabulary. */
function defaultConfig(json: TokenizerJson): TokenizerConfig {
  return {
    tokenizer_class: json.model.type === 'BPE' ? 'RobertaTokenizer' : 'BertTokenizer',
    model_max_length: 512,
  };
}
