/** XLM-RoBERTa (Conneau et al., 2020): RoBERTa's model with defaults and a tokenizer of its own. */
import { encoderModel } from './common/base-model.ts';
import { encoderKeys } from './common/config.ts';
import type { Family } from './common/family.ts';
import { answerSpan, eachToken, vocabulary } from './common/heads.ts';
import { maskedLm, questionAnswering, sequenceClassification, tokenClassification } from './common/tasks.ts';
import { firstToken, RobertaEmbeddings } from './roberta.ts';

const keys = { ...encoderKeys, padTokenId: { ...encoderKeys.padTokenId, default: 1 } } as const;

export class XLMRobertaModel extends encoderModel({
  prefix: 'roberta',
  config: keys,
  Embeddings: RobertaEmbeddings,
}) {}

export class XLMRobertaForSequenceClassification extends sequenceClassification(
  XLMRobertaModel,
  firstToken,
) {}
export class XLMRobertaForTokenClassification extends tokenClassification(XLMRobertaModel, eachToken) {}
export class XLMRobertaForQuestionAnswering extends questionAnswering(XLMRobertaModel, answerSpan) {}
export class XLMRobertaForMaskedLM extends maskedLm(XLMRobertaModel, vocabulary('gelu')) {}

export const xlmRoberta = {
  modelType: 'xlm-roberta',
  config: keys,
  Model: XLMRobertaModel,
  tasks: {
    sequenceClassification: XLMRobertaForSequenceClassification,
    tokenClassification: XLMRobertaForTokenClassification,
    questionAnswering: XLMRobertaForQuestionAnswering,
    maskedLm: XLMRobertaForMaskedLM,
  },
  tokenizerDefaults: { tokenizer_class: 'XLMRobertaTokenizer' },
} as const satisfies Family;
