/** CamemBERT (Martin et al., 2020): RoBERTa's model with defaults and a tokenizer of its own. */
import { encoderModel } from './common/base-model.ts';
import { encoderKeys } from './common/config.ts';
import type { Family } from './common/family.ts';
import { answerSpan, eachToken, vocabulary } from './common/heads.ts';
import { maskedLm, questionAnswering, sequenceClassification, tokenClassification } from './common/tasks.ts';
import { firstToken, RobertaEmbeddings } from './roberta.ts';

const keys = { ...encoderKeys, padTokenId: { ...encoderKeys.padTokenId, default: 1 } } as const;

export class CamembertModel extends encoderModel({
  prefix: 'roberta',
  config: keys,
  Embeddings: RobertaEmbeddings,
}) {}

export class CamembertForSequenceClassification extends sequenceClassification(CamembertModel, firstToken) {}
export class CamembertForTokenClassification extends tokenClassification(CamembertModel, eachToken) {}
export class CamembertForQuestionAnswering extends questionAnswering(CamembertModel, answerSpan) {}
export class CamembertForMaskedLM extends maskedLm(CamembertModel, vocabulary('gelu')) {}

export const camembert = {
  modelType: 'camembert',
  config: keys,
  Model: CamembertModel,
  tasks: {
    sequenceClassification: CamembertForSequenceClassification,
    tokenClassification: CamembertForTokenClassification,
    questionAnswering: CamembertForQuestionAnswering,
    maskedLm: CamembertForMaskedLM,
  },
  tokenizerDefaults: { tokenizer_class: 'CamembertTokenizer' },
} as const satisfies Family;
