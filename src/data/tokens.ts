/** Texts with a tag for each word: CoNLL columns, records of words and tags, or records of spans. */
import { collected } from '../arrays.ts';
import { DataError } from '../errors.ts';
import { isObject } from '../json.ts';
import { checkOptions, type OptionNames } from '../options.ts';
import { type ReadOptions, readLines } from './chunks.ts';
import { unitsAt } from './code-points.ts';
import { kindOfFile } from './packed.ts';
import {
  columnIn,
  type DataRecord,
  listIn,
  nameIn,
  type RecordOptions,
  recordOptionNames,
  recordOptions,
  recordsOf,
  textIn,
} from './records.ts';
import { checkFile } from './table.ts';

/** A text whose words have tags. */
export interface TaggedText {
  /** As given, or the words with spaces between. */
  text: string;
  /** [start, end) of each word in the text, in UTF-16 units; none if nothing says what its words are. */
  words: readonly (readonly [start: number, end: number])[];
  /** A tag for each word; null without. */
  tags: readonly string[] | null;
  /** Whether the words were given, rather than the text: then each is encoded by itself. */
  split: boolean;
  /** For messages: `train.conll: line 3`. */
  place: string;
}

export interface TaggedTextOptions extends RecordOptions {
  /** Column of the words (or the text), by name or by number from 0. */
  textColumn?: string | number;
  /** Column of the tags (or the spans). */
  labelColumn?: string | number;
  /** Whether to read tags. Default true. */
  readLabels?: boolean;
}

const taggedTextOptionNames: OptionNames<TaggedTextOptions> = {
  ...recordOptionNames,
  textColumn: true,
  labelColumn: true,
  readLabels: true,
};

const wordNames = ['tokens', 'words'];
export const tagNames = ['tags', 'ner_tags', 'labels', 'ner', 'pos_tags', 'chunk_tags', 'label'];
export const spanNames = ['entities', 'spans', 'label', 'labels'];
const textNames = ['text', 'sentence', 'content'];

/** File names that hold columns of words and tags. */
export const isColumnsFile = (path: string): boolean =>
  /\.(conll\w*|bio|iob2?|bioes|col)(\.gz)?$/i.test(path);

/**
 * Reads texts with tags. Files named .conll, .bio, .iob or .txt have a word a line, its tag in the last
 * column, and a blank line after each sentence; others are records with `tokens` and `tags`, or with `text`
 * and `entities`, whose places count characters as Python does. Throws `DataError` naming the place.
 */
export async function readTaggedTexts(path: string, options: TaggedTextOptions = {}): Promise<TaggedText[]> {
  return collected(taggedTexts(path, options));
}

/** The texts as they are read. Throws as `readTaggedTexts` does. */
export async function* taggedTexts(
  path: string,
  options: TaggedTextOptions = {},
): AsyncGenerator<TaggedText> {
  checkOptions('readTaggedTexts', options, taggedTextOptionNames);
  if (options.format === undefined && (isColumnsFile(path) || kindOfFile(path) !== 'json'))
    yield* readColumns(path, options);
  else for await (const record of recordsOf(path, recordOptions(options))) yield fromRecord(record, options);
}

/** Words as a text with spaces between. */
function joinWords(words: readonly string[], tags: readonly string[] | null, place: string): TaggedText {
  let at = 0;
  const places = words.map((word): [number, number] => {
    const start = at;
    at += word.length + 1;
    return [start, start + word.length];
  });
  return { text: words.join(' '), words: places, tags, split: true, place };
}

/** Reads CoNLL columns, between tabs or else between spaces. */
async function* readColumns(
  path: string,
  { textColumn = 0, labelColumn, readLabels = true, encoding }: TaggedTextOptions & ReadOptions,
): AsyncGenerator<TaggedText> {
  await checkFile(path);
  for (const column of [textColumn, labelColumn])
    if (typeof column === 'string')
      throw new DataError(`${path}: columns of words have no names, and '${column}' is one`, {
        remedy: 'give the number of a column, from 0',
      });
  let count = 0;
  let words: string[] = [];
  let tags: string[] = [];
  let width: number | null = null;
  let tabs = false;
  let [number, first] = [0, 1];
  const finish = (): TaggedText[] => {
    const [some, theirs] = [words, tags];
    [words, tags] = [[], []];
    if (some.length === 0) return [];
    count += 1;
    return [joinWords(some, readLabels ? theirs : null, `${path}: line ${first}`)];
  };
  for await (const line of readLines(path, encoding === undefined ? {} : { encoding })) {
    number += 1;
    if (/^[ \t]*$/.test(line) || line.startsWith('-DOCSTART-')) {
      yield* finish();
      continue;
    }
    if (width === null) tabs = line.includes('\t');
    const cells = tabs ? line.split('\t') : line.trim().split(/[ \t]+/);
    // A comment, as in CoNLL-U.
    if (line.startsWith('#') && cells.length !== (width ?? (tabs ? cells.length : 2))) continue;
    width ??= cells.length;
    const tag = (labelColumn as number | undefined) ?? width - 1;
    const word = cells[textColumn as number] ?? '';
    if (cells.length !== width || (readLabels && (cells[tag] ?? '') === '') || word === '')
      throw new DataError(
        `${path}: line ${number} has ${cells.length} columns, the first ${width}: '${line}'`,
        {
          remedy:
            'write a word and its tag, with a tab or a space between, and a blank line after a sentence',
        },
      );
    if (readLabels && width < 2)
      throw new DataError(`${path}: line ${number} has one column`, {
        remedy: 'write a word and its tag, with a tab or a space between',
      });
    if (words.length === 0) first = number;
    words.push(word);
    tags.push(readLabels ? cells[tag]! : '');
  }
  yield* finish();
  if (count === 0) throw new DataError(`${path}: there are no words`, { remedy: 'check the file' });
}

