/** MPNet (Song et al., 2020): BERT's encoder with a bias of attention for each distance, shared by all layers. */
import * as v from 'valibot';
import { Embedding } from '../nn/layers.ts';
import { declarePure, type Module } from '../nn/module.ts';
import type { Device } from '../tensor/device.ts';
import { byDistance } from '../tensor/ops/distances.ts';
import { permute } from '../tensor/ops/view.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { encoderModel } from './common/base-model.ts';
import { type ConfigValues, encoderKeys, type PretrainedConfig } from './common/config.ts';
import { Encoder, type PlainlySeen, type RelativePositions } from './common/encoder.ts';
import type { Family } from './common/family.ts';
import { answerSpan, eachToken, pooled, vocabulary } from './common/heads.ts';
import { fixed, key, size } from './common/keys.ts';
import { distanceRule } from './common/length-tables.ts';
import { multipleChoice, rating } from './common/multiple-choice.ts';
import { maskedLm, questionAnswering, sequenceClassification, tokenClassification } from './common/tasks.ts';
import type { NameRule } from './files/weight-names.ts';
import { firstToken, RobertaEmbeddings, relativeKeys } from './roberta.ts';

/** transformers sorts distances into as many buckets, whatever the config says of the embedding's rows. */
const BUCKETS = 32;
/** Distances from here on share a bucket. */
const FARTHEST = 128;

const keys = {
  ...relativeKeys,
  vocabSize: { ...encoderKeys.vocabSize, default: 30527 },
  relativeAttentionNumBuckets: key(
    'relative_attention_num_buckets',
    v.pipe(size, v.minValue(BUCKETS, `must be ${BUCKETS} or more`)),
    BUCKETS,
  ),
  classifierDropout: fixed(null),
  typeVocabSize: fixed(0),
  positionEmbeddingType: fixed<'absolute'>('absolute'),
} as const;

type MPNetConfig = PretrainedConfig & ConfigValues<typeof keys>;

const names: readonly NameRule[] = [
  ['attention.self.query', 'attention.attn.q'],
  ['attention.self.key', 'attention.attn.k'],
  ['attention.self.value', 'attention.attn.v'],
  ['attention.output.dense', 'attention.attn.o'],
  ['attention.output.LayerNorm', 'attention.LayerNorm'],
];

/** transformers takes 1 for padding, whatever the config says. */
class MPNetEmbeddings extends RobertaEmbeddings {
  constructor(device: Device, config: PretrainedConfig) {
    super(device, { ...config, padTokenId: 1 });
  }
}

/**
 * T5's bucket of a query's position minus a key's: one for each distance up to 7, then eight whose widths grow
 * as the logarithm; as many again for keys that come later. float32, as transformers computes it.
 */
export function distanceBucket(distance: number): number {
  const half = BUCKETS / 2;
  const exact = half / 2;
  const n = Math.abs(distance);
  const { fround, log } = Math;
  const steps = fround(
    fround(fround(log(fround(n / exact))) / fround(log(FARTHEST / exact))) * (half - exact),
  );
  const bucket = n < exact ? n : Math.min(half - 1, exact + Math.trunc(steps));
  return distance < 0 ? half + bucket : bucket;
}

const buckets = distanceRule(FARTHEST + 1, distanceBucket, { saturates: true });

export class MPNetEncoder extends Encoder {
  readonly relative_attention_bias: Embedding;

  constructor(device: Device, config: PretrainedConfig) {
    super(device, config);
    const { relativeAttentionNumBuckets, numAttentionHeads } = config as MPNetConfig;
    this.relative_attention_bias = new Embedding(device, relativeAttentionNumBuckets, numAttentionHeads);
  }

  override get knowsDistances(): boolean {
    return true;
  }

  protected override plainly(device: Device, length: number, mask: Tensor | undefined): PlainlySeen {
    const { bias } = this.relative(device, length);
    return { ...super.plainly(device, length, mask), bias: byDistance(bias!, 'none') };
  }

  protected override relative(device: Device, length: number): RelativePositions {
    const rows = this.tables.of(device, length, buckets);
    return { bias: permute(this.relative_attention_bias.forward(rows), [1, 0]) };
  }

  /** The bias does not shrink, as in transformers, which tells biases by their names. */
  override ownUndecayed(): readonly Tensor[] {
    return [this.relative_attention_bias.weight];
  }

  /** The bias thaws with the first layer. */
  override groups(): Module[][] {
    const groups = super.groups();
    groups.at(-1)!.push(this.relative_attention_bias);
    return groups;
  }
}

declarePure(MPNetEmbeddings, MPNetEncoder);

export class MPNetModel extends encoderModel({
  prefix: 'mpnet',
  config: keys,
  names,
  Embeddings: MPNetEmbeddings,
  Encoder: MPNetEncoder,
}) {}

export class MPNetForSequenceClassification extends sequenceClassification(MPNetModel, firstToken) {}
export class MPNetForTokenClassification extends tokenClassification(MPNetModel, eachToken) {}
export class MPNetForQuestionAnswering extends questionAnswering(MPNetModel, answerSpan) {}
export class MPNetForMaskedLM extends maskedLm(MPNetModel, vocabulary('gelu')) {}
export class MPNetForMultipleChoice extends multipleChoice(MPNetModel, rating(pooled)) {}

export const mpnet = {
  modelType: 'mpnet',
  className: 'MPNet',
  config: keys,
  Model: MPNetModel,
  tasks: {
    sequenceClassification: MPNetForSequenceClassification,
    tokenClassification: MPNetForTokenClassification,
    questionAnswering: MPNetForQuestionAnswering,
    maskedLm: MPNetForMaskedLM,
    multipleChoice: MPNetForMultipleChoice,
  },
  tokenizerDefaults: { tokenizer_class: 'MPNetTokenizer' },
} as const satisfies Family;
