/**
 * The edge between modules and files: names that a family's files have for a weight, parts of a weight that
 * files keep apart, prefixes, old names, tied weights.
 */
import { cached } from '../../cached.ts';
import { formatShape, type Shape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/**
 * Adjacent segments of a weight's path, and the name that replaces them in files: one, or several for a
 * weight that files keep in as many equal parts along its first axis. `['attention.self.query',
 * 'attention.q_lin']` renames `encoder.layer.0.attention.self.query.weight`.
 */
export type NameRule = readonly [path: string, file: string | readonly string[]];

/** The names of a weight in files: rules apply in order, each to the names that the one before it made. */
export function fileNames(path: string, rules: readonly NameRule[]): string[] {
  return rules.reduce<string[]>(
    (names, [from, to]) =>
      names.flatMap((name) => {
        const segments = `.${name}.`;
        if (!segments.includes(`.${from}.`)) return [name];
        return [to].flat().map((part) => segments.replace(`.${from}.`, `.${part}.`).slice(1, -1));
      }),
    [path],
  );
}

/** A weight's name for people: its name in files, or its path if files keep it in parts. */
export function moduleName(path: string, rules: readonly NameRule[] = []): string {
  const names = fileNames(path, rules);
  return names.length === 1 ? names[0]! : path;
}

/** A tensor of a file: a weight, or one of several equal parts of it along its first axis. */
export interface FileWeight {
  /** The weight's path in the model. */
  path: string;
  tensor: Tensor;
  /** Of the part. */
  shape: Shape;
  /** The part's first element in the weight. */
  offset: number;
}

/** Weights (by path) as files hold them, by name. */
export function fileWeights(
  weights: ReadonlyMap<string, Tensor>,
  rules: readonly NameRule[] = [],
): Map<string, FileWeight> {
  const entries = [...weights].flatMap(([path, tensor]) => {
    const names = fileNames(path, rules);
    const [rows = 1, ...rest] = tensor.shape;
    const shape = names.length === 1 ? tensor.shape : [rows / names.length, ...rest];
    return names.map((name, part): [string, FileWeight] => [
      name,
      { path, tensor, shape, offset: (part * tensor.size) / names.length },
    ]);
  });
  return new Map(entries);
}

/** Names of the same part of the same tensor, in order. */
export function namesByPart(weights: ReadonlyMap<string, FileWeight>): string[][] {
  const byTensor = new Map<Tensor, Map<number, string[]>>();
  for (const [name, { tensor, offset }] of weights) {
    const parts = cached(byTensor, tensor, () => new Map());
    cached(parts, offset, () => []).push(name);
  }
  return [...byTensor.values()].flatMap((parts) => [...parts.values()]);
}

/** The weights as files hold them, tied ones under the first of their names. */
export function storedWeights(weights: ReadonlyMap<string, FileWeight>): (FileWeight & { name: string })[] {
  return namesByPart(weights).map(([name]) => ({ name: name!, ...weights.get(name!)! }));
}

export interface WeightMapping {
  /** Model name → checkpoint key. */
  found: Map<string, string>;
  /** Weights the checkpoint does not have; they keep their initial values. */
  missing: string[];
  /** Tensors the model has no use for, by their modern names, as transformers gives them. */
  unexpected: string[];
}

/** TensorFlow's names for LayerNorm's weights, in checkpoints of BERT's first years. */
function modernName(key: string): string {
  return key.replace(/(^|\.)gamma$/, '$1weight').replace(/(^|\.)beta$/, '$1bias');
}

/** Buffers that older versions of transformers saved, and no version needs. */
const ignored = /(^|\.)(position_ids|embeddings\.token_type_ids)$/;

/**
 * Maps a model's weight names to a checkpoint's keys. `prefix` is the base model's; the
 * checkpoint of a base model loads into a model with a head and the other way round. `ties` gives the names
 * of each tied weight: one of them is enough.
 */
export function mapWeights(
  expected: readonly string[],
  keys: readonly string[],
  prefix: string,
  ties: readonly (readonly string[])[],
): WeightMapping {
  // A key that needs no renaming comes last and so wins.
  const old = keys.filter((key) => modernName(key) !== key);
  const byName = new Map(
    [...old, ...keys.filter((key) => modernName(key) === key)].map((key) => [modernName(key), key]),
  );
  const found = new Map<string, string>();
  const used = new Set<string>();
  for (const name of expected) {
    const other = name.startsWith(`${prefix}.`) ? name.slice(prefix.length + 1) : `${prefix}.${name}`;
    const key = byName.get(name) ?? byName.get(other);
    if (key === undefined) continue;
    found.set(name, key);
    used.add(key);
  }
  const supplied = new Set(ties.filter((names) => names.some((name) => found.has(name))).flat());
  return {
    found,
    missing: expected.filter((name) => !found.has(name) && !supplied.has(name)),
    unexpected: keys.filter((key) => !used.has(key) && !ignored.test(key)).map(modernName),
  };
}

/** How a checkpoint differs from the model that it was loaded into. */
export interface LoadDifferences extends Pick<WeightMapping, 'missing' | 'unexpected'> {
  /** Weights drawn anew because their shape differs, with both shapes. */
  mismatched: { name: string; checkpoint: readonly number[]; model: readonly number[] }[];
  /** Weights that the config ties to others, and that took values of their own from the checkpoint. */
  untied: { name: string; from: string }[];
}

/** A few lines for people, or an empty string if everything fits. */
export function formatLoadReport(
  source: string,
  { missing, unexpected, mismatched, untied }: LoadDifferences,
): string {
  const rows = [
    ...missing.map((name) => `  missing     ${name}`),
    ...unexpected.map((name) => `  unexpected  ${name}`),
    ...mismatched.map(
      ({ name, checkpoint, model }) =>
        `  mismatched  ${name}: ${formatShape(checkpoint)} → ${formatShape(model)}, drawn anew`,
    ),
    ...untied.map(({ name, from }) => `  untied      ${name}: its values are not those of ${from}`),
  ];
  if (rows.length === 0) return '';
  const lines = [`Weights of ${source}:`, ...rows];
  if (missing.length > 0)
    lines.push('Missing weights were drawn anew: train the model before you rely on it.');
  if (unexpected.length > 0) lines.push('Unexpected tensors were not used.');
  if (untied.length > 0)
    lines.push(
      'The config says tie_word_embeddings; untied weights have values of their own, which were taken.',
    );
  return lines.join('\n');
}
