/**
 * `config.json` as transformers writes it, read into camelCase and written back with every key it came with.
 */
import * as v from 'valibot';
import { ConfigError, UnsupportedModelError } from '../errors.ts';
import { checkOptions, type OptionNames } from '../options.ts';
import { parsePythonJson, stringifyPythonJson } from '../python-json.ts';
import { type HiddenActivation, hiddenActivations } from './activations.ts';

export type ProblemType = 'single_label_classification' | 'multi_label_classification' | 'regression';

const probability = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
/** No tensor of more elements along an axis can be bound. */
const LARGEST = 2 ** 31 - 1;
/** A damaged number of layers would otherwise be made one by one. */
const MOST_LAYERS = 1000;
const size = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(LARGEST));
const index = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(LARGEST));
/** NaN is no number to valibot. */
const notNegative = v.pipe(v.number(), v.minValue(0));
const activation = v.picklist(
  hiddenActivations,
  ({ received }) => `${received} is not supported · supported: ${hiddenActivations.join(', ')}`,
);
/** Names of classes; Python keeps numbers as they are. */
const labelNames = v.record(v.string(), v.union([v.string(), v.number()], 'must be a name'));

const INITIALIZER_RANGE = 0.02;

/** The keys the engine reads, with transformers' defaults for BERT. */
const fields = {
  vocab_size: v.optional(size, 30522),
  hidden_size: v.optional(size, 768),
  num_hidden_layers: v.optional(v.pipe(size, v.maxValue(MOST_LAYERS)), 12),
  num_attention_heads: v.optional(size, 12),
  intermediate_size: v.optional(size, 3072),
  hidden_act: v.optional(activation, 'gelu'),
  hidden_dropout_prob: v.optional(probability, 0.1),
  attention_probs_dropout_prob: v.optional(probability, 0.1),
  classifier_dropout: v.optional(v.nullable(probability), null),
  max_position_embeddings: v.optional(size, 512),
  type_vocab_size: v.optional(size, 2),
  initializer_range: v.optional(v.nullable(notNegative), INITIALIZER_RANGE),
  layer_norm_eps: v.optional(notNegative, 1e-12),
  pad_token_id: v.optional(v.nullable(index), 0),
  tie_word_embeddings: v.optional(v.boolean(), true),
  problem_type: v.optional(
    v.nullable(v.picklist(['single_label_classification', 'multi_label_classification', 'regression'])),
    null,
  ),
  id2label: v.optional(v.nullable(labelNames), null),
  num_labels: v.optional(v.nullable(size), null),
  output_hidden_states: v.optional(v.nullable(v.boolean()), false),
  output_attentions: v.optional(v.nullable(v.boolean()), false),
  // Not transformers' own: it keeps keys that it does not know.
  text_pair: v.optional(v.nullable(v.boolean()), null),
};
const schema = v.looseObject({ model_type: v.string(), ...fields });

export const modelTypes = ['bert', 'roberta'] as const;
export type ModelType = (typeof modelTypes)[number];

/** A model's hyper-parameters. */
export interface PretrainedConfig {
  modelType: ModelType;
  vocabSize: number;
  hiddenSize: number;
  numHiddenLayers: number;
  numAttentionHeads: number;
  intermediateSize: number;
  /** transformers' name of the activation, as the file has it. */
  hiddenAct: HiddenActivation;
  hiddenDropoutProb: number;
  attentionProbsDropoutProb: number;
  /** Dropout before a classifier; `hiddenDropoutProb` where null. */
  classifierDropout: number | null;
  maxPositionEmbeddings: number;
  typeVocabSize: number;
  initializerRange: number;
  layerNormEps: number;
  padTokenId: number | null;
  tieWordEmbeddings: boolean;
  problemType: ProblemType | null;
  /** What `forward` returns besides, where its inputs do not say. */
  outputHiddenStates: boolean;
  outputAttentions: boolean;
  numLabels: number;
  id2label: Record<number, string>;
  label2id: Record<string, number>;
  /** Whether the model was trained on pairs of texts; null where nobody wrote it down. */
  textPair: boolean | null;
  /** The file's own keys, written back as they were unless the engine changed them. */
  raw: Record<string, unknown>;
}

