/** Which columns of a table hold the text, its pair and the label. */
import { DataError } from '../errors.ts';

/** Columns by name, or by number from 0; what is absent is guessed. */
export interface ColumnOptions {
  textColumn?: string | number;
  textPairColumn?: string | number;
  labelColumn?: string | number;
  /** Throw where there is no label column. Default false. */
  requireLabels?: boolean;
}

/** Column numbers from 0. */
export interface Columns {
  text: number;
  pair: number | null;
  label: number | null;
}

/** Usual names of the text column, each with its pair's. Pairs stand first: QNLI's `sentence` is the second of a pair. */
const TEXT_NAMES: readonly (readonly [string, string?])[] = [
  ['sentence1', 'sentence2'],
  ['#1 string', '#2 string'],
  ['question1', 'question2'],
  ['premise', 'hypothesis'],
  ['question', 'sentence'],
  ['text_a', 'text_b'],
  ['sentence'],
  ['text'],
  ['review'],
  ['content'],
];
const LABEL_NAMES = [
  'label',
  'labels',
  'score',
  'quality',
  'gold_label',
  'is_duplicate',
  'class',
  'sentiment',
];

/** Whether a first row names columns: true if a column is chosen by name, or if a cell is a usual column name. */
export function looksLikeHeader(cells: readonly string[], options: ColumnOptions): boolean {
  const byName = [options.textColumn, options.textPairColumn, options.labelColumn].some(
    (column) => typeof column === 'string',
  );
  const usual = new Set([...TEXT_NAMES.flat(), ...LABEL_NAMES]);
  return byName || cells.some((cell) => usual.has(cell.trim().toLowerCase()));
}

/**
 * Columns as chosen, the rest by their usual names. A file without a header is guessed only up to two columns: the text first, the
 * label last, or the other one of the two where one is chosen. `cells` is the first row. Throws `DataError` naming the columns there are.
 */
export function chooseColumns(
  path: string,
  cells: readonly string[],
  header: boolean,
  options: ColumnOptions,
): Columns {
  const names = header ? cells.map((cell) => cell.trim()) : null;
  const there = names === null ? `columns 0 to ${cells.length - 1}` : `columns: ${names.join(', ')}`;
  const find = (column: string | number | undefined): number | null => {
    if (column === undefined) return null;
    const at = typeof column === 'number' ? column : (names?.indexOf(column) ?? -1);
    if (!Number.isInteger(at) || at < 0 || at >= cells.length)
      throw new DataError(`${path}: there is no column '${column}'`, { remedy: there });
    return at;
  };
  const chosen = {
    text: find(options.textColumn),
    pair: find(options.textPairColumn),
    label: find(options.labelColumn),
  };
  const columns = names === null ? guessByNumber(cells.length, chosen) : guessByName(names, chosen);
  if (columns.text === null) {
    throw new DataError(`${path}: cannot tell which column holds the text`, {
      remedy: `name it with --text-column (${there})`,
    });
  }
  if (columns.label === null && options.requireLabels === true) {
    throw new DataError(`${path}: cannot tell which column holds the label`, {
      remedy: `name it with --label-column (${there})`,
    });
  }
  checkDistinct(path, columns, there);
  return { ...columns, text: columns.text };
}

interface Guess {
  text: number | null;
  pair: number | null;
  label: number | null;
}

function guessByNumber(width: number, { text, pair, label }: Guess): Guess {
  if (width > 2 || pair !== null) return { text, pair, label };
  if (width === 1) return { text: text ?? (label === null ? 0 : null), pair, label };
  if (text === null) return { text: label === 0 ? 1 : 0, pair, label: label ?? 1 };
  return { text, pair, label: label ?? 1 - text };
}

function guessByName(names: readonly string[], { text, pair, label }: Guess): Guess {
  const lower = names.map((name) => name.toLowerCase());
  // A column that is chosen for one thing is not guessed for another.
  const taken = new Set([text, pair, label]);
  const at = (name: string): number | null => {
    const index = lower.indexOf(name);
    return index < 0 || taken.has(index) ? null : index;
  };
  const match = TEXT_NAMES.find((group) => group.every((name) => name === undefined || at(name) !== null));
  const guessed = match?.map((name) => (name === undefined ? null : at(name))) ?? [];
  return {
    text: text ?? guessed[0] ?? null,
    // A pair is guessed only along with its first text.
    pair: pair ?? (text === null ? (guessed[1] ?? null) : null),
    label: label ?? LABEL_NAMES.map(at).find((index) => index !== null) ?? null,
  };
}

/** A label read from the text column would let a model read the answer. */
function checkDistinct(path: string, columns: Guess, there: string): void {
  const used = [columns.text, columns.pair, columns.label].filter((column) => column !== null);
  if (new Set(used).size < used.length)
    throw new DataError(`${path}: one column is chosen for two of text, pair and label`, { remedy: there });
}
