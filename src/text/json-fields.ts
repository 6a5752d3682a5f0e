/** Reads keys of tokenizer files. An unusable value throws a `TokenizerError` naming file and key. */
import { TokenizerError } from '../errors.ts';
import { isObject, type JsonObject } from '../json.ts';
import { parsePythonJson } from '../python-json.ts';

export type Json = JsonObject;

/** An object in a JSON file and its location: `tokenizer.json: 'model.vocab'`. */
export class Fields {
  constructor(
    readonly json: Json,
    readonly file: string,
    readonly path = '',
  ) {}

  /** The location of a key, for messages. */
  place(key: string): string {
    return `${this.file}: '${this.path}${key}'`;
  }

  fail(key: string, what: string, remedy?: string): never {
    throw new TokenizerError(`${this.place(key)} ${what}`, remedy === undefined ? {} : { remedy });
  }

  /** Undefined if the key is absent or null. */
  get(key: string): unknown {
    return Object.hasOwn(this.json, key) ? (this.json[key] ?? undefined) : undefined;
  }

  private wrong(key: string, wanted: string): never {
    const value = this.json[key];
    return this.fail(key, value === undefined ? 'is missing' : `is ${shown(value)}, not ${wanted}`);
  }

  string(key: string, usual?: string): string {
    const value = this.get(key) ?? usual;
    return typeof value === 'string' ? value : this.wrong(key, 'a text');
  }

  optionalString(key: string): string | null {
    return this.get(key) === undefined ? null : this.string(key);
  }

  boolean(key: string, usual: boolean): boolean {
    const value = this.get(key) ?? usual;
    return typeof value === 'boolean' ? value : this.wrong(key, 'true or false');
  }

  /** A whole number of at least `least`. */
  count(key: string, usual?: number, least = 0): number {
    const value = this.get(key) ?? usual;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least) return value;
    return this.wrong(key, least === 0 ? 'a whole number' : `a whole number of at least ${least}`);
  }

  /** One of several strings, ignoring case. */
  choice<T extends string>(key: string, values: readonly T[], usual?: T): T {
    const text = this.string(key, usual);
    return (
      values.find((value) => value.toLowerCase() === text.toLowerCase()) ?? this.wrong(key, values.join(', '))
    );
  }

  /** The entry of `kinds` that `type` names. */
  kind<T>(kinds: Readonly<Record<string, T>>, what: string): T {
    const type = this.string('type');
    if (Object.hasOwn(kinds, type)) return kinds[type]!;
    return this.fail(
      'type',
      `is the ${what} ${shown(type)}, which is not supported`,
      `supported: ${Object.keys(kinds).join(', ')}`,
    );
  }

  list(key: string): unknown[] {
    const value = this.get(key);
    return Array.isArray(value) ? value : this.wrong(key, 'a list');
  }

  object(key: string): Fields {
    const value = this.get(key);
    return isObject(value)
      ? new Fields(value, this.file, `${this.path}${key}.`)
      : this.wrong(key, 'an object');
  }

  optionalList(key: string): unknown[] | null {
    return this.get(key) === undefined ? null : this.list(key);
  }

  optionalObject(key: string): Fields | null {
    return this.get(key) === undefined ? null : this.object(key);
  }

  objects(key: string): Fields[] {
    return this.list(key).map((value, index) =>
      isObject(value)
        ? new Fields(value, this.file, `${this.path}${key}[${index}].`)
        : this.fail(`${key}[${index}]`, `is ${shown(value)}, not an object`),
    );
  }
}

/** A value as JSON, shortened. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

/** Exceeds the ids of any real vocabulary: a larger id means a damaged file. */
export const MAX_ID = 2 ** 24;

export function isTokenId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < MAX_ID;
}

/** Tries plain JSON first: scanning a large file for Python's NaN and Infinity is slow. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return parsePythonJson(text);
  }
}

/** Parses a file's JSON object. Throws `TokenizerError` naming the file. */
export function parseObject(text: string, file: string): Json {
  let json: unknown;
  try {
    json = parseJson(text);
  } catch (cause) {
    throw new TokenizerError(`${file}: not JSON`, {
      remedy: 'the file may be damaged: download or save it again',
      cause,
    });
  }
  if (!isObject(json)) throw new TokenizerError(`${file}: not a JSON object`);
  return json;
}
