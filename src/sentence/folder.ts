/** The files of sentence-transformers' folders beside the transformer's own. */
import * as v from 'valibot';
import { platform } from '#platform';
import { ConfigError } from '../errors.ts';
import { WEIGHTS_NAME } from '../models/files/checkpoint-files.ts';
import { checkJson, parseJson, parseJsonObject } from '../models/files/json.ts';
import { type PoolingMode, poolingKeys, poolingModes } from './pooling.ts';
import { type SimilarityFunction, similarityFunctions } from './similarity.ts';

export const MODULES_NAME = 'modules.json';
const SETTINGS_NAME = 'config_sentence_transformers.json';
const TRANSFORMER_NAME = 'sentence_bert_config.json';
const POOLING_FOLDER = '1_Pooling';
const POOLING_NAME = `${POOLING_FOLDER}/config.json`;
const NORMALIZE_FOLDER = '2_Normalize';

/** setfit's file of classes, for folders without a config.json: those of adapters. */
const LABELS_NAME = 'config_setfit.json';

/** Files to download from the hub beside the transformer's. */
export const SENTENCE_FILES: readonly string[] = [
  MODULES_NAME,
  SETTINGS_NAME,
  TRANSFORMER_NAME,
  POOLING_NAME,
  LABELS_NAME,
  ...[2, 3].flatMap((at) => [`${at}_Dense/config.json`, `${at}_Dense/${WEIGHTS_NAME}`]),
];

/** What a sentence-transformers folder says beside its transformer. */
export interface SentenceSettings {
  poolingMode: readonly PoolingMode[];
  /** Whether the prompt's tokens are pooled too. */
  includePrompt: boolean;
  /** Whether vectors have unit length. */
  normalize: boolean;
  /** Most tokens of a text; null: as many as tokenizer and model take. */
  maxSeqLength: number | null;
  doLowerCase: boolean;
  prompts: Readonly<Record<string, string>>;
  defaultPromptName: string | null;
  similarityFnName: SimilarityFunction;
}

/** What a folder without modules.json gets: mean pooling, as in Python. */
export const defaultSettings: SentenceSettings = {
  poolingMode: ['mean'],
  includePrompt: true,
  normalize: false,
  maxSeqLength: null,
  doLowerCase: false,
  prompts: {},
  defaultPromptName: null,
  similarityFnName: 'cosine',
};

const modulesSchema = v.array(v.looseObject({ type: v.string(), path: v.string() }));
const flag = v.optional(v.nullable(v.boolean()));
const transformerSchema = v.looseObject({
  max_seq_length: v.optional(v.nullable(v.pipe(v.number(), v.integer(), v.minValue(1)))),
  do_lower_case: flag,
});
const settingsSchema = v.looseObject({
  prompts: v.optional(v.nullable(v.record(v.string(), v.nullable(v.string())))),
  default_prompt_name: v.optional(v.nullable(v.string())),
  similarity_fn_name: v.optional(v.nullable(v.picklist(similarityFunctions))),
});
const mode = v.picklist(poolingModes);
const poolingSchema = v.looseObject({
  pooling_mode: v.optional(v.union([mode, v.array(mode)])),
  include_prompt: flag,
  ...Object.fromEntries(Object.values(poolingKeys).map((key) => [key, flag])),
});

const labelsSchema = v.looseObject({ labels: v.nullish(v.array(v.string())) });

async function readObject(path: string): Promise<Record<string, unknown>> {
  if (!(await platform.exists(path))) return {};
  return parseJsonObject(await platform.readText(path), { source: path, error: ConfigError });
}

/** Modules that are built, in the only order they are built in. The last is the head of a few-shot classifier. */
const ORDER = ['Transformer', 'Pooling', 'Normalize', 'Dense'];

/** Whether a folder is one of sentence-transformers. */
export function isSentenceFolder(folder: string): Promise<boolean> {
  return platform.exists(platform.joinPath(folder, MODULES_NAME));
}

/** Whether a folder is that of a few-shot classifier: its vectors go to a layer with a row for each class. */
export async function isFewShotFolder(folder: string): Promise<boolean> {
  return (await isSentenceFolder(folder)) && (await readSettings(folder)).dense !== null;
}

/** What a folder of sentence-transformers says. */
export interface SentenceFolder {
  settings: SentenceSettings;
  /** Folder of the transformer. */
  transformer: string;
  /** Folder of a few-shot classifier's head; null without. */
  dense: string | null;
}

/**
 * Reads a folder's settings, and the folders of its modules. Throws `ConfigError` naming the file and the
 * key that is wrong, or a module that is not built.
 */
export async function readSettings(folder: string): Promise<SentenceFolder> {
  const place = (name: string): string => platform.joinPath(folder, name);
  const path = place(MODULES_NAME);
  if (!(await platform.exists(path))) return { settings: defaultSettings, transformer: folder, dense: null };
  const file = { source: path, error: ConfigError };
  const modules = checkJson(modulesSchema, parseJson(await platform.readText(path), file), file);
  const names = modules.map(({ type }) => type.split('.').at(-1)!);
  // Normalize may be left out.
  for (const [at, name] of names.entries())
    if (ORDER.indexOf(name) < at || (at < 2 && ORDER[at] !== name) || names.indexOf(name) < at)
      throw new ConfigError(`${path}: module ${at} is a ${name}, which is not supported there`, {
        remedy: `models of ${ORDER.join(', ')} are, in this order`,
      });
  if (modules.length < 2) throw new ConfigError(`${path}: there is no Pooling`, { remedy: 'add the module' });
  const [first, second] = modules as [(typeof modules)[number], (typeof modules)[number]];
  const transformer = first.path === '' ? folder : place(first.path);
  const pooling = await readPooling(place(`${second.path}/config.json`));
  const bert = platform.joinPath(transformer, TRANSFORMER_NAME);
  const { max_seq_length, do_lower_case } = checkJson(transformerSchema, await readObject(bert), {
    source: bert,
    error: ConfigError,
  });
  const source = place(SETTINGS_NAME);
  const more = checkJson(settingsSchema, await readObject(source), { source, error: ConfigError });
  const prompts = Object.entries(more.prompts ?? {}).map(([name, prompt]) => [name, prompt ?? '']);
  const settings = {
    ...pooling,
    normalize: names.includes('Normalize'),
    maxSeqLength: max_seq_length ?? null,
    doLowerCase: do_lower_case ?? false,
    prompts: Object.fromEntries(prompts) as Record<string, string>,
    defaultPromptName: more.default_prompt_name ?? null,
    similarityFnName: more.similarity_fn_name ?? 'cosine',
  };
  const last = names.indexOf('Dense');
  const dense = last < 0 ? null : place(modules[last]!.path);
  if (dense !== null) await checkDense(platform.joinPath(dense, 'config.json'));
  return { settings, transformer, dense };
}

