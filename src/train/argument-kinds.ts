/** Kinds of values that training arguments take. */
import { floatDtypes } from '../gpu/dtype.ts';
import { isObject } from '../json.ts';
import { schedulerTypes } from '../optim/schedule.ts';
import { optimizerNames } from './optimizers.ts';
import { trackerNames } from './tracker-names.ts';

export interface ArgumentKind {
  holds(value: unknown): boolean;
  remedy: string;
  /** A value that does not hold, for a message. */
  show(value: unknown): string;
  /** How the command reads it; absent: as text. */
  parse?: 'integer' | 'number' | 'settings' | 'weights' | 'names';
  /** The only values, for the command's help. */
  choices?: readonly string[];
}

const kind = (
  holds: ArgumentKind['holds'],
  remedy: string,
  more: Partial<ArgumentKind> = {},
): ArgumentKind => ({ holds, remedy, show: JSON.stringify, ...more });

const integers = { show: String, parse: 'integer' } as const;
const atLeast = (least: number) => (value: unknown) => Number.isInteger(value) && (value as number) >= least;

export const orNull = (one: ArgumentKind, remedy = `${one.remedy}, or null`): ArgumentKind => ({
  ...one,
  holds: (value) => value === null || one.holds(value),
  remedy,
});

export const flag = kind((value) => typeof value === 'boolean', 'use true or false');
export const text = kind((value) => typeof value === 'string', "use a metric's name");
export const names = kind(
  (value) => Array.isArray(value) && value.every((name) => typeof name === 'string'),
  'use a list of names',
);
const strategies: readonly unknown[] = ['no', 'steps', 'epoch'];
export const strategy = kind((value) => strategies.includes(value), `use one of ${strategies.join(', ')}`);
export const schedule = kind(
  (value) => (schedulerTypes as readonly unknown[]).includes(value),
  `use one of ${schedulerTypes.join(', ')}`,
  { show: (value) => `'${String(value)}'`, choices: schedulerTypes },
);
export const integer = kind(Number.isInteger, 'use an integer', { parse: 'integer' });
export const count = kind(atLeast(1), 'use an integer of 1 or more', integers);
export const whole = kind(atLeast(0), 'use an integer of 0 or more', integers);
export const steps = kind(Number.isSafeInteger, 'use an integer; with -1 the epochs decide', integers);
export const amount = kind(
  (value) => Number.isFinite(value) && (value as number) >= 0,
  'use a number of 0 or more',
  { show: String, parse: 'number' },
);
/** Checked elsewhere: by AdamW, and by `checkSeed`. */
export const beta = kind(() => true, '');
export const seed = kind(() => true, '', { parse: 'integer' });
export const part = kind(
  (value) => Number.isFinite(value) && (value as number) >= 0 && (value as number) < 1,
  'use a number from 0 to below 1',
  { show: String, parse: 'number' },
);
export const share = kind(
  (value) => Number.isFinite(value) && (value as number) > 0 && (value as number) <= 1,
  'use a number above 0, up to 1',
  { show: String, parse: 'number' },
);
/** Checked further by the schedule. */
export const settings = kind(
  (value) =>
    isObject(value) && Object.values(value).every((one) => ['number', 'string'].includes(typeof one)),
  'use an object of numbers: { numCycles: 2 }',
  { parse: 'settings' },
);
const weigh = (value: unknown): boolean => Number.isFinite(value) && (value as number) >= 0;
export const weights = kind(
  (value) =>
    value === 'balanced' ||
    ((Array.isArray(value) || isObject(value)) &&
      Object.values(value).length > 0 &&
      Object.values(value).every(weigh)),
  "use 'balanced', or a number of 0 or more for each class: in a list, or by name",
  { parse: 'weights' },
);
export const optimizer = kind(
  (value) => (optimizerNames as readonly unknown[]).includes(value),
  `use one of ${optimizerNames.join(', ')}`,
  { choices: optimizerNames },
);
export const floats = kind(
  (value) => (floatDtypes as readonly unknown[]).includes(value),
  `use one of ${floatDtypes.join(', ')}`,
  { choices: floatDtypes },
);
export const trackers = kind(
  (value) =>
    value === 'none' ||
    (Array.isArray(value) && value.every((one) => (trackerNames as readonly unknown[]).includes(one))),
  `use 'none', or a list of ${trackerNames.join(', ')}`,
  { parse: 'names' },
);
