/**
 * ModernBERT (Warner et al., 2024): rotary positions, layers of local attention between global ones, LayerNorm
 * before each half of a layer, gated feed-forward parts.
 */
import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import type { Activation } from '../kernels/activations.ts';
import { Dropout, Embedding, LayerNorm, Linear } from '../nn/layers.ts';
import { declarePure, Module } from '../nn/module.ts';
import type { Device, NormalOptions } from '../tensor/device.ts';
import { add, type FloatDtype, to } from '../tensor/ops/elementwise.ts';
import { gated } from '../tensor/ops/gated.ts';
import { rotary } from '../tensor/ops/rotary.ts';
import { select } from '../tensor/ops/view.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { activationOf } from './common/activations.ts';
import { encoderModel } from './common/base-model.ts';
import { type ConfigValues, encoderKeys, type PretrainedConfig } from './common/config.ts';
import { type InputEmbeddings, wordsOf } from './common/embeddings.ts';
import {
  type Attended,
  attend,
  type EncoderOutput,
  LayerStack,
  type RotaryPositions,
  type SeenTokens,
  type StackedLayer,
} from './common/encoder.ts';
import type { Family } from './common/family.ts';
import { classifierDropout, decoderOf, type Head, head } from './common/heads.ts';
import { checkRange, type ModelInputs, tokensOf } from './common/inputs.ts';
import { activation, fixed, flag, key, layers, notNegative, probability, size } from './common/keys.ts';
import type { LengthRule } from './common/length-tables.ts';
import { multipleChoice, rating } from './common/multiple-choice.ts';
import { rotaryAngles } from './common/rotary.ts';
import { firstShown, meanShown } from './common/shown-states.ts';
import { maskedLm, questionAnswering, sequenceClassification, tokenClassification } from './common/tasks.ts';
import type { NameRule } from './files/weight-names.ts';

const layerTypes = ['full_attention', 'sliding_attention'] as const;
type LayerType = (typeof layerTypes)[number];

const turn = v.looseObject({
  rope_type: v.optional(v.literal('default', "rope_type: only 'default' is supported")),
  rope_theta: v.optional(notNegative),
});
const turns = v.looseObject({
  full_attention: v.nullish(turn),
  sliding_attention: v.nullish(turn),
});

const keys = {
  ...encoderKeys,
  vocabSize: { ...encoderKeys.vocabSize, default: 50368 },
  numHiddenLayers: { ...encoderKeys.numHiddenLayers, default: 22 },
  intermediateSize: { ...encoderKeys.intermediateSize, default: 1152 },
  hiddenAct: { ...encoderKeys.hiddenAct, json: 'hidden_activation' },
  hiddenDropoutProb: fixed(0),
  attentionProbsDropoutProb: {
    ...encoderKeys.attentionProbsDropoutProb,
    json: 'attention_dropout',
    default: 0,
  },
  classifierDropout: { ...encoderKeys.classifierDropout, default: 0 },
  maxPositionEmbeddings: { ...encoderKeys.maxPositionEmbeddings, default: 8192 },
  typeVocabSize: fixed(0),
  positionEmbeddingType: fixed<'absolute'>('absolute'),
  layerNormEps: { ...encoderKeys.layerNormEps, json: 'norm_eps', default: 1e-5 },
  padTokenId: { ...encoderKeys.padTokenId, default: 50283 },
  /** Standard deviations at which initial weights are cut off; null: 3. */
  initializerCutoffFactor: key('initializer_cutoff_factor', v.nullable(notNegative), 2),
  normBias: key('norm_bias', flag, false),
  attentionBias: key('attention_bias', flag, false),
  mlpBias: key('mlp_bias', flag, false),
  decoderBias: key('decoder_bias', flag, true),
  classifierBias: key('classifier_bias', flag, false),
  classifierActivation: key('classifier_activation', activation, 'gelu'),
  classifierPooling: key('classifier_pooling', v.picklist(['cls', 'mean']), 'cls'),
  embeddingDropout: key('embedding_dropout', probability, 0),
  mlpDropout: key('mlp_dropout', probability, 0),
  /** Tokens that a layer of local attention sees, half of them on either side. */
  localAttention: key('local_attention', size, 128),
  /** Every such layer is global, from the first on, unless `layer_types` names each. */
  globalAttnEveryNLayers: { ...key('global_attn_every_n_layers', layers, 3), omitted: true },
  layerTypes: { ...key('layer_types', v.nullable(v.array(v.picklist(layerTypes))), null), omitted: true },
  globalRopeTheta: { ...key('global_rope_theta', notNegative, 160_000), omitted: true },
  localRopeTheta: { ...key('local_rope_theta', notNegative, 10_000), omitted: true },
  /** transformers 5 has both thetas here. */
  ropeParameters: { ...key('rope_parameters', v.nullable(turns), null), omitted: true },
  ropeScaling: {
    ...key('rope_scaling', v.null_("is not supported: only 'default' rotary positions are"), null),
    omitted: true,
  },
} as const;

