/** Tables that a model makes for the length of a text, each with the rule by which another length has its own. */
import { cached } from '../../cached.ts';
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

/** Lengths whose tables are kept. */
const MOST_KEPT = 16;

/** A module's tables of one kind by what they are made for, kept from one forward pass to the next. */
export class KeptTables<K> {
  private readonly kept = new Map<K, Tensor>();

  /** `most`: tables that are kept, the latest ones. */
  constructor(private readonly most = MOST_KEPT) {}

  /** The table that `make` gives, which belongs to no scope. */
  of(key: K, make: () => Tensor): Tensor {
    const { kept } = this;
    const known = kept.get(key);
    const made = known?.disposed === false ? known : make();
    const table = made === known ? known : made.device.keep(made);
    // The latest comes last.
    kept.delete(key);
    kept.set(key, table);
    const [oldest] = kept.keys();
    if (kept.size > this.most) {
      kept.get(oldest!)!.dispose();
      kept.delete(oldest!);
    }
    return table;
  }

  get all(): Tensor[] {
    return [...this.kept.values()];
  }
}

/** A module's tables, kept from one text to the next of the same length. */
export class LengthTables {
  private readonly kept = new Map<LengthRule, KeptTables<number>>();

  /** As `lengthTable`, but the table belongs to no scope. */
  of(device: Device, length: number, rule: LengthRule, width?: number): Tensor {
    const tables = cached(this.kept, rule, () => new KeptTables<number>());
    return tables.of(length, () => lengthTable(device, length, rule, width));
  }

  get all(): Tensor[] {
    return [...this.kept.values()].flatMap((tables) => tables.all);
  }
}

/** The rule of a tensor that `lengthTable` made. */
export const lengthRuleOf = (tensor: Tensor): LengthRule | undefined => rules.get(tensor);

/** A rule over distances: `of` gives the row of each, and is constant from `longest` − 1 on if it `saturates`. */
export function distanceRule(
  longest: number,
  of: (distance: number) => number,
  { saturates = false }: { saturates?: boolean } = {},
): LengthRule {
  const values = (length: number) =>
    Int32Array.from({ length: 2 * length - 1 }, (_, at) => of(at - length + 1));
  return { over: 'distances', longest, saturates, values };
}
