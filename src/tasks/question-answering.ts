/** Answers to questions, as parts of a text. */

import { collected } from '../arrays.ts';
import { charactersAt } from '../data/code-points.ts';
import { dataCollatorWithPadding } from '../data/collate.ts';
import { contextNames, type Question, questionsOf } from '../data/questions.ts';
import { recordOptions } from '../data/records.ts';
import type { TableOptions } from '../data/table.ts';
import { DataError, UsageError } from '../errors.ts';
import { AutoModelForQuestionAnswering } from '../models/auto.ts';
import { defined } from '../options.ts';
import type { Encoding } from '../text/assemble.ts';
import type { PreTrainedTokenizer } from '../text/tokenizer.ts';
import type { EvalPrediction } from '../train/evaluate.ts';
import { type Ranking, rankAnswers } from './answers.ts';
import { nameOf } from './file-front.ts';
import { squadMetrics } from './squad-metrics.ts';
import { surveyed } from './stream.ts';
import {
  checkEncoding,
  type Decision,
  type EncodingOptions,
  type Features,
  featureList,
  type Row,
  type Task,
} from './task.ts';
import { strideOf, windowSettings } from './text-windows.ts';

interface QuestionFeature {
  inputIds: readonly number[];
  tokenTypeIds: readonly number[];
  /** First and last token of the answer; those of the first token if the window has none. */
  startPositions?: number;
  endPositions?: number;
  /** Number of its question among the examples. */
  example: number;
  /** [start, end) of each token in the context; null for other tokens. */
  places: readonly (readonly [number, number] | null)[];
  none: number;
}

const metrics = [
  'exact_match',
  'f1',
  'HasAns_exact',
  'HasAns_f1',
  'NoAns_exact',
  'NoAns_f1',
  'best_exact',
  'best_f1',
];

function decided(nullAnswers: boolean): Decision {
  const none = nullAnswers ? ', or none' : '';
  return {
    config: { numLabels: 2, nullAnswers },
    keepsHead: null,
    about: [`task: an answer to each question, as a part of its text${none}`],
    labels: '',
    metrics,
  };
}

const hasUnanswered = (examples: readonly Question[]): boolean =>
  examples.some(({ answers }) => answers?.length === 0);

const questions = (path: string, options: TableOptions): AsyncGenerator<Question> =>
  questionsOf(path, { ...recordOptions(options), ...defined({ readLabels: options.readLabels }) });

function aboutQuestions(path: string, examples: readonly Question[]): string[] {
  const none = examples.filter(({ answers }) => answers?.length === 0).length;
  const without = none > 0 ? `, ${none} of them without an answer` : '';
  return [`${path}: ${examples.length} questions${without}`];
}

export const questionAnswering: Task<Question, QuestionFeature> = {
  name: 'question-answering',
  model: 'questionAnswering',
  auto: AutoModelForQuestionAnswering,
  files: 'questions with a context and answers',
  things: 'questions',
  maxLength: 384,
  columns: ['delimiter'],

  looks(front) {
    if (front.kind !== 'json') return null;
    const { names } = front;
    if (names.has('paragraphs') && names.has('qas')) return "there are 'paragraphs' with 'qas', as in SQuAD";
    const context = nameOf(front, contextNames);
    const answered = nameOf(front, ['answers', 'answer', 'is_impossible']);
    if (!names.has('question') || context === undefined || nameOf(front, ['choices', 'options', 'endings']))
      return null;
    return answered !== undefined || nameOf(front, ['label', 'labels']) === undefined
      ? `there are 'question' and '${context}'`
      : null;
  },

  group: ({ article }) => article,

  async read(path, options) {
    const examples = await collected(questions(path, options));
    return { path, examples, about: aboutQuestions(path, examples) };
  },

  windows: true,

  async survey(path, options) {
    const thin = { id: '', question: '', context: '', article: '', place: path };
    const [none, some] = [
      { ...thin, answers: [] },
      { ...thin, answers: [{ text: '', start: 0 }] },
    ];
    const survey = await surveyed(
      path,
      () => questions(path, options),
      ({ answers }) => (answers?.length === 0 ? none : some),
    );
    return { ...survey, about: aboutQuestions(path, survey.examples) };
  },

  example({ text, pair }) {
    if (pair === undefined)
      throw new UsageError('question-answering takes a question and a text', {
        remedy: 'give the text with --pair, or both with a tab between and --pairs',
      });
    return { id: '', question: text, context: pair, answers: null, article: '', place: 'the question' };
  },

  decide: ({ examples }) => decided(hasUnanswered(examples)),
  ofModel: ({ nullAnswers }) => decided(nullAnswers ?? false),
  pairs: () => true,

  nextStep: () => ({ what: 'Answer a question', words: '"a question" --pair "a text"' }),

  bind(tokenizer, config, options) {
    checkEncoding(options);
    const collate = dataCollatorWithPadding({ padTokenId: tokenizer.padTokenId });
    const rank = (
      { predictions }: Pick<EvalPrediction, 'predictions'>,
      features: Features<Question, QuestionFeature>,
    ): Ranking[] => {
      const mayBeNone = config.nullAnswers === true || hasUnanswered(features.examples);
      return rankAll(predictions, features, { ...options, mayBeNone });
    };

    const settings = windowSettings(options);
    return {
      settings: () => settings,
      encode: (examples) =>
        featureList(
          examples,
          examples.flatMap((question, at) => windowsOfQuestion(question, at, tokenizer, options)),
          settings,
        ),
      collate,

      computeMetrics(prediction) {
        const features = prediction.dataset as Features<Question, QuestionFeature>;
        const { examples } = features;
        const ranked = rank(prediction, features);
        return squadMetrics(
          examples.map(({ answers, context }, at) => {
            const { answers: found, scoreDifference } = ranked[at]!;
            return {
              answers: answers!.map(({ text }) => text),
              prediction: context.slice(found[0]!.start, found[0]!.end),
              noAnswer: scoreDifference,
            };
          }),
        );
      },

      predictions(prediction, features) {
        const ranked = rank(prediction, features);
        return features.examples.map((question, at) => rowOf(question, ranked[at]!, options.nBest));
      },
    };
  },
};

