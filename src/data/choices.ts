/** Texts with several endings, one of which is right: SWAG's CSV, and records with a list of choices. */
import { collected } from '../arrays.ts';
import { DataError } from '../errors.ts';
import { isObject } from '../json.ts';
import { checkOptions, type OptionNames } from '../options.ts';
import {
  columnIn,
  type DataRecord,
  listIn,
  nameIn,
  type RecordOptions,
  recordOptionNames,
  recordsOf,
  textIn,
} from './records.ts';

export interface Choices {
  /** The first text of each pair. */
  prompt: string;
  /** The second text of each pair: a choice, after the begun sentence or the question if there is one. */
  endings: readonly string[];
  /** The choices alone. */
  choices: readonly string[];
  /** Number of the right choice; null if not known. */
  label: number | null;
  place: string;
}

export interface ChoicesOptions extends RecordOptions {
  labelColumn?: string | number;
  /** Whether to read labels. Default true. */
  readLabels?: boolean;
}

const choicesOptionNames: OptionNames<ChoicesOptions> = {
  ...recordOptionNames,
  labelColumn: true,
  readLabels: true,
};

const promptNames = ['sent1', 'context', 'article', 'passage', 'premise', 'prompt', 'question', 'text'];
const listNames = ['endings', 'choices', 'options'];
const labelNames = ['label', 'answer', 'answerkey', 'gold', 'correct'];

/** The name of a record's list of choices, or the names of its columns `ending0`, `ending1`, …. */
function choiceNames(record: DataRecord): string | string[] | null {
  const list = nameIn(record, listNames);
  if (list !== undefined) return list;
  for (const stem of ['ending', 'choice', 'option', 'answer']) {
    const names = Object.keys(record.values).filter((name) => new RegExp(`^${stem}_?\\d+$`, 'i').test(name));
    if (names.length > 1) return names;
  }
  return null;
}

/**
 * Reads texts with choices: columns `sent1`, `sent2`, `ending0`, … and `label`, as in SWAG, or records with a
 * text (`prompt`, `context`, `question`), a list `choices` and a `label`: a number from 0, a letter, or the
 * choice itself. Throws `DataError` naming the place; all records must have as many choices.
 */
export async function readChoices(path: string, options: ChoicesOptions = {}): Promise<Choices[]> {
  return collected(textsWithChoices(path, options));
}

/** The texts as they are read. Throws as `readChoices` does. */
export async function* textsWithChoices(path: string, options: ChoicesOptions = {}): AsyncGenerator<Choices> {
  checkOptions('readChoices', options, choicesOptionNames);
  let count: number | null = null;
  for await (const record of recordsOf(path, options)) {
    const found = fromRecord(record, options);
    const { length } = found.choices;
    count ??= length;
    if (length !== count)
      throw new DataError(`${found.place} has ${length} choices, the first ${count}`, {
        remedy: 'give each text as many choices',
      });
    yield found;
  }
}

function fromRecord(record: DataRecord, { labelColumn, readLabels = true }: ChoicesOptions): Choices {
  const { place, values } = record;
  const found = choiceNames(record);
  const promptName = nameIn(record, promptNames);
  if (found === null || promptName === undefined)
    throw new DataError(`${place} has no ${found === null ? 'choices' : 'text to go on from'}`, {
      remedy: "name them as SWAG does (sent1, sent2, ending0, …, label), or 'prompt', 'choices' and 'label'",
    });
  const choices =
    typeof found === 'string' ? listOf(record, found) : found.map((name) => textIn(record, name));
  if (choices.length < 2)
    throw new DataError(`${place} has ${choices.length} choices`, { remedy: 'give two or more' });
  // SWAG begins the endings' sentence in `sent2`; elsewhere a question may follow the text.
  const begun = ['sent2', 'question'].find((name) => name !== promptName && values[name] !== undefined);
  const start = begun === undefined ? '' : textIn(record, begun);
  return {
    prompt: textIn(record, promptName),
    endings: choices.map((choice) => (start === '' ? choice : `${start} ${choice}`)),
    choices,
    label: readLabels
      ? labelOf(record, columnIn(record, labelColumn) ?? nameIn(record, labelNames), choices)
      : null,
    place,
  };
}

function listOf(record: DataRecord, name: string): string[] {
  const value = record.values[name];
  // ARC's choices: lists of texts and of letters.
  const list = isObject(value) && Array.isArray(value.text) ? value.text : listIn(record, name);
  return list.map(String);
}

function labelOf(record: DataRecord, name: string | undefined, choices: readonly string[]): number {
  const { place } = record;
  if (name === undefined)
    throw new DataError(`${place} has no label`, { remedy: "name it 'label', or pass --label-column" });
  const label = textIn(record, name).trim();
  const number = /^\d+$/.test(label)
    ? Number(label)
    : /^[A-Z]$/.test(label)
      ? label.charCodeAt(0) - 65
      : choices.indexOf(label);
  if (number >= 0 && number < choices.length) return number;
  throw new DataError(`${place}: the label '${label}' is none of ${choices.length} choices`, {
    remedy: 'write the number of the right choice, from 0, its letter, or the choice itself',
  });
}
