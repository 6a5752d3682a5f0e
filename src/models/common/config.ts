/**
 * A model's config: tables of keys (camelCase name ↔ name in config.json ↔ default ↔ schema), and config.json
 * read and written by such a table.
 */
import * as v from 'valibot';
import { ConfigError } from '../../errors.ts';
import { stringifyPythonJson } from '../../python-json.ts';
import * as k from './keys.ts';
import { key } from './keys.ts';
import { type Labels, labelsToWrite, readLabels } from './labels.ts';

/** One key of a config. */
export interface Key<T = unknown> {
  /** Its name in config.json; null if every model of the family has the default. */
  readonly json: string | null;
  /** Taken if the file lacks the key. */
  readonly default: T;
  /** Written only if it differs from the default, or over a key that the file had; null removes the key. */
  readonly omitted?: true;
  /** Whether its numbers may have fractions. Python's classes refuse an integer for some of these keys. */
  readonly float?: boolean;
  /** Checks and converts a file's value. Throws `ConfigError` beginning with `where`. */
  read(given: unknown, where: string): T;
}

const problemTypes = ['single_label_classification', 'multi_label_classification', 'regression'] as const;
export type ProblemType = (typeof problemTypes)[number];

/** The keys that the common parts read, with the names and defaults that most families have. */
export const encoderKeys = {
  vocabSize: key('vocab_size', k.size, 30522),
  hiddenSize: key('hidden_size', k.size, 768),
  numHiddenLayers: key('num_hidden_layers', k.layers, 12),
  numAttentionHeads: key('num_attention_heads', k.size, 12),
  intermediateSize: key('intermediate_size', k.size, 3072),
  /** transformers' name of the activation, as the file has it. */
  hiddenAct: key('hidden_act', k.activation, 'gelu'),
  hiddenDropoutProb: key('hidden_dropout_prob', k.probability, 0.1),
  attentionProbsDropoutProb: key('attention_probs_dropout_prob', k.probability, 0.1),
  /** Dropout before a classifier; null: `hiddenDropoutProb`. */
  classifierDropout: key('classifier_dropout', v.nullable(k.probability), null),
  maxPositionEmbeddings: key('max_position_embeddings', k.size, 512),
  /** Relative types cost more: a product of each query, or key, with the embedding of each distance. */
  positionEmbeddingType: {
    ...key('position_embedding_type', k.positionType, 'absolute'),
    omitted: true,
  },
  /** 0: no token types. */
  typeVocabSize: key('type_vocab_size', k.size, 2),
  initializerRange: key('initializer_range', k.deviation, k.INITIALIZER_RANGE),
  layerNormEps: key('layer_norm_eps', k.notNegative, 1e-12),
  padTokenId: key('pad_token_id', v.nullable(k.index), 0),
  tieWordEmbeddings: key('tie_word_embeddings', v.boolean(), true),
  problemType: { ...key('problem_type', v.nullable(v.picklist(problemTypes)), null), omitted: true },
  /** Optional outputs of `forward`, unless its inputs say otherwise. */
  outputHiddenStates: { ...key('output_hidden_states', k.flag, false), omitted: true },
  outputAttentions: { ...key('output_attentions', k.flag, false), omitted: true },
  /** Whether the model was trained on pairs of texts; null: unknown. transformers keeps the key unread. */
  textPair: { ...key('text_pair', v.nullable(v.boolean()), null), omitted: true },
  /** Whether a model that answers questions learned that some have no answer; null: unknown. */
  nullAnswers: { ...key('null_answers', v.nullable(v.boolean()), null), omitted: true },
} as const;

/** The values of a table's keys. */
export type ConfigValues<T extends Readonly<Record<string, Key>>> = {
  -readonly [K in keyof T]: ReturnType<T[K]['read']>;
};

export type EncoderValues = ConfigValues<typeof encoderKeys>;

/** A family's keys: those that the common parts read, and its own. */
export type ConfigTable = Readonly<Record<string, Key>> & {
  readonly [K in keyof EncoderValues]: Key<EncoderValues[K]>;
};

/** A model's hyper-parameters. */
export interface PretrainedConfig extends EncoderValues, Labels {
  modelType: string;
  /** The file's own keys, written back as they were unless the engine changed them. */
  raw: Record<string, unknown>;
}

