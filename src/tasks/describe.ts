/** Describes what was decided from the data, one line each. */
import { delimiterName } from '../data/cells.ts';
import type { ColumnReason } from '../data/columns.ts';
import type { LabelSet } from '../data/labels.ts';
import type { TextTable } from '../data/table.ts';
import type { TaskDecision } from '../data/task.ts';
import { shownNames } from '../models/common/class-names.ts';
import type { PretrainedConfig } from '../models/common/config.ts';

/**
 * Describes the columns that are read, and why: `columns of dev.tsv: text 'sentence', label 'label' (usual
 * names); tabs between cells`.
 */
export function describeColumns({ path, layout }: TextTable): string {
  if (layout === undefined) return `${path}: a table`;
  const { text, pair, label, reasons } = layout.columns;
  const shown = (name: string): string => (layout.header ? `'${name}'` : name);
  const parts: { what: string; reason: ColumnReason }[] = [
    { what: `text ${shown(text)}`, reason: reasons.text },
  ];
  if (pair !== null) parts.push({ what: `pair ${shown(pair)}`, reason: reasons.pair! });
  if (label !== null) {
    const names = [label].flat();
    const what =
      names.length === 1 ? `label ${shown(names[0]!)}` : `a class each in ${shownNames(names.map(shown))}`;
    parts.push({ what, reason: reasons.label! });
  }
  const alike = parts.every(({ reason }) => reason === parts[0]!.reason);
  const listed = alike
    ? `${parts.map(({ what }) => what).join(', ')} (${plural(parts[0]!.reason, parts.length)})`
    : parts.map(({ what, reason }) => `${what} (${reason})`).join(', ');
  const between =
    layout.delimiter === null ? 'JSON lines' : `${delimiterName(layout.delimiter)} between cells`;
  return `columns of ${path}: ${listed}; ${between}`;
}

function plural(reason: ColumnReason, count: number): string {
  if (count === 1) return reason;
  return { 'a usual name': 'usual names', 'by its place': 'by their places', 'as asked for': 'as asked for' }[
    reason
  ];
}

const titles = {
  regression: 'a value for',
  single_label_classification: 'one class for',
  multi_label_classification: 'any number of classes for',
};

/** Describes the task and its reason, the classes, and whether a trained classifier is kept; then notes. */
export function describeTask({ labels, why, head, notes }: TaskDecision, pairs: boolean): string[] {
  const classifier =
    head === null
      ? 'drawn anew: the checkpoint has none'
      : `${head.keep ? "the checkpoint's is kept" : 'drawn anew'}: ${head.why}`;
  return [
    `task: ${titles[labels.problemType]} a ${pairs ? 'pair of texts' : 'text'}: ${why}`,
    `classifier: ${classifier}`,
    ...notes.map((note) => `note: ${note}`),
  ];
}

export function describeLabels({ problemType, names }: LabelSet): string {
  if (problemType === 'regression') return 'a value';
  const kind = problemType === 'multi_label_classification' ? 'any of ' : '';
  const numbered = names.slice(0, 8).map((name, id) => `${id} ${name}`);
  return `${kind}${names.length} classes (${numbered.join(', ')}${names.length > 8 ? ', …' : ''})`;
}

/** Class names that only models of text pairs have. */
const pairClasses = /entail|contradict|paraphrase|duplicate|equivalent/i;

/** A warning if a model of pairs gets single texts or vice versa; null if they match or nothing is known. */
export function pairWarning({ textPair, id2label }: PretrainedConfig, pairs: boolean): string | null {
  if (textPair === pairs) return null;
  const told = Object.values(id2label).some((name) => pairClasses.test(name));
  if (!pairs && (textPair === true || told))
    return textPair === true
      ? 'warning: the model was trained on pairs of texts, and gets one text'
      : `warning: a model of ${shownNames(Object.values(id2label))} takes pairs of texts, and gets one text`;
  return textPair === false ? 'warning: the model was trained on single texts, and gets pairs' : null;
}