/** Throws `ConfigError` for a Dense that is not the head of a classifier: its numbers are logits. */
async function checkDense(source: string): Promise<void> {
  const { activation_function: activation = 'torch.nn.modules.activation.Tanh', bias } =
    await readObject(source);
  if (/(^|\.)Identity$/.test(String(activation)) && bias !== false) return;
  const what = bias === false ? 'no bias' : `the activation ${String(activation)}`;
  throw new ConfigError(`${source}: a Dense with ${what} is not supported`, {
    remedy:
      'Dense is built only as the head of a few-shot classifier, with a bias and the activation Identity',
  });
}

async function readPooling(source: string): Promise<Pick<SentenceSettings, 'poolingMode' | 'includePrompt'>> {
  if (!(await platform.exists(source)))
    throw new ConfigError(`'${source}' does not exist`, { remedy: 'copy it from the model' });
  const json: Record<string, unknown> = checkJson(poolingSchema, await readObject(source), {
    source,
    error: ConfigError,
  });
  const strange = Object.keys(json).find(
    (key) =>
      /^pooling_mode_/.test(key) && json[key] === true && !Object.values<string>(poolingKeys).includes(key),
  );
  if (strange !== undefined)
    throw new ConfigError(`${source}: '${strange}' is not supported`, {
      remedy: `there are ${poolingModes.join(', ')}`,
    });
  const flagged = poolingModes.filter((name) => json[poolingKeys[name]] === true);
  const named = json.pooling_mode as PoolingMode | PoolingMode[] | undefined;
  const poolingMode = named === undefined ? flagged : [named].flat();
  return {
    poolingMode: poolingMode.length === 0 ? ['mean'] : poolingMode,
    includePrompt: json.include_prompt !== false,
  };
}

const pretty = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** modules.json. The head of a few-shot classifier comes last. */
function modulesFile({ normalize }: SentenceSettings, dense?: string): string {
  const modules = [
    ['', 'Transformer'],
    [POOLING_FOLDER, 'Pooling'],
    ...(normalize ? [[NORMALIZE_FOLDER, 'Normalize']] : []),
    ...(dense === undefined ? [] : [[dense, 'Dense']]),
  ];
  return pretty(
    modules.map(([path, name], idx) => ({
      idx,
      name: String(idx),
      path,
      type: `sentence_transformers.models.${name}`,
    })),
  );
}

/** The file of a few-shot classifier's classes. */
export const labelsFile = (labels: readonly string[]): Record<string, string> => ({
  [LABELS_NAME]: pretty({ labels }),
});

/** The classes that `labelsFile` names; null without. */
export async function readLabels(folder: string): Promise<readonly string[] | null> {
  const source = platform.joinPath(folder, LABELS_NAME);
  const { labels } = checkJson(labelsSchema, await readObject(source), { source, error: ConfigError });
  return labels ?? null;
}

/** The head's config, and modules.json with it. `shape`: [classes, width]. */
export function denseFiles(
  settings: SentenceSettings,
  [classes, width]: readonly number[],
): Record<string, string> {
  const folder = `${settings.normalize ? 3 : 2}_Dense`;
  const config = {
    in_features: width,
    out_features: classes,
    bias: true,
    activation_function: 'torch.nn.modules.linear.Identity',
  };
  return { [`${folder}/config.json`]: pretty(config), [MODULES_NAME]: modulesFile(settings, folder) };
}

/** The files of `settings`, by name, with keys that every version of sentence-transformers reads. */
export function settingsFiles(settings: SentenceSettings, width: number): Record<string, string> {
  const { poolingMode, includePrompt, normalize, maxSeqLength, doLowerCase } = settings;
  const ordered = poolingModes.filter((name) => poolingMode.includes(name));
  const pooling = {
    word_embedding_dimension: width,
    // The flags have an order of their own; a list keeps another one.
    ...(ordered.join() === poolingMode.join()
      ? Object.fromEntries(poolingModes.map((name) => [poolingKeys[name], poolingMode.includes(name)]))
      : { pooling_mode: poolingMode }),
    include_prompt: includePrompt,
  };
  return {
    [MODULES_NAME]: modulesFile(settings),
    [SETTINGS_NAME]: pretty({
      prompts: settings.prompts,
      default_prompt_name: settings.defaultPromptName,
      similarity_fn_name: settings.similarityFnName,
    }),
    [TRANSFORMER_NAME]: pretty({ max_seq_length: maxSeqLength, do_lower_case: doLowerCase }),
    [POOLING_NAME]: pretty(pooling),
    ...(normalize && { [`${NORMALIZE_FOLDER}/config.json`]: '{}\n' }),
  };
}
