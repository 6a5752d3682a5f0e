/**
 * Texts that belong together: pairs, triplets, pairs with scores; and single texts, with classes or without.
 */
import { collected } from '../arrays.ts';
import { DataError } from '../errors.ts';
import { checkOptions, type OptionNames } from '../options.ts';
import { textLines } from './chunks.ts';
import { endingOf } from './packed.ts';
import {
  columnIn,
  type DataRecord,
  nameIn,
  type RecordOptions,
  recordOptionNames,
  recordsOf,
  textIn,
} from './records.ts';
import { checkFile } from './table.ts';

/** What a file holds, told from its columns. */
export type TextSetKind = 'texts' | 'labelled' | 'scored' | 'pairs' | 'triplets';

export interface TextSet {
  kind: TextSetKind;
  /** A text; a pair; or an anchor, its match, and texts that do not match. */
  texts: readonly string[];
  /** A score from −1 to 1, or the number of a class in its file; null without. */
  label: number | null;
  /** Of the class, by which sets of several files go together. */
  className?: string;
  place: string;
}

export interface TextSetOptions extends RecordOptions {
  textColumn?: string | number;
  textPairColumn?: string | number;
  labelColumn?: string | number;
  /** Whether to read labels and negatives. Default true. */
  readLabels?: boolean;
}

const optionNames: OptionNames<TextSetOptions> = {
  ...recordOptionNames,
  textColumn: true,
  textPairColumn: true,
  labelColumn: true,
  readLabels: true,
};

export interface TextSets {
  sets: readonly TextSet[];
  kind: TextSetKind;
  /** What scores were divided by; 1 unless they are scored pairs. */
  scale: number;
  /** Names of the columns, as they are used. */
  columns: readonly string[];
}

const firstNames = [
  'anchor',
  'query',
  'question1',
  'sentence1',
  '#1 string',
  'text_a',
  'premise',
  'question',
  'text',
  'sentence',
  'review',
  'content',
];
const secondNames = [
  'positive',
  'passage',
  'document',
  'answer',
  'question2',
  'sentence2',
  '#2 string',
  'text_b',
  'hypothesis',
];
const labelNames = ['label', 'labels', 'score', 'similarity', 'similarity_score', 'quality', 'is_duplicate'];
const NEGATIVE = /^negative(_?\d+)?$/i;

interface Columns {
  kind: TextSetKind;
  texts: readonly string[];
  label: string | undefined;
}

/**
 * Reads a file whose columns say what it holds: `text`; `text` and `label`; `sentence1`, `sentence2` and
 * `score`; `anchor` and `positive`; `negative`, or `negative_1`, …, besides. A `.txt` file has a text a line.
 * Scores above 1 are divided by 5, 10 or 100, whichever makes them 1 at most. Throws `DataError` naming the
 * place, or the columns.
 */
export async function readTextSets(path: string, options: TextSetOptions = {}): Promise<TextSets> {
  const reader = new TextSetReader(path, options);
  const sets = await collected(reader.sets());
  const { kind, columns, scale } = reader.found;
  return { sets: sets.map((set) => scaled(set, scale)), kind, scale, columns };
}

/** A set whose score is divided by `scale`. */
export const scaled = (set: TextSet, scale: number): TextSet =>
  scale === 1 ? set : { ...set, label: set.label! / scale };

/** Reads sets one by one; what it has found is known once all are read. */
export class TextSetReader {
  private columns: Columns | null = null;
  private least = Number.POSITIVE_INFINITY;
  private most = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly path: string,
    private readonly options: TextSetOptions,
  ) {
    checkOptions('readTextSets', options, optionNames);
  }

  /** The kind, the columns, and what scores are to be divided by. Throws `DataError` for odd scores. */
  get found(): Omit<TextSets, 'sets'> {
    const { kind, texts, label } = this.columns!;
    const scale = kind === 'scored' ? scaleOf(this.path, this.least, this.most) : 1;
    return { kind, scale, columns: [...texts, ...(label === undefined ? [] : [label])] };
  }

  /** The sets with their scores as they are written, each time anew. Throws as `readTextSets` does. */
  async *sets(): AsyncGenerator<TextSet> {
    const { path, options } = this;
    if (options.format === undefined && endingOf(path) === 'txt') return yield* this.plain();
    const classes = new Map<string, number>();
    for await (const record of recordsOf(path, options)) {
      this.columns ??= columnsOf(path, record, options);
      const { kind, texts, label: name } = this.columns;
      const label = name === undefined ? null : labelIn(record, name, kind, classes);
      this.least = Math.min(this.least, label ?? 0);
      this.most = Math.max(this.most, label ?? 0);
      const className = kind === 'labelled' ? { className: textIn(record, name!).trim() } : {};
      yield {
        kind,
        texts: texts.map((one) => textIn(record, one)),
        label,
        ...className,
        place: record.place,
      };
    }
  }

  private async *plain(): AsyncGenerator<TextSet> {
    await checkFile(this.path);
    this.columns = null;
    for await (const { text, line } of textLines(this.path, this.options)) {
      this.columns ??= { kind: 'texts', texts: ['text'], label: undefined };
      yield { kind: 'texts', texts: [text], label: null, place: `${this.path}: line ${line}` };
    }
    if (this.columns === null) throw new DataError(`${this.path}: there is no text`);
  }
}

function columnsOf(path: string, record: DataRecord, options: TextSetOptions): Columns {
  const names = Object.keys(record.values);
  const there = `columns: ${names.slice(0, 20).join(', ')}`;
  const chosen = (column: string | number | undefined) => columnIn(record, column);
  const { readLabels = true } = options;
  const first = chosen(options.textColumn) ?? nameIn(record, firstNames);
  if (first === undefined)
    throw new DataError(`${path}: cannot tell which column holds the text`, {
      remedy: `name it with --text-column (${there})`,
    });
  // A text chosen by name has no match but one chosen too.
  const guessed = options.textColumn === undefined ? nameIn(record, secondNames) : undefined;
  const second = chosen(options.textPairColumn) ?? guessed;
  const label = readLabels ? (chosen(options.labelColumn) ?? nameIn(record, labelNames)) : undefined;
  const negatives = readLabels ? names.filter((name) => NEGATIVE.test(name)) : [];
  if (second === undefined)
    return { kind: label === undefined ? 'texts' : 'labelled', texts: [first], label };
  if (negatives.length > 0)
    return { kind: 'triplets', texts: [first, second, ...negatives], label: undefined };
  return { kind: label === undefined ? 'pairs' : 'scored', texts: [first, second], label };
}

function labelIn(record: DataRecord, name: string, kind: TextSetKind, classes: Map<string, number>): number {
  const text = textIn(record, name).trim();
  if (kind === 'labelled') {
    if (!classes.has(text)) classes.set(text, classes.size);
    return classes.get(text)!;
  }
  const score = Number(text);
  if (text !== '' && Number.isFinite(score)) return score;
  throw new DataError(`${record.place}: the score '${text}' in '${name}' is no number`, {
    remedy: 'write how alike the two texts are, from 0 to 1, or name another column with --label-column',
  });
}

/** The usual scales of scores: of cosines, and 0 to 5, 10 or 100. */
const scales = [1, 5, 10, 100];

function scaleOf(path: string, least: number, most: number): number {
  const scale = least < -1 ? undefined : scales.find((one) => most <= one);
  if (scale !== undefined && (least >= 0 || scale === 1)) return scale;
  throw new DataError(`${path}: scores go from ${least} to ${most}`, { remedy: 'write scores from 0 to 1' });
}