/** What may be set when a config is made or loaded. */
export type ConfigOverrides = Partial<Omit<PretrainedConfig, 'raw' | 'modelType' | 'label2id'>>;

const defaultsByType: Record<ModelType, Record<string, unknown>> = {
  bert: {},
  roberta: { vocab_size: 50265, max_position_embeddings: 512, pad_token_id: 1 },
};

/**
 * Reads a parsed config.json. Throws `ConfigError` naming the file and the key, `UnsupportedModelError` for
 * an unknown type.
 */
export function parseConfig(json: unknown, source: string): PretrainedConfig {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new ConfigError(`${source}: not a JSON object`, {
      remedy: 'use the config.json that came with the model',
    });
  }
  const type = (json as Record<string, unknown>).model_type;
  if (typeof type !== 'string') {
    throw new ConfigError(`${source}: 'model_type' is missing`, {
      remedy: `it must be one of ${modelTypes.join(', ')}`,
    });
  }
  const known = modelTypes.find((name) => name === type);
  if (known === undefined) {
    throw new UnsupportedModelError(`${source}: model_type '${type}' is not supported`, {
      remedy: `supported: ${modelTypes.join(', ')}`,
    });
  }
  const result = v.safeParse(schema, { ...defaultsByType[known], ...json });
  if (!result.success) {
    const issue = result.issues[0];
    const key = issue.path?.map((item) => String(item.key)).join('.') ?? '?';
    throw new ConfigError(`${source}: '${key}': ${issue.message}`);
  }
  checkUnsupported(json as Record<string, unknown>, source);
  const c = result.output;
  const id2label = labelsOf(c.id2label, c.num_labels, source);
  checkLabel2id((json as Record<string, unknown>).label2id, c.id2label === null, id2label, source);
  checkTogether(c, Object.keys(id2label).length, source);
  return {
    modelType: known,
    vocabSize: c.vocab_size,
    hiddenSize: c.hidden_size,
    numHiddenLayers: c.num_hidden_layers,
    numAttentionHeads: c.num_attention_heads,
    intermediateSize: c.intermediate_size,
    hiddenAct: c.hidden_act,
    hiddenDropoutProb: c.hidden_dropout_prob,
    attentionProbsDropoutProb: c.attention_probs_dropout_prob,
    classifierDropout: c.classifier_dropout,
    maxPositionEmbeddings: c.max_position_embeddings,
    typeVocabSize: c.type_vocab_size,
    // transformers takes 0 and null for the default.
    initializerRange: c.initializer_range || INITIALIZER_RANGE,
    layerNormEps: c.layer_norm_eps,
    padTokenId: c.pad_token_id,
    tieWordEmbeddings: c.tie_word_embeddings,
    problemType: c.problem_type,
    outputHiddenStates: c.output_hidden_states ?? false,
    outputAttentions: c.output_attentions ?? false,
    numLabels: Object.keys(id2label).length,
    id2label,
    label2id: invert(id2label),
    textPair: c.text_pair,
    raw: json as Record<string, unknown>,
  };
}

/**
 * Keys that change what a model computes, in ways that the engine does not have; anything but null, false and
 * {} asks for it.
 */
const unsupported: Readonly<Record<string, string>> = {
  is_decoder: 'only encoders are',
  add_cross_attention: 'only encoders are',
  pruned_heads: 'save the model with all of its heads',
  quantization_config: 'dequantize() the model in Python and save_pretrained() it',
  per_layer_config: 'every layer must be alike',
};

function checkUnsupported(json: Record<string, unknown>, source: string): void {
  const position = json.position_embedding_type ?? 'absolute';
  if (position !== 'absolute') {
    throw new ConfigError(`${source}: position_embedding_type '${String(position)}' is not supported`, {
      remedy: "only 'absolute' is",
    });
  }
  for (const [key, remedy] of Object.entries(unsupported)) {
    const value = json[key] ?? false;
    const empty = typeof value === 'object' && Object.keys(value).length === 0;
    if (value !== false && !empty) throw new ConfigError(`${source}: '${key}' is not supported`, { remedy });
  }
}

