/** The fate of a trained classifier under other class names: an output moves with its name. */
import { ConfigError } from '../../errors.ts';
import type { Linear } from '../../nn/layers.ts';
import { namesOf, orderOf, relationOf, shownNames } from '../common/class-names.ts';
import type { PretrainedConfig } from '../common/config.ts';
import type { Family } from '../common/family.ts';
import { knownFamily } from '../config.ts';
import { openCheckpoint } from './checkpoint-files.ts';

/**
 * For a checkpoint whose classes have other names than the model's: `keep` its weights, whatever the names,
 * or draw `new` ones. If absent, names decide.
 */
export type HeadOption = 'keep' | 'new';

export interface HeadPlan {
  action: 'keep' | 'reorder' | 'new';
  /** For each class of the model its number in the checkpoint; for `reorder` alone. */
  rows?: readonly number[];
  /** For people; empty if nothing changed. */
  text: string;
}

/**
 * The same names in another order take their rows along; classes that were only numbered are named by number;
 * other names need new weights. Throws `ConfigError` if only some names are the checkpoint's. Both configs
 * have the same number of classes.
 */
export function planHead(saved: PretrainedConfig, model: PretrainedConfig, option?: HeadOption): HeadPlan {
  const [theirs, ours] = [namesOf(saved), namesOf(model)];
  const keep: HeadPlan = { action: 'keep', text: '' };
  const known = `the checkpoint's classes are ${shownNames(theirs)}`;
  // Two classes of one name have no order by names.
  if (option === 'keep' || (option === undefined && theirs.every((name, id) => name === ours[id])))
    return keep;
  if (option === 'new') return { action: 'new', text: known };
  const rows = orderOf(ours, theirs);
  if (rows !== null) {
    if (rows.every((from, id) => from === id)) return keep;
    const text = `id2label has the checkpoint's classes in another order (${shownNames(ours)}, there ${shownNames(theirs)}): rows moved with their names`;
    return { action: 'reorder', rows, text };
  }
  if (ours.length === 1) return keep;
  const relation = relationOf(ours, theirs);
  if (relation === 'unnamed') {
    const text = `the checkpoint's classes have no names: by number they are called ${shownNames(ours)}`;
    return { ...keep, text };
  }
  if (relation === 'other') {
    const text = `${known}, not ${shownNames(ours)}; head: 'keep' keeps the weights under the new names`;
    return { action: 'new', text };
  }
  throw new ConfigError(`id2label names ${shownNames(ours)}, and ${known}: only some are the same`, {
    remedy: "pass head: 'new' for new weights, head: 'keep' for new names, or leave id2label out",
  });
}

/** Reorders a layer's rows: row `i` becomes the former row `rows[i]`. */
export async function reorderRows({ weight, bias }: Linear, rows: readonly number[]): Promise<void> {
  for (const tensor of bias === null ? [weight] : [weight, bias]) {
    const values = await tensor.float32Data();
    const width = values.length / rows.length;
    const moved = new Float32Array(values.length);
    for (const [to, from] of rows.entries())
      moved.set(values.subarray(from * width, (from + 1) * width), to * width);
    tensor.write(moved);
  }
}

/**
 * Whether a folder's weights have a classifier for the config's classes: of sequences, or of another task.
 * Throws as `openCheckpoint` does.
 */
export async function hasTrainedClassifier(
  folder: string,
  config: PretrainedConfig,
  task: keyof Family['tasks'] = 'sequenceClassification',
): Promise<boolean> {
  const layer = knownFamily(config.modelType).tasks[task]?.classLayer ?? null;
  if (layer === null) return false;
  const checkpoint = await openCheckpoint(folder);
  try {
    const key = `${layer}.weight`;
    return checkpoint.keys().includes(key) && checkpoint.entry(key).shape[0] === config.numLabels;
  } finally {
    await checkpoint.close();
  }
}
