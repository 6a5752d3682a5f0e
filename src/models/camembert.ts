/** CamemBERT (Martin et al., 2020): RoBERTa's model with defaults and a tokenizer of its own. */
import type { Family } from './common/family.ts';
import { answerSpan, eachToken, vocabulary } from './common/heads.ts';
import { multipleChoice } from './common/multiple-choice.ts';
import { maskedLm, questionAnswering, sequenceClassification, tokenClassification } from './common/tasks.ts';
import { firstToken, pooledRating, relativeKeys, robertaModel } from './roberta.ts';

export class CamembertModel extends robertaModel(relativeKeys) {}

export class CamembertForSequenceClassification extends sequenceClassification(CamembertModel, firstToken) {}
export class CamembertForTokenClassification extends tokenClassification(CamembertModel, eachToken) {}
export class CamembertForQuestionAnswering extends questionAnswering(CamembertModel, answerSpan) {}
export class CamembertForMaskedLM extends maskedLm(CamembertModel, vocabulary('gelu')) {}
export class CamembertForMultipleChoice extends multipleChoice(CamembertModel, pooledRating) {}

export const camembert = {
  modelType: 'camembert',
  className: 'Camembert',
  config: relativeKeys,
  Model: CamembertModel,
  tasks: {
    sequenceClassification: CamembertForSequenceClassification,
    tokenClassification: CamembertForTokenClassification,
    questionAnswering: CamembertForQuestionAnswering,
    maskedLm: CamembertForMaskedLM,
    multipleChoice: CamembertForMultipleChoice,
  },
  tokenizerDefaults: { tokenizer_class: 'CamembertTokenizer' },
} as const satisfies Family;