/** What each key allows on its own, but not together. */
function checkTogether(c: v.InferOutput<typeof schema>, numLabels: number, source: string): void {
  if (c.hidden_size % c.num_attention_heads !== 0) {
    throw new ConfigError(
      `${source}: hidden_size ${c.hidden_size} is not a multiple of num_attention_heads ${c.num_attention_heads}`,
    );
  }
  if (c.pad_token_id !== null && c.pad_token_id >= c.vocab_size) {
    throw new ConfigError(
      `${source}: pad_token_id ${c.pad_token_id} is outside a vocabulary of ${c.vocab_size}`,
      { remedy: "set it to the tokenizer's, or to null" },
    );
  }
  if (c.problem_type === 'single_label_classification' && numLabels === 1) {
    throw new ConfigError(`${source}: problem_type '${c.problem_type}' needs 2 classes, there is 1`, {
      remedy: "name both classes, or use 'regression'",
    });
  }
}

/**
 * As transformers reads them: where both are there and disagree, `num_labels` counts, and names the classes
 * anew.
 */
function labelsOf(
  id2label: Record<string, string | number> | null,
  count: number | null,
  source: string,
): Record<number, string> {
  if (id2label === null) return defaultLabels(count ?? 2);
  const out: Record<number, string> = {};
  for (const [key, label] of Object.entries(id2label)) {
    if (!/^\d+$/.test(key)) throw new ConfigError(`${source}: 'id2label.${key}' is not a class number`);
    out[Number(key)] = String(label);
  }
  const named = Object.keys(out).length;
  for (let id = 0; id < named; id += 1) {
    if (out[id] === undefined)
      throw new ConfigError(`${source}: 'id2label' has no entry ${id}`, {
        remedy: 'number the classes from 0',
      });
  }
  if (count === null || count === named) return out;
  console.warn(
    `${source}: num_labels is ${count}, id2label names ${named} classes: the model gets ${count}, without names`,
  );
  return defaultLabels(count);
}

/**
 * transformers counts by `id2label` alone, and encodes data by `label2id`. Throws `ConfigError` where one
 * name has two numbers; says so where `label2id` stands alone and its names are lost.
 */
function checkLabel2id(
  label2id: unknown,
  alone: boolean,
  id2label: Record<number, string>,
  source: string,
): void {
  if (typeof label2id !== 'object' || label2id === null) return;
  const named = Object.entries(id2label);
  const names = Object.entries(label2id as Record<string, unknown>);
  for (const [name, id] of names) {
    const ids = named.filter(([, other]) => other === name).map(([other]) => Number(other));
    if (ids.length === 0 || ids.includes(Number(id))) continue;
    throw new ConfigError(
      `${source}: 'label2id' gives '${name}' the number ${String(id)}, 'id2label' the number ${ids[0]}`,
      { remedy: 'mend the one that is wrong: id2label names the outputs' },
    );
  }
  if (alone && names.some(([name]) => !named.some(([, other]) => other === name)))
    console.warn(
      `${source}: 'label2id' without 'id2label' names no classes: they are called ${named[0]![1]}, …`,
    );
}

/** `LABEL_0`, `LABEL_1`, …, as transformers names classes without names. */
export function defaultLabels(count: number): Record<number, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, id) => [id, `LABEL_${id}`]));
}

function invert(id2label: Record<number, string>): Record<string, number> {
  return Object.fromEntries(Object.entries(id2label).map(([id, label]) => [label, Number(id)]));
}

/**
 * transformers' rule where the config does not say: one label is regression, float labels are multi-label,
 * integers single-label.
 */
export function problemTypeOf(config: PretrainedConfig, floatLabels: boolean): ProblemType {
  if (config.problemType !== null) return config.problemType;
  if (config.numLabels === 1) return 'regression';
  return floatLabels ? 'multi_label_classification' : 'single_label_classification';
}

