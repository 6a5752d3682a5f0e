/** Questions about texts: SQuAD's files, and records of question, context and answers. */
import { collected } from '../arrays.ts';
import { DataError } from '../errors.ts';
import { isObject } from '../json.ts';
import { checkOptions, type OptionNames } from '../options.ts';
import { unitsAt } from './code-points.ts';
import {
  type DataRecord,
  nameIn,
  type RecordOptions,
  recordOptionNames,
  recordsOf,
  textIn,
} from './records.ts';

export interface Answer {
  text: string;
  /** Where it begins in the context, in UTF-16 units. */
  start: number;
}

export interface Question {
  id: string;
  question: string;
  context: string;
  /** None if the context does not answer the question; null if not known. */
  answers: readonly Answer[] | null;
  /** What other questions may be about too: the article's title or place, else the context. */
  article: string;
  place: string;
}

export interface QuestionOptions extends RecordOptions {
  /** Whether to read answers. Default true. */
  readLabels?: boolean;
}

const questionOptionNames: OptionNames<QuestionOptions> = { ...recordOptionNames, readLabels: true };

export const contextNames = ['context', 'passage', 'paragraph'];

/**
 * Reads questions: articles with `paragraphs`, as in SQuAD 1 and 2, or records with `question`, `context` and
 * `answers` (`[{ text, answer_start }]`, or `{ text: [], answer_start: [] }` as on the hub); no answers mean
 * that the context has none. `answer_start` counts characters as Python does. Throws `DataError` naming the
 * place, also if an answer is not where it is said to be.
 */
export async function readQuestions(path: string, options: QuestionOptions = {}): Promise<Question[]> {
  return collected(questionsOf(path, options));
}

/** The questions as they are read. Throws as `readQuestions` does. */
export async function* questionsOf(path: string, options: QuestionOptions = {}): AsyncGenerator<Question> {
  checkOptions('readQuestions', options, questionOptionNames);
  const labels = options.readLabels ?? true;
  let number = 0;
  for await (const record of recordsOf(path, options))
    for (const question of Array.isArray(record.values.paragraphs)
      ? article(record, labels)
      : [fromRecord(record, labels)]) {
      yield question.id === '' ? { ...question, id: String(number) } : question;
      number += 1;
    }
}

function article({ values, place }: DataRecord, labels: boolean): Question[] {
  const title = values.title ?? place;
  return (values.paragraphs as unknown[]).flatMap((paragraph, at) => {
    const where = `${place}, paragraph ${at + 1}`;
    if (!isObject(paragraph) || !Array.isArray(paragraph.qas))
      throw new DataError(`${where} has no 'qas'`, { remedy: 'write SQuAD’s format' });
    return paragraph.qas.map((qa: unknown, number) => {
      const here = `${where}, question ${number + 1}`;
      if (!isObject(qa)) throw new DataError(`${here} is no object`, { remedy: 'write SQuAD’s format' });
      return fromRecord({ values: { ...qa, context: paragraph.context, title }, place: here }, labels);
    });
  });
}

function fromRecord(record: DataRecord, labels: boolean): Question {
  const { values, place } = record;
  const contextName = nameIn(record, contextNames) ?? 'context';
  const [question, context] = [textIn(record, 'question'), textIn(record, contextName)];
  const id = values.id ?? values.qid ?? '';
  const answers = labels ? answersOf(record, context) : null;
  const article = typeof values.title === 'string' ? values.title : context;
  return { id: String(id), question, context, answers, article, place };
}

function answersOf({ values, place }: DataRecord, context: string): Answer[] {
  const given = values.answers ?? values.answer;
  if (values.is_impossible === true) return [];
  let list: unknown = given;
  // The hub's columns: a list of each.
  if (isObject(given) && Array.isArray(given.text)) {
    const starts = Array.isArray(given.answer_start) ? given.answer_start : [];
    list = given.text.map((text, at) => ({ text, answer_start: starts[at] }));
  } else if (isObject(given)) list = [given];
  else if (typeof given === 'string') list = [{ text: given, answer_start: values.answer_start }];
  if (!Array.isArray(list))
    throw new DataError(`${place} has no 'answers'`, {
      remedy: 'write [{"text": "…", "answer_start": 0}], or [] for none',
    });
  return list.map((answer: unknown) => answerOf(answer, context, place));
}

function answerOf(answer: unknown, context: string, place: string): Answer {
  const value = typeof answer === 'string' ? { text: answer } : answer;
  if (!isObject(value) || typeof value.text !== 'string' || value.text === '')
    throw new DataError(`${place}: ${JSON.stringify(answer)} is no answer`, {
      remedy: 'write {"text": "…", "answer_start": 0}',
    });
  const { text, answer_start: at } = value as { text: string; answer_start?: unknown };
  const shown = text.length > 40 ? `${text.slice(0, 40)}…` : text;
  if (at === undefined || at === null) {
    const start = context.indexOf(text);
    if (start >= 0 && context.indexOf(text, start + 1) < 0) return { text, start };
    throw new DataError(
      `${place}: the context has the answer '${shown}' ${start < 0 ? 'nowhere' : 'twice'}`,
      {
        remedy: "say where it begins: 'answer_start'",
      },
    );
  }
  const start = Number.isInteger(at) && (at as number) >= 0 ? unitsAt(context, at as number) : -1;
  if (start >= 0 && context.startsWith(text, start)) return { text, start };
  throw new DataError(`${place}: the answer '${shown}' does not begin at character ${String(at)}`, {
    remedy: 'count characters from 0, as Python does',
  });
}
