/** Tables that a model makes for the length of a text, each with the rule by which another length has its own. */
import type { Device } from '../../tensor/device.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/** What a table of a text of L tokens holds. */
export interface LengthRule {
  /** A row for each distance from −(L − 1) to L − 1, or for each position from 0 to L − 1. */
  readonly over: 'distances' | 'positions';
  /** The length of the longest text that has a table of its own. */
  readonly longest: number;
  /** Whether distances of longer texts share the rows of the longest; otherwise such texts have no table. */
  readonly saturates?: boolean;
  /** The rows for a text of `length`, which those of a longer one contain. */
  values(length: number): Int32Array | Float32Array;
}

const rules = new WeakMap<Tensor, LengthRule>();

/** The table for a text of `length`, of rows of `width` numbers if one is given: [rows] or [rows, width]. */
export function lengthTable(device: Device, length: number, rule: LengthRule, width?: number): Tensor {
  const values = rule.values(length);
  const table = device.tensor(values, width === undefined ? [values.length] : [values.length / width, width]);
  rules.set(table, rule);
  return table;
}

/** The rule of a tensor that `lengthTable` made. */
export const lengthRuleOf = (tensor: Tensor): LengthRule | undefined => rules.get(tensor);

/**
 * A rule over distances: `of` gives the row of each, an integer unless `floats`, and does not change from
 * `longest` − 1 on if it `saturates`.
 */
export function distanceRule(
  longest: number,
  of: (distance: number) => number,
  { saturates = false, floats = false }: { saturates?: boolean; floats?: boolean } = {},
): LengthRule {
  const values = (length: number) => {
    const rows = Array.from({ length: 2 * length - 1 }, (_, at) => of(at - length + 1));
    return floats ? Float32Array.from(rows) : Int32Array.from(rows);
  };
  return { over: 'distances', longest, saturates, values };
}
