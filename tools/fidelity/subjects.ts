/** What is compared: every class of every family, with each kind of labels and flags that has a fixture. */

import type { Family } from '../../src/models/common/family.ts';
import type { PreTrainedModel } from '../../src/models/common/pretrained.ts';
import type { LoadOptions } from '../../src/models/files/load.ts';
import { families, type ModelType } from '../../src/models/registry.ts';
import { heads, tasksOf } from '../../test/support/families.ts';

type Task = keyof Family['tasks'] | 'base';

/** By the end of a fixture's folder: the task, and what the row says of it. */
const kinds: Readonly<Record<string, readonly [task: Task, kind: string]>> = {
  base: ['base', 'states'],
  single: ['sequenceClassification', 'one label'],
  multi: ['sequenceClassification', 'several labels'],
  regression: ['sequenceClassification', 'regression'],
  mean: ['sequenceClassification', 'mean pooling, other biases and activations'],
  relative_key: ['sequenceClassification', 'one label, relative_key'],
  relative_key_query: ['sequenceClassification', 'one label, relative_key_query'],
  token: ['tokenClassification', 'tokens'],
  local: ['tokenClassification', 'texts longer than windows'],
  qa: ['questionAnswering', 'spans'],
  mlm: ['maskedLm', 'tied decoder'],
  'mlm-untied': ['maskedLm', 'untied decoder'],
  unbiased: ['maskedLm', 'other biases'],
  newer: ['maskedLm', 'the newer head, absolute positions, types'],
  content: ['maskedLm', 'no distances'],
  positions: ['maskedLm', 'distances to content alone'],
  choice: ['multipleChoice', 'choices'],
  replaced: ['preTraining', 'replaced tokens'],
  pairs: ['preTraining', 'masks and pairs'],
};

export interface Subject {
  family: ModelType;
  /** The end of the fixture's folder. */
  head: string;
  /** The fixture's folder. */
  name: string;
  task: Task;
  /** The class, named as in transformers. */
  className: string;
  kind: string;
}

interface Loader {
  fromPretrained(folder: string, options: LoadOptions): Promise<PreTrainedModel>;
}

function loadersOf(family: ModelType): Readonly<Record<string, Loader>> {
  return { base: heads.base, ...tasksOf(family), 'mlm-untied': heads.mlm };
}

export function loaderOf({ family, head }: Subject): Loader {
  return loadersOf(family)[head]!;
}

/** Whether only transformers 4 has what the model does. */
export const isLegacy = ({ head }: Subject): boolean => head.startsWith('relative_key');

/** All of them, or those of some families. */
export function subjects(only: readonly string[] = []): Subject[] {
  return families
    .filter(({ modelType }) => only.length === 0 || only.includes(modelType))
    .flatMap(({ modelType: family, Model, tasks }) =>
      Object.keys(loadersOf(family)).map((head) => {
        const [task, kind] = kinds[head] ?? [];
        if (task === undefined || kind === undefined) throw new Error(`nothing says what '${head}' is`);
        const type = task === 'base' ? Model : (tasks as Family['tasks'])[task];
        if (type === undefined) throw new Error(`${family} has no class for '${head}'`);
        return { family, head, name: `${family}-${head}`, task, className: type.name, kind };
      }),
    );
}
