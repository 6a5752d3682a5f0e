/** JSON files checked against schemas; errors name the file and the key. */
import * as v from 'valibot';
import type { DawngradError } from '../../errors.ts';
import { isObject } from '../../json.ts';

type ErrorType = new (...args: ConstructorParameters<typeof DawngradError>) => DawngradError;

/** How a file's problems are told. */
export interface JsonFile {
  /** The file's path, or another name for messages. */
  source: string;
  error: ErrorType;
  remedy?: string;
}

/** The value that a text holds. */
export function parseJson(
  text: string,
  { source, error: E, remedy }: JsonFile,
  parse: (text: string) => unknown = JSON.parse,
): unknown {
  try {
    return parse(text);
  } catch (cause) {
    throw new E(`${source}: not JSON`, { remedy, cause });
  }
}

/** The object that a text holds. */
export function parseJsonObject(text: string, file: JsonFile): Record<string, unknown> {
  const json = parseJson(text, file);
  if (isObject(json)) return json;
  throw new file.error(`${file.source}: not a JSON object`, { remedy: file.remedy });
}

/** The key that does not fit a schema, and why. */
function describeIssue(issue: v.BaseIssue<unknown>): string {
  const key = issue.path?.map(({ key: part }) => String(part)).join('.') ?? '';
  return issue.received === 'undefined' ? `'${key}' is missing` : `'${key}': ${issue.message}`;
}

/** Checks an object and converts it as the schema says. */
export function checkJson<S extends v.GenericSchema>(
  schema: S,
  json: unknown,
  { source, error: E, remedy }: JsonFile,
): v.InferOutput<S> {
  const result = v.safeParse(schema, json);
  if (result.success) return result.output;
  throw new E(`${source}: ${describeIssue(result.issues[0])}`, { remedy });
}
