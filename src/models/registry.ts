/** The families of models: code that works for every family asks this list. */
import { keepNames } from '../keep-names.ts';
import { declarePure } from '../nn/module.ts';
import { albert } from './albert.ts';
import { bert } from './bert.ts';
import { camembert } from './camembert.ts';
import type { Family } from './common/family.ts';
import { debertaV2 } from './deberta-v2.ts';
import { distilbert } from './distilbert.ts';
import { electra } from './electra.ts';
import { modernbert } from './modernbert.ts';
import { mpnet } from './mpnet.ts';
import { roberta } from './roberta.ts';
import { xlmRoberta } from './xlm-roberta.ts';

export const families = [
  bert,
  roberta,
  distilbert,
  xlmRoberta,
  camembert,
  electra,
  albert,
  mpnet,
  modernbert,
  debertaV2,
] as const satisfies readonly Family[];

/** What the names of classes end with, in `architectures` of config.json. */
const endings: Readonly<Record<keyof Family['tasks'], string>> = {
  sequenceClassification: 'ForSequenceClassification',
  tokenClassification: 'ForTokenClassification',
  questionAnswering: 'ForQuestionAnswering',
  maskedLm: 'ForMaskedLM',
  multipleChoice: 'ForMultipleChoice',
  preTraining: 'ForPreTraining',
};

for (const { className, Model, tasks } of families) {
  declarePure(Model, ...Object.values(tasks));
  keepNames({ [`${className}Model`]: Model });
  for (const [task, Class] of Object.entries(tasks))
    keepNames({ [`${className}${endings[task as keyof typeof endings]}`]: Class });
}

type KnownFamily = (typeof families)[number];
export type ModelType = KnownFamily['modelType'];
/** The classes of a task, one of each family. */
export type ClassesOf<Task extends keyof Family['tasks']> = Extract<
  KnownFamily['tasks'],
  { readonly [T in Task]: unknown }
>[Task];
export type BaseClasses = KnownFamily['Model'];
export type ConfigTables = KnownFamily['config'];

export const modelTypes: readonly ModelType[] = families.map(({ modelType }) => modelType);

/** The family of a `model_type`; undefined if it is not supported. */
export function familyOf(modelType: unknown): KnownFamily | undefined {
  return families.find((family) => family.modelType === modelType);
}