function fromRecord(record: DataRecord, options: TaggedTextOptions): TaggedText {
  const { values, place } = record;
  const { textColumn, labelColumn, readLabels = true } = options;
  const text = columnIn(record, textColumn) ?? nameIn(record, [...wordNames, ...textNames]);
  if (text === undefined)
    throw new DataError(`${place} has no words`, {
      remedy: "name them 'tokens', or the text 'text', or pass --text-column",
    });
  if (Array.isArray(values[text])) {
    const words = listIn(record, text).map(String);
    if (!readLabels) return joinWords(words, null, place);
    const name = columnIn(record, labelColumn) ?? nameIn(record, tagNames);
    if (name === undefined)
      throw new DataError(`${place} has no tags`, { remedy: "name them 'tags', or pass --label-column" });
    const tags = listIn(record, name).map(String);
    if (tags.length !== words.length)
      throw new DataError(`${place} has ${tags.length} tags for ${words.length} words`, {
        remedy: 'give each word one tag',
      });
    return joinWords(words, tags, place);
  }
  if (!readLabels) return fromSpans(textIn(record, text), null, place);
  const name = columnIn(record, labelColumn) ?? nameIn(record, spanNames);
  if (name === undefined)
    throw new DataError(`${place} has no entities`, {
      remedy: "name them 'entities', or pass --label-column",
    });
  return fromSpans(textIn(record, text), listIn(record, name), place);
}

interface Span {
  start: number;
  end: number;
  type: string;
}

function spanOf(value: unknown, text: string, place: string): Span {
  const [from, to, name] = Array.isArray(value)
    ? value
    : isObject(value)
      ? [value.start, value.end, value.label ?? value.type ?? value.entity_group ?? value.entity ?? value.tag]
      : [];
  if (!Number.isInteger(from) || !Number.isInteger(to) || typeof name !== 'string')
    throw new DataError(`${place}: ${JSON.stringify(value)} is no entity`, {
      remedy: 'write {"start": 0, "end": 5, "label": "PER"}, or [0, 5, "PER"]',
    });
  let [start, end] = [unitsAt(text, from), unitsAt(text, to)];
  if (from < 0 || from >= to || to > [...text].length)
    throw new DataError(
      `${place}: an entity from ${from} to ${to} in a text of ${[...text].length} characters`,
      {
        remedy: 'count characters from 0; the end is the first one after the entity',
      },
    );
  while (start < end && /\s/.test(text[start]!)) start += 1;
  while (start < end && /\s/.test(text[end - 1]!)) end -= 1;
  return { start, end, type: name };
}

/** Words of letters and digits, and single other characters. */
const word = /[\p{L}\p{N}\p{M}]+|[^\s]/gu;

/** Cuts a text into words, at the entities' ends too, and tags them by IOB2. */
export function fromSpans(text: string, entities: readonly unknown[] | null, place: string): TaggedText {
  const spans = (entities ?? []).map((value) => spanOf(value, text, place)).sort((a, b) => a.start - b.start);
  const twice = spans.find(({ start }, at) => at > 0 && start < spans[at - 1]!.end);
  if (twice !== undefined)
    throw new DataError(`${place}: two entities overlap at '${text.slice(twice.start, twice.end)}'`, {
      remedy: 'a word has one tag: keep one of them',
    });
  const cuts = [...new Set([0, ...spans.flatMap(({ start, end }) => [start, end]), text.length])];
  const words = cuts.slice(1).flatMap((to, at) => {
    const from = cuts[at]!;
    return [...text.slice(from, to).matchAll(word)].map(({ 0: found, index }): [number, number] => [
      from + index,
      from + index + found.length,
    ]);
  });
  const tagOf = ([start]: readonly [number, number]): string => {
    const span = spans.find((one) => one.start <= start && start < one.end);
    return span === undefined ? 'O' : `${start === span.start ? 'B' : 'I'}-${span.type}`;
  };
  return { text, words, tags: words.map(tagOf), split: false, place };
}
