/** Reads labels in the forms that files use: text, lists of names, rows of 0 and 1. */
import { cached } from '../cached.ts';
import { DataError } from '../errors.ts';
import type { TextTable } from './table.ts';

export type LabelItem = string | number | boolean;

/** The text of a cell or of a JSON scalar (numbers as written), or a list. */
export type LabelCell = string | readonly LabelItem[];

/** A row's label and its line in the file. */
export interface LabelledRow<T extends LabelCell = LabelCell> {
  label: T;
  line: number;
}

/** A table's labels: a single text each, a list of names each, or one indicator per class. */
export type LabelColumn =
  | { form: 'text'; rows: LabelledRow<string>[] }
  | { form: 'names'; rows: LabelledRow<string[]>[]; why: string }
  /** `classes` is set if each class has its own column. */
  | { form: 'vector'; rows: LabelledRow<number[]>[]; why: string; classes?: readonly string[] };

/**
 * Reads a table's labels. `several` says whether a row may have more than one label, if known; plain text is
 * split only if it is true. Throws `DataError` naming the line that differs from the others.
 */
export function labelColumn(table: TextTable, several?: boolean): LabelColumn {
  const rows = labelled(table);
  const { path, classes } = table;
  if (classes !== undefined) {
    const vectors = relabelled(rows, (label, line) =>
      (label as readonly LabelItem[]).map((item, at) => indicator(path, line, item, classes[at]!)),
    );
    return { form: 'vector', rows: vectors, why: 'each class has a column', classes };
  }
  const known = several === true && table.whole !== undefined ? formOf(table.whole) : undefined;
  const lists = listRows(path, rows, several);
  if (lists !== null) return listColumn(path, lists, several, known?.vector);
  const text = rows as LabelledRow<string>[];
  if ((known?.bits ?? areBits(text)) && several !== false) {
    const parts = relabelled(text, (label) => label.match(/[01]/g)!);
    if (several === true || isVector(path, parts)) return listColumn(path, parts, several, known?.vector);
  }
  if (several !== true) return { form: 'text', rows: text };
  return listColumn(path, relabelled(text, partsOf), several, known?.vector);
}

const areBits = (rows: readonly LabelledRow[]): boolean =>
  rows.every(({ label }) => typeof label === 'string' && /^[01]([,;|\s]\s*[01])+$/.test(label));

const forms = new WeakMap<TextTable, { vector: boolean; bits: boolean }>();

/** How the labels of a whole table are written, if a row may have several. */
function formOf(table: TextTable): { vector: boolean; bits: boolean } {
  return cached(forms, table, () => ({
    vector: labelColumn(table, true).form === 'vector',
    bits: areBits(labelled(table)),
  }));
}

/** The rows with their labels read anew. */
function relabelled<From extends LabelCell, To extends LabelCell>(
  rows: readonly LabelledRow<From>[],
  read: (label: From, line: number) => To,
): LabelledRow<To>[] {
  return rows.map(({ label, line }) => ({ label: read(label, line), line }));
}

function labelled(table: TextTable): LabelledRow[] {
  return table.rows.map(({ label, line }) => {
    if (label === undefined)
      throw new DataError(`${table.path}: there is no label column`, {
        remedy: 'name it with --label-column',
      });
    return { label, line };
  });
}

