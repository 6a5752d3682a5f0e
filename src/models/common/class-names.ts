/** Comparison of two sets of class names. */
import type { Labels } from './labels.ts';

/** A name without case, its accents written one way: names that fold to the same string are the same. */
export function foldedName(name: string): string {
  return name.normalize('NFC').toLowerCase();
}

/** transformers' name of a class without one. */
export function numberedName(id: number): string {
  return `LABEL_${id}`;
}

/** Whether classes are only numbered. */
export function areUnnamed(names: readonly string[]): boolean {
  return names.every((name, id) => name === numberedName(id));
}

/** Finds names as written, else by `foldedName` if no two of them fold to the same. */
export function classFinder(names: readonly string[]): (name: string) => number | undefined {
  const exact = new Map(names.map((name, id) => [name, id]));
  const folded = new Map(names.map((name, id) => [foldedName(name), id]));
  const clear = folded.size === names.length;
  return (name) => exact.get(name) ?? (clear ? folded.get(foldedName(name)) : undefined);
}

/** For each of `names` its number in `model`; null unless both are the same set of names. */
export function orderOf(names: readonly string[], model: readonly string[]): number[] | null {
  if (names.length !== model.length) return null;
  const find = classFinder(model);
  const order = names.map(find);
  const known = order.filter((id) => id !== undefined);
  return new Set(known).size === names.length ? known : null;
}

/**
 * How names relate to a model's: the same set, a model that only numbers its classes, no name in common, or
 * some.
 */
type NameRelation = 'same' | 'unnamed' | 'other' | 'partly';

export function relationOf(names: readonly string[], model: readonly string[]): NameRelation {
  if (orderOf(names, model) !== null) return 'same';
  if (areUnnamed(model)) return 'unnamed';
  return shareNames(names, model) ? 'partly' : 'other';
}

export function shareNames(a: readonly string[], b: readonly string[]): boolean {
  const folded = new Set(a.map(foldedName));
  return b.some((name) => folded.has(foldedName(name)));
}

/** The first names, for a message. */
export function shownNames(names: readonly string[], most = 8): string {
  return names.slice(0, most).join(', ') + (names.length > most ? ', …' : '');
}

/** Class names by number. */
export function namesOf({ id2label, numLabels }: Pick<Labels, 'id2label' | 'numLabels'>): string[] {
  return Array.from({ length: numLabels }, (_, id) => id2label[id]!);
}
