/**
 * Class names of a config: `id2label`, `label2id` and `num_labels`, as transformers reads and writes them.
 */
import * as v from 'valibot';
import { ConfigError } from '../../errors.ts';
import { checkJson } from '../files/json.ts';
import { size } from './keys.ts';

/** A config's classes. */
export interface Labels {
  numLabels: number;
  id2label: Record<number, string>;
  label2id: Record<string, number>;
}

/** Python keeps names that are numbers as numbers. */
const names = v.record(v.string(), v.union([v.string(), v.number()], 'must be a name'));
const schema = v.looseObject({ id2label: v.nullish(names, null), num_labels: v.nullish(size, null) });

/** `LABEL_0`, `LABEL_1`, …, as transformers names classes without names. */
function defaultLabels(count: number): Record<number, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, id) => [id, `LABEL_${id}`]));
}

function labelsOf(id2label: Record<number, string>): Labels {
  const entries = Object.entries(id2label);
  const label2id = Object.fromEntries(entries.map(([id, label]) => [label, Number(id)]));
  return { numLabels: entries.length, id2label, label2id };
}

/** Reads the classes of a config.json. Throws `ConfigError` naming the key that cannot be used. */
export function readLabels(json: Readonly<Record<string, unknown>>, source: string): Labels {
  const { id2label, num_labels } = checkJson(schema, json, { source, error: ConfigError });
  const labels = namedClasses(id2label, num_labels, source);
  checkLabel2id(json.label2id, id2label === null, labels, source);
  return labelsOf(labels);
}

/**
 * If `id2label` and `num_labels` disagree, `num_labels` counts and names the classes anew, as transformers
 * does.
 */
function namedClasses(
  id2label: Record<string, string | number> | null,
  count: number | null,
  source: string,
): Record<number, string> {
  if (id2label === null) return defaultLabels(count ?? 2);
  const out: Record<number, string> = {};
  for (const [key, label] of Object.entries(id2label)) {
    if (!/^\d+$/.test(key)) throw new ConfigError(`${source}: 'id2label.${key}' is not a class number`);
    out[Number(key)] = String(label);
  }
  const named = Object.keys(out).length;
  for (let id = 0; id < named; id += 1) {
    if (out[id] === undefined)
      throw new ConfigError(`${source}: 'id2label' has no entry ${id}`, {
        remedy: 'number the classes from 0',
      });
  }
  if (count === null || count === named) return out;
  console.warn(
    `${source}: num_labels is ${count}, id2label names ${named} classes: the model gets ${count}, without names`,
  );
  return defaultLabels(count);
}

/**
 * transformers counts classes by `id2label` alone, and encodes data by `label2id`. Throws `ConfigError` if
 * one name has two numbers; warns if `label2id` stands alone, because its names are lost.
 */
function checkLabel2id(
  label2id: unknown,
  alone: boolean,
  id2label: Record<number, string>,
  source: string,
): void {
  if (typeof label2id !== 'object' || label2id === null) return;
  const named = Object.entries(id2label);
  const given = Object.entries(label2id as Record<string, unknown>);
  for (const [name, id] of given) {
    const ids = named.filter(([, other]) => other === name).map(([other]) => Number(other));
    if (ids.length === 0 || ids.includes(Number(id))) continue;
    throw new ConfigError(
      `${source}: 'label2id' gives '${name}' the number ${String(id)}, 'id2label' the number ${ids[0]}`,
      { remedy: 'mend the one that is wrong: id2label names the outputs' },
    );
  }
  if (alone && given.some(([name]) => !named.some(([, other]) => other === name)))
    console.warn(
      `${source}: 'label2id' without 'id2label' names no classes: they are called ${named[0]![1]}, …`,
    );
}

/**
 * The classes after an override: `numLabels` alone resets the names, `id2label` sets both. Throws
 * `ConfigError` if the two disagree.
 */
export function changedLabels(
  before: Labels,
  { numLabels, id2label }: { numLabels?: number | undefined; id2label?: Record<number, string> | undefined },
): Labels {
  if (id2label === undefined) {
    const same = numLabels === undefined || numLabels === before.numLabels;
    return labelsOf(same ? before.id2label : defaultLabels(numLabels));
  }
  const count = Object.keys(id2label ?? {}).length;
  if (count === 0) throw new ConfigError('id2label names no class', { remedy: "use { 0: 'name', … }" });
  if (numLabels !== undefined && numLabels !== count) {
    throw new ConfigError(`numLabels is ${numLabels}, but id2label names ${count} classes`);
  }
  return labelsOf(id2label);
}

/** The keys to write: as the file had them (numbers for names, too) unless the names were changed. */
export function labelsToWrite(
  { id2label, label2id }: Labels,
  raw: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const before = v.safeParse(names, raw.id2label);
  const old = before.success ? Object.entries(before.output) : [];
  const same =
    old.length === Object.keys(id2label).length &&
    old.every(([id, name]) => id2label[Number(id)] === String(name));
  return {
    id2label: same ? raw.id2label : id2label,
    label2id: same && raw.label2id !== undefined ? raw.label2id : label2id,
  };
}
