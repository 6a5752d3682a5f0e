/** `config.json` as transformers writes it, read into camelCase and written back with every key it came with. */
import * as v from 'valibot';
import { ConfigError, UnsupportedModelError } from '../errors.ts';

export type ProblemType = 'single_label_classification' | 'multi_label_classification' | 'regression';

const probability = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
/** No tensor of more elements along an axis can be bound. */
const LARGEST = 2 ** 31 - 1;
/** A damaged number of layers would otherwise be made one by one. */
const MOST_LAYERS = 1000;
const size = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(LARGEST));
const index = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(LARGEST));
const activation = v.picklist(['gelu', 'relu', 'silu', 'swish', 'tanh'], 'must be gelu, relu, silu or tanh');

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
  initializer_range: v.optional(v.number(), 0.02),
  layer_norm_eps: v.optional(v.number(), 1e-12),
  pad_token_id: v.optional(v.nullable(index), 0),
  tie_word_embeddings: v.optional(v.boolean(), true),
  problem_type: v.optional(
    v.nullable(v.picklist(['single_label_classification', 'multi_label_classification', 'regression'])),
    null,
  ),
  id2label: v.optional(v.nullable(v.record(v.string(), v.string())), null),
  num_labels: v.optional(v.nullable(size), null),
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
  hiddenAct: 'gelu' | 'relu' | 'silu' | 'tanh';
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

/** Reads a parsed config.json. Throws `ConfigError` naming the file and the key, `UnsupportedModelError` for an unknown type. */
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
  if (c.hidden_size % c.num_attention_heads !== 0) {
    throw new ConfigError(
      `${source}: hidden_size ${c.hidden_size} is not a multiple of num_attention_heads ${c.num_attention_heads}`,
    );
  }
  const id2label = labelsOf(c.id2label, c.num_labels, source);
  return {
    modelType: known,
    vocabSize: c.vocab_size,
    hiddenSize: c.hidden_size,
    numHiddenLayers: c.num_hidden_layers,
    numAttentionHeads: c.num_attention_heads,
    intermediateSize: c.intermediate_size,
    hiddenAct: c.hidden_act === 'swish' ? 'silu' : c.hidden_act,
    hiddenDropoutProb: c.hidden_dropout_prob,
    attentionProbsDropoutProb: c.attention_probs_dropout_prob,
    classifierDropout: c.classifier_dropout,
    maxPositionEmbeddings: c.max_position_embeddings,
    typeVocabSize: c.type_vocab_size,
    initializerRange: c.initializer_range,
    layerNormEps: c.layer_norm_eps,
    padTokenId: c.pad_token_id,
    tieWordEmbeddings: c.tie_word_embeddings,
    problemType: c.problem_type,
    numLabels: Object.keys(id2label).length,
    id2label,
    label2id: invert(id2label),
    textPair: c.text_pair,
    raw: json as Record<string, unknown>,
  };
}

function checkUnsupported(json: Record<string, unknown>, source: string): void {
  const position = json.position_embedding_type;
  if (position !== undefined && position !== 'absolute') {
    throw new ConfigError(`${source}: position_embedding_type '${String(position)}' is not supported`, {
      remedy: "only 'absolute' is",
    });
  }
  for (const key of ['is_decoder', 'add_cross_attention']) {
    if (json[key] === true)
      throw new ConfigError(`${source}: '${key}' is not supported`, { remedy: 'only encoders are' });
  }
}

function labelsOf(
  id2label: Record<string, string> | null,
  count: number | null,
  source: string,
): Record<number, string> {
  if (id2label === null) return defaultLabels(count ?? 2);
  const out: Record<number, string> = {};
  for (const [key, label] of Object.entries(id2label)) {
    const id = Number(key);
    if (!Number.isInteger(id) || id < 0)
      throw new ConfigError(`${source}: 'id2label.${key}' is not a class number`);
    out[id] = label;
  }
  for (let id = 0; id < Object.keys(out).length; id += 1) {
    if (out[id] === undefined)
      throw new ConfigError(`${source}: 'id2label' has no entry ${id}`, {
        remedy: 'number the classes from 0',
      });
  }
  return out;
}

/** `LABEL_0`, `LABEL_1`, …, as transformers names classes without names. */
export function defaultLabels(count: number): Record<number, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, id) => [id, `LABEL_${id}`]));
}

function invert(id2label: Record<number, string>): Record<string, number> {
  return Object.fromEntries(Object.entries(id2label).map(([id, label]) => [label, Number(id)]));
}

/** transformers' rule where the config does not say: one label is regression, float labels are multi-label, integers single-label. */
export function problemTypeOf(config: PretrainedConfig, floatLabels: boolean): ProblemType {
  if (config.problemType !== null) return config.problemType;
  if (config.numLabels === 1) return 'regression';
  return floatLabels ? 'multi_label_classification' : 'single_label_classification';
}

/** A copy with some values changed. `numLabels` alone resets the names; `id2label` sets both. Throws `ConfigError` where they disagree. */
export function withOverrides(config: PretrainedConfig, overrides: ConfigOverrides): PretrainedConfig {
  const merged = { ...config, ...overrides };
  if (overrides.id2label !== undefined) {
    const count = Object.keys(overrides.id2label).length;
    if (overrides.numLabels !== undefined && overrides.numLabels !== count) {
      throw new ConfigError(`numLabels is ${overrides.numLabels}, but id2label names ${count} classes`);
    }
    merged.numLabels = count;
  } else if (overrides.numLabels !== undefined && overrides.numLabels !== config.numLabels) {
    merged.id2label = defaultLabels(overrides.numLabels);
  }
  merged.label2id = invert(merged.id2label);
  // What was set is held to the same rules as what a file says.
  return { ...parseConfig(JSON.parse(configToJson(merged, '')), 'config'), raw: config.raw };
}

/** A config from camelCase values and transformers' defaults. */
export function makeConfig(modelType: ModelType, values: ConfigOverrides = {}): PretrainedConfig {
  return withOverrides(parseConfig({ model_type: modelType }, `${modelType} config`), values);
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
    id2label: config.id2label,
    label2id: config.label2id,
  };
  delete written.num_labels;
  delete written.torch_dtype;
  if (config.problemType === null) delete written.problem_type;
  else written.problem_type = config.problemType;
  if (config.textPair !== null) written.text_pair = config.textPair;
  return `${JSON.stringify(written, null, 2)}\n`;
}