type ModernBertConfig = PretrainedConfig & ConfigValues<typeof keys>;

const names: readonly NameRule[] = [
  ['embeddings.word_embeddings', 'embeddings.tok_embeddings'],
  ['encoder.layers', 'layers'],
  ['encoder.final_norm', 'final_norm'],
  ['prediction_head', 'head'],
];

const norm = (device: Device, { hiddenSize, layerNormEps, normBias }: ModernBertConfig) =>
  new LayerNorm(device, hiddenSize, { eps: layerNormEps, bias: normBias });

/** Embeddings of words, LayerNorm, dropout. */
class ModernBertEmbeddings extends Module implements InputEmbeddings {
  readonly word_embeddings: Embedding;
  readonly norm: LayerNorm;
  readonly dropout: Dropout;
  readonly maxLength: number;

  constructor(device: Device, config: PretrainedConfig) {
    super();
    const modern = config as ModernBertConfig;
    const { vocabSize, hiddenSize, padTokenId } = modern;
    this.word_embeddings = new Embedding(device, vocabSize, hiddenSize, { paddingIdx: padTokenId });
    this.norm = norm(device, modern);
    this.dropout = new Dropout(modern.embeddingDropout);
    this.maxLength = modern.maxPositionEmbeddings;
  }

  forward(inputs: ModelInputs): Tensor {
    const { positionIds } = inputs;
    if (positionIds !== undefined) checkRange('positionIds', positionIds, this.maxLength);
    return tokensOf(inputs).device.tidy(() =>
      this.dropout.forward(this.norm.forward(wordsOf(this.word_embeddings, inputs))),
    );
  }
}

/** The largest distance to a token that a layer of local attention sees. */
const reachOf = ({ localAttention }: ModernBertConfig): number => Math.floor(localAttention / 2);

class Attention extends Module {
  /** Queries, keys and values, in one weight in files too. */
  readonly Wqkv: Linear;
  readonly Wo: Linear;
  readonly out_drop: Dropout;

  constructor(
    device: Device,
    private readonly config: ModernBertConfig,
    private readonly type: LayerType,
  ) {
    super();
    const { hiddenSize, attentionBias: bias, attentionProbsDropoutProb } = config;
    this.Wqkv = new Linear(device, hiddenSize, 3 * hiddenSize, { bias });
    this.Wo = new Linear(device, hiddenSize, hiddenSize, { bias });
    this.out_drop = new Dropout(attentionProbsDropoutProb);
  }

  forward(x: Tensor, seen: SeenTokens): Attended {
    const { numAttentionHeads: heads, attentionProbsDropoutProb } = this.config;
    const { positions, angles } = seen.rotary!;
    const { result, ...more } = attend(rotary(this.Wqkv.forward(x), positions, angles[this.type]!), seen, {
      heads,
      dropout: this.training ? attentionProbsDropoutProb : 0,
      window: this.type === 'sliding_attention' ? reachOf(this.config) : undefined,
    });
    return { result: this.out_drop.forward(this.Wo.forward(result)), ...more };
  }
}

/** The gated feed-forward part: [.., H] → [.., H]. */
class Mlp extends Module {
  /** The halves that `gated` takes: [2 · I, H]. */
  readonly Wi: Linear;
  readonly Wo: Linear;
  readonly drop: Dropout;
  private readonly activation: Activation;

  constructor(device: Device, { hiddenSize, intermediateSize, ...config }: ModernBertConfig) {
    super();
    this.Wi = new Linear(device, hiddenSize, 2 * intermediateSize, { bias: config.mlpBias });
    this.Wo = new Linear(device, intermediateSize, hiddenSize, { bias: config.mlpBias });
    this.drop = new Dropout(config.mlpDropout);
    this.activation = activationOf(config.hiddenAct);
  }

  forward(x: Tensor): Tensor {
    return this.Wo.forward(this.drop.forward(gated(this.Wi.forward(x), this.activation)));
  }
}

