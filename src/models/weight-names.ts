/** Which tensor of a checkpoint is which weight of a model: prefixes, old names, tied weights. */
import { formatShape } from '../tensor/shape.ts';

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

/** Buffers that older versions saved and no version needs. */
const ignored = /(^|\.)(position_ids|embeddings\.token_type_ids)$/;

/**
 * Maps a model's weight names to a checkpoint's keys. `prefix` is the encoder's ('bert'); a bare encoder's
 * checkpoint loads into a model with a head and the other way round. `ties` gives the names of each tied
 * weight: one of them is enough.
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
    const candidates = [
      name,
      name.startsWith(`${prefix}.`) ? name.slice(prefix.length + 1) : `${prefix}.${name}`,
    ];
    const key = candidates.map((candidate) => byName.get(candidate)).find((match) => match !== undefined);
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
  /**
   * Weights that the config ties to others, and the checkpoint has with values of their own: they have theirs
   * now.
   */
  untied: { name: string; from: string }[];
}

/** A few lines for people, or an empty string where everything fits. */
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
  const notes = [
    ...(missing.length > 0
      ? ['Missing weights were drawn anew: train the model before you rely on it.']
      : []),
    ...(unexpected.length > 0 ? ['Unexpected tensors were not used.'] : []),
    ...(untied.length > 0
      ? ['The config says tie_word_embeddings; untied weights have values of their own, which were taken.']
      : []),
  ];
  return [`Weights of ${source}:`, ...rows, ...notes].join('\n');
}
