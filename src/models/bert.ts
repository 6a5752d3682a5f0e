/** BERT (Devlin et al., 2019). */
import { encoderModel } from './common/base-model.ts';
import { encoderKeys } from './common/config.ts';
import { Embeddings } from './common/embeddings.ts';
import type { Family } from './common/family.ts';
import { answerSpan, eachToken, head, vocabulary } from './common/heads.ts';
import { maskedLm, questionAnswering, sequenceClassification, tokenClassification } from './common/tasks.ts';
import type { NameRule } from './files/weight-names.ts';

const names: readonly NameRule[] = [
  ['lm_head.dense', 'cls.predictions.transform.dense'],
  ['lm_head.layer_norm', 'cls.predictions.transform.LayerNorm'],
  ['lm_head', 'cls.predictions'],
];

export class BertModel extends encoderModel({ prefix: 'bert', config: encoderKeys, names, Embeddings }) {}

/** Dropout, projection of the pooled first token. */
const pooled = head({
  parts: eachToken.parts,
  logits: ({ dropout, classifier }, { poolerOutput }) => classifier.forward(dropout.forward(poolerOutput!)),
  pooler: true,
  classLayer: 'classifier',
});

export class BertForSequenceClassification extends sequenceClassification(BertModel, pooled) {}
export class BertForTokenClassification extends tokenClassification(BertModel, eachToken) {}
export class BertForQuestionAnswering extends questionAnswering(BertModel, answerSpan) {}
export class BertForMaskedLM extends maskedLm(BertModel, vocabulary()) {}

export const bert = {
  modelType: 'bert',
  config: encoderKeys,
  Model: BertModel,
  tasks: {
    sequenceClassification: BertForSequenceClassification,
    tokenClassification: BertForTokenClassification,
    questionAnswering: BertForQuestionAnswering,
    maskedLm: BertForMaskedLM,
  },
  tokenizerDefaults: { tokenizer_class: 'BertTokenizer' },
} as const satisfies Family;
