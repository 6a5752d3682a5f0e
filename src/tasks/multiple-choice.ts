/** Which of several endings fits a text. */

import { collected } from '../arrays.ts';
import { type Choices, textsWithChoices } from '../data/choices.ts';
import { type ChoiceExample, dataCollatorForMultipleChoice } from '../data/collate-choices.ts';
import { oneLabelColumn } from '../data/columns.ts';
import { recordOptions } from '../data/records.ts';
import type { TableOptions } from '../data/table.ts';
import { UsageError } from '../errors.ts';
import { AutoModelForMultipleChoice } from '../models/auto.ts';
import { defined } from '../options.ts';
import { accuracy, argmaxRows, checkFinite, softmaxRows } from '../train/metrics.ts';
import { nameOf } from './file-front.ts';
import { surveyed } from './stream.ts';
import { checkEncoding, type Decision, featureList, type Row, type Task } from './task.ts';
import { encodeText } from './text-windows.ts';

const decision: Decision = {
  config: {},
  keepsHead: null,
  about: ['task: the choice that fits a text'],
  labels: '',
  metrics: ['accuracy'],
};

function textsOf(path: string, options: TableOptions): AsyncGenerator<Choices> {
  const { readLabels, labelColumn } = options;
  return textsWithChoices(path, {
    ...recordOptions(options),
    ...defined({ labelColumn: oneLabelColumn(path, labelColumn), readLabels }),
  });
}

const aboutChoices = (path: string, examples: readonly Choices[]): string[] => [
  `${path}: ${examples.length} texts, ${examples[0]!.choices.length} choices each`,
];

export const multipleChoice: Task<Choices, ChoiceExample> = {
  name: 'multiple-choice',
  model: 'multipleChoice',
  auto: AutoModelForMultipleChoice,
  files: 'texts with several choices each',
  things: 'texts',
  maxLength: null,
  columns: ['labelColumn', 'delimiter'],

  looks(front) {
    const ending = [...front.names].find((name) => /^(ending|choice|option)_?\d+$/.test(name));
    const list = nameOf(front, ['endings', 'choices', 'options']);
    if (ending !== undefined) return `there are columns '${ending}', …`;
    return front.kind === 'json' && list !== undefined ? `there are '${list}'` : null;
  },

  async read(path, options) {
    const examples = await collected(textsOf(path, options));
    return { path, examples, about: aboutChoices(path, examples) };
  },

  async survey(path, options) {
    let thin: Choices | null = null;
    const survey = await surveyed(
      path,
      () => textsOf(path, options),
      // All have as many choices.
      ({ choices }) => {
        thin ??= { prompt: '', endings: [], choices: choices.map(() => ''), label: 0, place: path };
        return thin;
      },
    );
    return { ...survey, about: aboutChoices(path, survey.examples) };
  },

  example() {
    throw new UsageError('multiple-choice takes a text and its choices', {
      remedy: 'write them into a file and pass --data',
    });
  },

  group: ({ prompt }) => prompt,

  decide: () => decision,
  ofModel: () => decision,
  pairs: () => true,
  nextStep: () => ({ what: 'Choose', words: '--data texts.jsonl' }),

  bind(tokenizer, _config, options) {
    checkEncoding(options);
    const settings = { maxLength: options.maxLength };
    const encode = ({ prompt, endings, label, place }: Choices): ChoiceExample => {
      const pairs = endings.map((pair) => encodeText(tokenizer, { text: prompt, pair, place }, options));
      return {
        inputIds: pairs.map(({ inputIds }) => inputIds),
        tokenTypeIds: pairs.map(({ tokenTypeIds }) => tokenTypeIds),
        ...(label !== null && { label }),
      };
    };
    return {
      settings: () => settings,
      encode: (examples) => featureList(examples, examples.map(encode), settings),
      collate: dataCollatorForMultipleChoice({
        padTokenId: tokenizer.padTokenId,
        paddingSide: tokenizer.paddingSide,
      }),

      computeMetrics({ predictions, labelIds }) {
        const { values, shape } = predictions.logits!;
        checkFinite(values as Float32Array, shape[1]!);
        return { accuracy: accuracy(argmaxRows(values, shape[1]!), labelIds.labels!.values) };
      },

      predictions({ predictions }, { examples }) {
        const { values, shape } = predictions.logits!;
        const count = shape[1]!;
        checkFinite(values as Float32Array, count);
        return examples.map(({ prompt, choices }, row): Row => {
          const scores = [
            ...softmaxRows((values as Float32Array).subarray(row * count, (row + 1) * count), count),
          ];
          const label = scores.indexOf(Math.max(...scores));
          const [choice, score] = [choices[label]!, scores[label]!];
          return {
            json: { prompt, label, choice, score, scores },
            text: `${label}\t${score.toFixed(4)}\t${choice}\t${prompt}`,
          };
        });
      },
    };
  },
};