/** A residual stream stays float32 under `autocast`. */
const addTo = (residual: Tensor, x: Tensor): Tensor => add(to(x, residual.dtype as FloatDtype), residual);

class ModernBertLayer extends Module implements StackedLayer {
  /** null in the first layer, whose input is normalized already. */
  readonly attn_norm: LayerNorm | null;
  readonly attn: Attention;
  readonly mlp_norm: LayerNorm;
  readonly mlp: Mlp;

  constructor(device: Device, config: ModernBertConfig, layer: number, type: LayerType) {
    super();
    this.attn_norm = layer === 0 ? null : norm(device, config);
    this.attn = new Attention(device, config, type);
    this.mlp_norm = norm(device, config);
    this.mlp = new Mlp(device, config);
  }

  forward(x: Tensor, seen: SeenTokens): Attended {
    return x.device.tidy(() => {
      const { result: looked, ...more } = this.attn.forward(this.attn_norm?.forward(x) ?? x, seen);
      const attended = addTo(x, looked);
      return { result: addTo(attended, this.mlp.forward(this.mlp_norm.forward(attended))), ...more };
    });
  }
}

/** Each layer's kind of attention. Throws `ConfigError` if `layer_types` names other layers. */
function typesOf({
  layerTypes: given,
  numHiddenLayers,
  globalAttnEveryNLayers,
}: ModernBertConfig): LayerType[] {
  if (given !== null && given.length !== numHiddenLayers)
    throw new ConfigError(
      `layer_types names ${given.length} layers, num_hidden_layers is ${numHiddenLayers}`,
      {
        remedy: 'give both, or leave layer_types null',
      },
    );
  return (
    given ??
    Array.from({ length: numHiddenLayers }, (_, layer) =>
      layer % globalAttnEveryNLayers === 0 ? 'full_attention' : 'sliding_attention',
    )
  );
}

export class ModernBertEncoder extends LayerStack {
  readonly layers: readonly ModernBertLayer[];
  readonly final_norm: LayerNorm;
  private readonly isLocal: boolean;
  private readonly size: number;
  private readonly angles: Readonly<Record<LayerType, LengthRule>>;

  constructor(
    device: Device,
    private readonly config: PretrainedConfig,
  ) {
    super(config);
    const modern = config as ModernBertConfig;
    const { ropeParameters, hiddenSize, numAttentionHeads } = modern;
    const types = typesOf(modern);
    this.layers = types.map((type, layer) => new ModernBertLayer(device, modern, layer, type));
    this.final_norm = norm(device, modern);
    this.isLocal = types.includes('sliding_attention');
    const size = hiddenSize / numAttentionHeads;
    this.size = size;
    const { maxPositionEmbeddings: longest, globalRopeTheta, localRopeTheta } = modern;
    const turning = (theta: number): LengthRule => {
      return { over: 'positions', longest, values: (length) => rotaryAngles(length, size, theta) };
    };
    this.angles = {
      full_attention: turning(ropeParameters?.full_attention?.rope_theta ?? globalRopeTheta),
      sliding_attention: turning(ropeParameters?.sliding_attention?.rope_theta ?? localRopeTheta),
    };
    if (this.size % 2 !== 0)
      throw new ConfigError(`hidden_size ${hiddenSize} gives ${numAttentionHeads} heads an odd size`, {
        remedy: 'rotary positions turn pairs of numbers',
      });
  }

  protected override get reach(): number | undefined {
    return this.isLocal ? reachOf(this.config as ModernBertConfig) : undefined;
  }

  override order(): readonly ModernBertLayer[] {
    return this.layers;
  }

  override groups(): Module[][] {
    return [...this.layers].reverse().map((layer) => [layer]);
  }

  protected override rotaryAngles(device: Device, count: number): RotaryPositions['angles'] {
    const table = (type: LayerType) => this.tables.of(device, count, this.angles[type], this.size);
    return Object.fromEntries(layerTypes.map((type) => [type, table(type)]));
  }

  override forward(embedded: Tensor, inputs: Omit<ModelInputs, 'inputIds' | 'inputsEmbeds'>): EncoderOutput {
    const { states, attentions } = super.forward(embedded, inputs);
    return { states: [...states.slice(0, -1), this.final_norm.forward(states.at(-1)!)], attentions };
  }
}

