/** XLM-RoBERTa (Conneau et al., 2020): RoBERTa's model with defaults and a tokenizer of its own. */
import type { Family } from './common/family.ts';
import { answerSpan, eachToken, vocabulary } from './common/heads.ts';
import { multipleChoice } from './common/multiple-choice.ts';
import { maskedLm, questionAnswering, sequenceClassification, tokenClassification } from './common/tasks.ts';
import { firstToken, pooledRating, relativeKeys, robertaModel } from './roberta.ts';

export class XLMRobertaModel extends robertaModel(relativeKeys) {}

export class XLMRobertaForSequenceClassification extends sequenceClassification(
  XLMRobertaModel,
  firstToken,
) {}
export class XLMRobertaForTokenClassification extends tokenClassification(XLMRobertaModel, eachToken) {}
export class XLMRobertaForQuestionAnswering extends questionAnswering(XLMRobertaModel, answerSpan) {}
export class XLMRobertaForMaskedLM extends maskedLm(XLMRobertaModel, vocabulary('gelu')) {}
export class XLMRobertaForMultipleChoice extends multipleChoice(XLMRobertaModel, pooledRating) {}

export const xlmRoberta = {
  modelType: 'xlm-roberta',
  className: 'XLMRoberta',
  config: relativeKeys,
  Model: XLMRobertaModel,
  tasks: {
    sequenceClassification: XLMRobertaForSequenceClassification,
    tokenClassification: XLMRobertaForTokenClassification,
    questionAnswering: XLMRobertaForQuestionAnswering,
    maskedLm: XLMRobertaForMaskedLM,
    multipleChoice: XLMRobertaForMultipleChoice,
  },
  tokenizerDefaults: { tokenizer_class: 'XLMRobertaTokenizer' },
} as const satisfies Family;