/** Splits names at commas, semicolons and vertical bars. */
export function partsOf(label: string): string[] {
  return label
    .split(/[,;|]/)
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/** Parses labels that are lists, in JSON or Python syntax; null if the labels are plain text. */
function listRows(
  path: string,
  rows: readonly LabelledRow[],
  several: boolean | undefined,
): LabelledRow<readonly LabelItem[]>[] | null {
  const isList = ({ label }: LabelledRow): boolean => typeof label !== 'string' || listSyntax.test(label);
  const first = rows.find(isList);
  const printed = rows.find(({ label }) => typeof label === 'string' && tensorSyntax.test(label));
  if (printed !== undefined && several !== false)
    throw new DataError(
      `${path}: line ${printed.line} has '${String(printed.label)}', an array as Python prints it`,
      { remedy: 'save lists: array.tolist()' },
    );
  if (first === undefined) return null;
  const written = typeof first.label === 'string';
  // If the user says that each row has one label, '[x]' may be a class name.
  if (written && several === false) return null;
  const other = rows.find((row) => !isList(row) && !(written && row.label === ''));
  if (other !== undefined) {
    throw new DataError(
      `${path}: line ${first.line} has a list of labels, line ${other.line} has '${String(other.label)}'`,
      {
        remedy: written
          ? 'make every label a list, or pass --problem-type single_label_classification'
          : 'make every label a list',
      },
    );
  }
  return relabelled(rows, (label, line) => {
    const list = typeof label === 'string' ? parseList(label) : label;
    if (list !== null) return list;
    throw new DataError(`${path}: line ${line} has '${String(label)}', which cannot be read as a list`, {
      remedy: "write ['a', 'b'], or names with commas between them",
    });
  });
}

function listColumn(
  path: string,
  rows: LabelledRow<readonly LabelItem[]>[],
  several: boolean | undefined,
  vector?: boolean,
): LabelColumn {
  if (several === false) {
    const long = rows.find(({ label }) => label.length !== 1);
    if (long !== undefined)
      throw new DataError(
        `${path}: line ${long.line} has a list of ${long.label.length} labels; one is wanted`,
        {
          remedy:
            'write one, or train with --problem-type multi_label_classification for several labels a text',
        },
      );
    return { form: 'text', rows: relabelled(rows, (label) => String(label[0])) };
  }
  if (vector ?? isVector(path, rows)) {
    const vectors = relabelled(rows, (label) => label.map((item) => bitOf(item)!));
    return { form: 'vector', rows: vectors, why: 'each label is a row of 0 and 1' };
  }
  checkNames(path, rows);
  const names = relabelled(rows, (label) => label.map((item) => String(item).trim()));
  return { form: 'names', rows: names, why: 'the labels are lists' };
}

function bitOf(item: LabelItem): 0 | 1 | null {
  if (typeof item === 'boolean') return item ? 1 : 0;
  const text = String(item).trim().toLowerCase();
  if (/^0(\.0*)?$|^false$/.test(text)) return 0;
  return /^1(\.0*)?$|^true$/.test(text) ? 1 : null;
}

function indicator(path: string, line: number, item: LabelItem, column: string): number {
  const bit = bitOf(item);
  if (bit === null)
    throw new DataError(`${path}: line ${line} has '${item}' in the column '${column}'`, {
      remedy: "a class's column holds 0 or 1",
    });
  return bit;
}

/**
 * Whether the lists are rows of 0 and 1. Lists of numeric class names may look similar, but never repeat a
 * name. Throws `DataError` for rows that differ in length or have a single entry.
 */
function isVector(path: string, rows: readonly LabelledRow<readonly LabelItem[]>[]): boolean {
  if (!rows.every(({ label }) => label.every((item) => bitOf(item) !== null))) return false;
  const typed = rows.every(({ label }) => label.every((item) => typeof item !== 'string'));
  const repeats = rows.some(({ label }) => new Set(label.map(bitOf)).size < label.length);
  const width = rows.reduce((most, { label }) => Math.max(most, label.length), 0);
  const other = rows.find(({ label }) => label.length !== width);
  if (other !== undefined) {
    if (!repeats) return false;
    throw new DataError(
      `${path}: line ${other.line} has ${other.label.length} indicators, others have ${width}`,
      { remedy: 'give every row a 0 or a 1 for each class' },
    );
  }
  if (width === 1 && typed && rows.length > 0) {
    throw new DataError(`${path}: every label is a list of one 0 or 1`, {
      remedy: 'write a number for one label a text, or an indicator for each class',
    });
  }
  return width > 1 && (typed || repeats);
}

/** Throws `DataError` for a number in a list that is neither a class number nor an indicator. */
function checkNames(path: string, rows: readonly LabelledRow<readonly LabelItem[]>[]): void {
  for (const { label, line } of rows) {
    const odd = label.find(
      (item, at) =>
        typeof item === 'number' && (!Number.isInteger(item) || item < 0 || label.indexOf(item) < at),
    );
    if (odd === undefined) continue;
    throw new DataError(
      `${path}: line ${line} has ${odd} in its list: neither an indicator nor the number of a class`,
      { remedy: "write 0 or 1 for each class, or each class's number once" },
    );
  }
}

/** A list as printed by Python, NumPy or JSON; a tuple or a set of strings. */
const listSyntax = /^(\[[\s\S]*\]|\(\s*['"][\s\S]*\)|\{\s*['"][\s\S]*\})$/;
const tensorSyntax = /^(\w+\.)*(tensor|array)\(\s*\[[\s\S]*\)$/;
const listItem =
  /\s*(?:[ub]?'((?:[^'\\]|\\.)*)'|[ub]?"((?:[^"\\]|\\.)*)"|([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)(?=[\s,]|$)|([^\s,'"][^,'"]*))\s*(,|$)?/iy;

/** The items of a list in a cell; null if it cannot be parsed. */
function parseList(text: string): LabelItem[] | null {
  const inside = text.slice(1, -1).trim();
  const items: LabelItem[] = [];
  let at = 0;
  while (at < inside.length) {
    listItem.lastIndex = at;
    const match = listItem.exec(inside);
    if (match === null) return null;
    at = listItem.lastIndex;
    const [, single, double, number, word] = match;
    const quoted = single ?? double;
    if (quoted !== undefined) items.push(unescaped(quoted));
    else if (number !== undefined) items.push(Number(number));
    else {
      // NumPy prints booleans separated by spaces.
      for (const part of /^(true|false)(\s+(true|false))*$/i.test(word!) ? word!.split(/\s+/) : [word!]) {
        const name = part.trim();
        if (/^(none|null|nan)$|[:[\](){}]/i.test(name)) return null;
        items.push(/^(true|false)$/i.test(name) ? name.toLowerCase() === 'true' : name);
      }
    }
  }
  return items;
}

function unescaped(text: string): string {
  return text.replace(
    /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|(.))/gi,
    (_, x?: string, u?: string, other?: string) => {
      const code = x ?? u;
      if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16));
      return { n: '\n', t: '\t', r: '\r' }[other!] ?? other!;
    },
  );
}