export class ModernBertModel extends encoderModel({
  prefix: 'model',
  config: keys,
  names,
  Embeddings: ModernBertEmbeddings,
  Encoder: ModernBertEncoder,
  pooler: false,
}) {
  override groups(): Module[][] {
    const [top, ...rest] = super.groups();
    return [[...top!, this.encoder.final_norm], ...rest];
  }

  /** Normal numbers without those far out; what a layer adds to the residual stream begins smaller. */
  drawing(name: string): NormalOptions {
    const { initializerRange, initializerCutoffFactor, numHiddenLayers, hiddenSize } = this
      .config as ModernBertConfig;
    const outer = /(^|\.)Wo\.|^head\.|^decoder\./.test(name);
    const std = outer ? initializerRange / Math.sqrt(2 * numHiddenLayers) : initializerRange;
    const cutoff = initializerCutoffFactor ?? 3;
    return { std: name.startsWith('classifier.') ? hiddenSize ** -0.5 : std, cutoff };
  }
}

/** Dense, activation, LayerNorm. */
class PredictionHead extends Module {
  readonly dense: Linear;
  readonly norm: LayerNorm;
  private readonly activation: Activation;

  constructor(device: Device, config: ModernBertConfig) {
    super();
    const { hiddenSize, classifierBias: bias, classifierActivation } = config;
    this.dense = new Linear(device, hiddenSize, hiddenSize, { bias });
    this.norm = norm(device, config);
    this.activation = activationOf(classifierActivation);
  }

  forward(x: Tensor): Tensor {
    return this.norm.forward(this.dense.forwardActivated(x, this.activation));
  }
}

declarePure(ModernBertEmbeddings, Attention, Mlp, ModernBertLayer, ModernBertEncoder, PredictionHead);

type Inputs = Pick<ModelInputs, 'attentionMask'>;

const parts = (config: PretrainedConfig, device: Device) => ({
  pooling: (config as ModernBertConfig).classifierPooling,
  prediction_head: new PredictionHead(device, config as ModernBertConfig),
  drop: classifierDropout(config),
  classifier: new Linear(device, config.hiddenSize, config.numLabels),
});

/** Prediction head, dropout and projection of what `choose` takes of the states. */
const classified = (
  choose: (states: Tensor, inputs: Inputs, pooling: 'cls' | 'mean') => Tensor,
): Head<ReturnType<typeof parts>> => ({
  parts,
  logits: ({ pooling, prediction_head, drop, classifier }, { lastHiddenState }, inputs) =>
    classifier.forward(drop.forward(prediction_head.forward(choose(lastHiddenState, inputs, pooling)))),
  classLayer: 'classifier',
});

const eachToken = classified((states) => states);
const answerSpan = head({ parts, logits: eachToken.logits });
const pooledBy = (first: (states: Tensor, inputs: Inputs) => Tensor) =>
  classified((states, inputs, pooling) =>
    pooling === 'mean' ? meanShown(states, inputs.attentionMask) : first(states, inputs),
  );

const vocabulary = head({
  parts: (config, device, { wordEmbeddings }) => ({
    prediction_head: new PredictionHead(device, config as ModernBertConfig),
    decoder: decoderOf(
      device,
      config,
      wordEmbeddings.weight,
      (config as ModernBertConfig).decoderBias ? undefined : null,
    ),
  }),
  logits: ({ prediction_head, decoder }, { lastHiddenState }) =>
    decoder.forward(prediction_head.forward(lastHiddenState)),
});

export class ModernBertForSequenceClassification extends sequenceClassification(
  ModernBertModel,
  pooledBy((states) => select(states, 1, 0)),
) {}
export class ModernBertForTokenClassification extends tokenClassification(ModernBertModel, eachToken) {}
export class ModernBertForQuestionAnswering extends questionAnswering(ModernBertModel, answerSpan) {}
export class ModernBertForMaskedLM extends maskedLm(ModernBertModel, vocabulary) {}
export class ModernBertForMultipleChoice extends multipleChoice(
  ModernBertModel,
  rating(pooledBy((states, { attentionMask }) => firstShown(states, attentionMask))),
) {}

export const modernbert = {
  modelType: 'modernbert',
  className: 'ModernBert',
  config: keys,
  Model: ModernBertModel,
  tasks: {
    sequenceClassification: ModernBertForSequenceClassification,
    tokenClassification: ModernBertForTokenClassification,
    questionAnswering: ModernBertForQuestionAnswering,
    maskedLm: ModernBertForMaskedLM,
    multipleChoice: ModernBertForMultipleChoice,
  },
  tokenizerDefaults: { tokenizer_class: 'PreTrainedTokenizerFast' },
} as const satisfies Family;