/**
 * Reads a parsed config.json of the given type by its family's table. Throws `ConfigError` naming the source
 * and the key.
 */
export function readConfig(
  modelType: string,
  table: ConfigTable,
  json: Record<string, unknown>,
  source: string,
): PretrainedConfig {
  const values = Object.entries(table).map(([name, entry]) => {
    const given = entry.json === null ? undefined : json[entry.json];
    return [name, given === undefined ? entry.default : entry.read(given, `${source}: '${entry.json}'`)];
  });
  checkUnsupported(json, table, source);
  const config: PretrainedConfig = {
    modelType,
    ...(Object.fromEntries(values) as EncoderValues),
    ...readLabels(json, source),
    raw: json,
  };
  checkTogether(config, table, source);
  return config;
}

/**
 * Keys that change what a model computes in ways that the engine lacks, with a remedy each; any value but
 * null, false and {} asks for it.
 */
const unsupported: Readonly<Record<string, string>> = {
  is_decoder: 'only encoders are',
  add_cross_attention: 'only encoders are',
  pruned_heads: 'save the model with all of its heads',
  quantization_config: 'dequantize() the model in Python and save_pretrained() it',
  per_layer_config: 'every layer must be alike',
};

function checkUnsupported(json: Record<string, unknown>, table: ConfigTable, source: string): void {
  const position = json.position_embedding_type ?? 'absolute';
  if (table.positionEmbeddingType.json === null && position !== 'absolute') {
    throw new ConfigError(`${source}: position_embedding_type '${String(position)}' is not supported`, {
      remedy: "only 'absolute' is",
    });
  }
  for (const [name, remedy] of Object.entries(unsupported)) {
    const value = json[name] ?? false;
    const empty = typeof value === 'object' && Object.keys(value).length === 0;
    if (value !== false && !empty) throw new ConfigError(`${source}: '${name}' is not supported`, { remedy });
  }
}

/** Refuses values that are allowed alone, but not together. */
function checkTogether(config: PretrainedConfig, table: ConfigTable, source: string): void {
  const { hiddenSize, numAttentionHeads, padTokenId, vocabSize, problemType, numLabels } = config;
  if (hiddenSize % numAttentionHeads !== 0) {
    const [width, heads] = [table.hiddenSize.json, table.numAttentionHeads.json];
    throw new ConfigError(
      `${source}: ${width} ${hiddenSize} is not a multiple of ${heads} ${numAttentionHeads}`,
    );
  }
  if (padTokenId !== null && padTokenId >= vocabSize) {
    throw new ConfigError(`${source}: pad_token_id ${padTokenId} is outside a vocabulary of ${vocabSize}`, {
      remedy: "set it to the tokenizer's, or to null",
    });
  }
  if (problemType === 'single_label_classification' && numLabels === 1) {
    throw new ConfigError(`${source}: problem_type '${problemType}' needs 2 classes, there is 1`, {
      remedy: "name both classes, or use 'regression'",
    });
  }
}

/** config.json's text for a model of the given class, its weights of the given type. */
export function writeConfig(
  table: ConfigTable,
  config: PretrainedConfig,
  architecture: string,
  dtype: 'float32' | 'float16' = 'float32',
): string {
  const written: Record<string, unknown> = {
    ...config.raw,
    architectures: [architecture],
    // Python makes the model in this type, whatever the file holds.
    dtype,
    model_type: config.modelType,
  };
  const values = config as unknown as Record<string, unknown>;
  for (const [name, { json, default: value, omitted }] of Object.entries(table)) {
    if (json === null) continue;
    if (omitted === undefined || values[name] !== value || (json in written && value !== null))
      written[json] = values[name];
    else delete written[json];
  }
  Object.assign(written, labelsToWrite(config, config.raw));
  delete written.num_labels;
  delete written.torch_dtype;
  const floats = Object.values(table).flatMap(({ json, float }) => (float && json !== null ? [json] : []));
  return `${stringifyPythonJson(written, new Set(floats))}\n`;
}

/**
 * The config's problem type; if it has none, transformers' rule: one label is regression, float labels are
 * multi-label, integers single-label.
 */
export function problemTypeOf(config: PretrainedConfig, floatLabels: boolean): ProblemType {
  if (config.problemType !== null) return config.problemType;
  if (config.numLabels === 1) return 'regression';
  return floatLabels ? 'multi_label_classification' : 'single_label_classification';
}
