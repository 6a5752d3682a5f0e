/** BERT (Devlin et al., 2019). */
import { Linear } from '../nn/layers.ts';
import { encoderModel } from './common/base-model.ts';
import { encoderKeys } from './common/config.ts';
import { Embeddings } from './common/embeddings.ts';
import type { Family } from './common/family.ts';
import { answerSpan, eachToken, pooled, vocabulary } from './common/heads.ts';
import { multipleChoice, rating } from './common/multiple-choice.ts';
import { pairHead, pairPreTraining } from './common/pair-pretraining.ts';
import { maskedLm, questionAnswering, sequenceClassification, tokenClassification } from './common/tasks.ts';
import type { NameRule } from './files/weight-names.ts';

const names: readonly NameRule[] = [
  ['lm_head.dense', 'cls.predictions.transform.dense'],
  ['lm_head.layer_norm', 'cls.predictions.transform.LayerNorm'],
  ['lm_head', 'cls.predictions'],
  ['seq_relationship', 'cls.seq_relationship'],
];

export class BertModel extends encoderModel({ prefix: 'bert', config: encoderKeys, names, Embeddings }) {}

const tokensAndNext = pairHead((config, device) => ({
  seq_relationship: new Linear(device, config.hiddenSize, 2),
}));

/** `nextSentenceLabel`: 0 if the second text follows the first, 1 if it is any other. */
const nextSentence = pairPreTraining({
  part: 'seq_relationship',
  label: 'nextSentenceLabel',
  logits: 'seqRelationshipLogits',
});

export class BertForSequenceClassification extends sequenceClassification(BertModel, pooled) {}
export class BertForTokenClassification extends tokenClassification(BertModel, eachToken) {}
export class BertForQuestionAnswering extends questionAnswering(BertModel, answerSpan) {}
export class BertForMaskedLM extends maskedLm(BertModel, vocabulary()) {}
export class BertForMultipleChoice extends multipleChoice(BertModel, rating(pooled)) {}
export class BertForPreTraining extends nextSentence(BertModel, tokensAndNext) {}

export const bert = {
  modelType: 'bert',
  className: 'Bert',
  config: encoderKeys,
  Model: BertModel,
  tasks: {
    sequenceClassification: BertForSequenceClassification,
    tokenClassification: BertForTokenClassification,
    questionAnswering: BertForQuestionAnswering,
    maskedLm: BertForMaskedLM,
    multipleChoice: BertForMultipleChoice,
    preTraining: BertForPreTraining,
  },
  tokenizerDefaults: { tokenizer_class: 'BertTokenizer' },
} as const satisfies Family;
