/**
 * The families with fixtures in test/reference/fixtures/models/, where a folder's name is a family's and a
 * task's. A family that is registered is in every test that takes this list.
 */
import {
  AutoModel,
  AutoModelForMaskedLM,
  AutoModelForMultipleChoice,
  AutoModelForPreTraining,
  AutoModelForQuestionAnswering,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
} from '../../src/models/auto.ts';
import { type ModelType, modelTypes } from '../../src/models/registry.ts';

export const families = modelTypes;

/** By the end of a folder's name, the class that loads it; each head once. */
export const heads = {
  base: AutoModel,
  single: AutoModelForSequenceClassification,
  token: AutoModelForTokenClassification,
  qa: AutoModelForQuestionAnswering,
  mlm: AutoModelForMaskedLM,
  choice: AutoModelForMultipleChoice,
};

/** Folders with labels, a loss and gradients. */
export const tasks = {
  single: AutoModelForSequenceClassification,
  multi: AutoModelForSequenceClassification,
  regression: AutoModelForSequenceClassification,
  token: AutoModelForTokenClassification,
  qa: AutoModelForQuestionAnswering,
  mlm: AutoModelForMaskedLM,
  choice: AutoModelForMultipleChoice,
};

/** As `tasks`, and what a family has of its own. */
export const tasksOf = (family: ModelType) => ({
  ...tasks,
  ...(family === 'modernbert' && {
    local: AutoModelForTokenClassification,
    mean: AutoModelForSequenceClassification,
    unbiased: AutoModelForMaskedLM,
  }),
  ...(family === 'deberta-v2' && {
    newer: AutoModelForMaskedLM,
    content: AutoModelForMaskedLM,
    positions: AutoModelForMaskedLM,
  }),
  ...(family === 'electra' && { replaced: AutoModelForPreTraining }),
  ...(['albert', 'bert'].includes(family) && { pairs: AutoModelForPreTraining }),
  ...(['bert', 'electra'].includes(family) && { relative_key_query: AutoModelForSequenceClassification }),
  ...(family === 'bert' && { relative_key: AutoModelForSequenceClassification }),
});