/** Of `fromPretrained` too. */
export const overrideNames: OptionNames<ConfigOverrides> = {
  vocabSize: true,
  hiddenSize: true,
  numHiddenLayers: true,
  numAttentionHeads: true,
  intermediateSize: true,
  hiddenAct: true,
  hiddenDropoutProb: true,
  attentionProbsDropoutProb: true,
  classifierDropout: true,
  maxPositionEmbeddings: true,
  typeVocabSize: true,
  initializerRange: true,
  layerNormEps: true,
  padTokenId: true,
  tieWordEmbeddings: true,
  problemType: true,
  outputHiddenStates: true,
  outputAttentions: true,
  numLabels: true,
  id2label: true,
  textPair: true,
};

/**
 * A copy with some values changed. `numLabels` alone resets the names; `id2label` sets both. Throws
 * `ConfigError` where they disagree.
 */
export function withOverrides(config: PretrainedConfig, overrides: ConfigOverrides): PretrainedConfig {
  const given = Object.entries(overrides).filter(([, value]) => value !== undefined);
  const merged: PretrainedConfig = { ...config, ...Object.fromEntries(given) };
  if (overrides.id2label !== undefined) {
    const count = Object.keys(overrides.id2label ?? {}).length;
    if (count === 0) throw new ConfigError('id2label names no class', { remedy: "use { 0: 'name', … }" });
    if (overrides.numLabels !== undefined && overrides.numLabels !== count) {
      throw new ConfigError(`numLabels is ${overrides.numLabels}, but id2label names ${count} classes`);
    }
    merged.numLabels = count;
  } else if (overrides.numLabels !== undefined && overrides.numLabels !== config.numLabels) {
    merged.id2label = defaultLabels(overrides.numLabels);
  }
  merged.label2id = invert(merged.id2label);
  // What was set is held to the same rules as what a file says.
  return { ...parseConfig(parsePythonJson(configToJson(merged, '')), 'config'), raw: config.raw };
}

/**
 * A config from camelCase values and transformers' defaults. Throws `ConfigError` for a value or name there
 * is not.
 */
export function makeConfig(modelType: ModelType, values: ConfigOverrides = {}): PretrainedConfig {
  checkOptions('AutoConfig.forModel', values, overrideNames);
  return withOverrides(parseConfig({ model_type: modelType }, `${modelType} config`), values);
}

/**
 * Names as the file has them, numbers too, unless they were changed; so is what it says of the names'
 * classes.
 */
function labelsToWrite({ raw, id2label, label2id }: PretrainedConfig): Record<string, unknown> {
  const before = v.safeParse(labelNames, raw.id2label);
  const names = before.success ? Object.entries(before.output) : [];
  const same =
    names.length === Object.keys(id2label).length &&
    names.every(([id, name]) => id2label[Number(id)] === String(name));
  return {
    id2label: same ? raw.id2label : id2label,
    label2id: same && raw.label2id !== undefined ? raw.label2id : label2id,
  };
}

/** config.json's text for a model of the given class, its weights of the given type. */
export function configToJson(
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
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    num_hidden_layers: config.numHiddenLayers,
    num_attention_heads: config.numAttentionHeads,
    intermediate_size: config.intermediateSize,
    hidden_act: config.hiddenAct,
    hidden_dropout_prob: config.hiddenDropoutProb,
    attention_probs_dropout_prob: config.attentionProbsDropoutProb,
    classifier_dropout: config.classifierDropout,
    max_position_embeddings: config.maxPositionEmbeddings,
    type_vocab_size: config.typeVocabSize,
    initializer_range: config.initializerRange,
    layer_norm_eps: config.layerNormEps,
    pad_token_id: config.padTokenId,
    tie_word_embeddings: config.tieWordEmbeddings,
    ...labelsToWrite(config),
  };
  const outputs = {
    output_hidden_states: config.outputHiddenStates,
    output_attentions: config.outputAttentions,
  };
  for (const [key, value] of Object.entries(outputs)) if (value || key in written) written[key] = value;
  delete written.num_labels;
  delete written.torch_dtype;
  if (config.problemType === null) delete written.problem_type;
  else written.problem_type = config.problemType;
  if (config.textPair !== null) written.text_pair = config.textPair;
  return `${stringifyPythonJson(written)}\n`;
}