/**
 * A question with each window of its context, as transformers' run_qa encodes them. Throws `DataError` if the
 * question leaves no room.
 */
function windowsOfQuestion(
  { question, context, answers, place }: Question,
  example: number,
  tokenizer: PreTrainedTokenizer,
  { maxLength, docStride }: EncodingOptions,
): QuestionFeature[] {
  const asked = question.trimStart();
  const room = maxLength - tokenizer.encode(asked, '').inputIds.length;
  if (room < 1)
    throw new DataError(`${place}: the question leaves no room for its text in ${maxLength} tokens`, {
      remedy: 'shorten it, or pass a larger --max-length',
    });
  const { overflowing = [], ...first } = tokenizer.encode(asked, context, {
    truncation: 'only_second',
    maxLength,
    stride: docStride === undefined ? strideOf({}, room) : Math.min(docStride, room - 1),
    returnOverflowingTokens: true,
  });
  return [first, ...overflowing].map((encoding) => {
    const places = encoding.offsets.map((offset, at) => (encoding.sequenceIds[at] === 1 ? offset : null));
    const none = Math.max(encoding.inputIds.indexOf(tokenizer.clsTokenId ?? -1), 0);
    const { inputIds, tokenTypeIds } = encoding;
    const label = answers === null ? null : answerTokens(encoding, answers[0], none);
    return {
      inputIds,
      tokenTypeIds,
      example,
      places,
      none,
      ...(label && { startPositions: label[0], endPositions: label[1] }),
    };
  });
}

/** First and last token of an answer; `none` for both if the window does not hold all of it. */
function answerTokens(
  { offsets, sequenceIds }: Encoding,
  answer: { text: string; start: number } | undefined,
  none: number,
): [number, number] {
  const tokens = [...offsets.keys()].filter((at) => sequenceIds[at] === 1);
  if (answer === undefined || tokens.length === 0) return [none, none];
  const end = answer.start + answer.text.length;
  if (offsets[tokens[0]!]![0] > answer.start || offsets[tokens.at(-1)!]![1] < end) return [none, none];
  const start = tokens.findLast((at) => offsets[at]![0] <= answer.start)!;
  return [start, tokens.find((at) => offsets[at]![1] >= end)!];
}

function rankAll(
  { startLogits, endLogits }: EvalPrediction['predictions'],
  features: Features<Question, QuestionFeature>,
  options: EncodingOptions & { mayBeNone: boolean },
): Ranking[] {
  const longest = startLogits!.shape[1]!;
  const windows: Parameters<typeof rankAnswers>[0][number][][] = features.examples.map(() => []);
  for (let row = 0; row < features.length; row += 1) {
    const { example, places, none } = features.get(row);
    const logits = (all: unknown): Float32Array =>
      (all as Float32Array).subarray(row * longest, row * longest + places.length);
    windows[example]!.push({
      start: logits(startLogits!.values),
      end: logits(endLogits!.values),
      places,
      none,
    });
  }
  return windows.map((one) => rankAnswers(one, options));
}

function rowOf({ id, question, context }: Question, { answers }: Ranking, nBest = 1): Row {
  const shown = answers.slice(0, nBest).map(({ start, end, score, probability }) => ({
    answer: context.slice(start, end),
    score,
    probability,
    start: charactersAt(context, start),
    end: charactersAt(context, end),
  }));
  const { probability: _, ...best } = shown[0]!;
  return {
    json: { ...(id !== '' && { id }), question, ...best, ...(nBest > 1 && { nbest: shown }) },
    text: `${best.answer || '(none)'}\t${best.score.toFixed(4)}\t${question}`,
  };
}
