/** The kinds of values that training arguments take. */
import { ConfigError } from '../errors.ts';
import { schedulerTypes } from '../optim/schedule.ts';
import type { IntervalStrategy } from './arguments.ts';

interface Rule {
  holds: (value: unknown) => boolean;
  remedy: string;
}

const strategies: readonly unknown[] = ['no', 'steps', 'epoch'] satisfies IntervalStrategy[];
const orNull = ({ holds, remedy }: Rule): Rule => ({
  holds: (value) => value === null || holds(value),
  remedy: `${remedy}, or null`,
});
const flag: Rule = { holds: (value) => typeof value === 'boolean', remedy: 'use true or false' };
const count: Rule = {
  holds: (value) => Number.isInteger(value) && (value as number) >= 1,
  remedy: 'use an integer of 1 or more',
};
const amount: Rule = {
  holds: (value) => Number.isFinite(value) && (value as number) >= 0,
  remedy: 'use a number of 0 or more',
};
const anything: Rule = { holds: () => true, remedy: '' };

const rules = {
  flag,
  'flag or null': orNull(flag),
  strategy: { holds: (value) => strategies.includes(value), remedy: `use one of ${strategies.join(', ')}` },
  schedule: {
    holds: (value) => (schedulerTypes as readonly unknown[]).includes(value),
    remedy: `use one of ${schedulerTypes.join(', ')}`,
  },
  count,
  'count or null': { ...orNull(count), remedy: count.remedy },
  whole: {
    holds: (value) => Number.isInteger(value) && (value as number) >= 0,
    remedy: 'use an integer of 0 or more',
  },
  amount,
  steps: { holds: Number.isSafeInteger, remedy: 'use an integer; with -1 the epochs decide' },
  'integer or null': orNull({ holds: Number.isInteger, remedy: 'use an integer' }),
  'text or null': orNull({ holds: (value) => typeof value === 'string', remedy: "use a metric's name" }),
  'names or null': orNull({
    holds: (value) => Array.isArray(value) && value.every((name) => typeof name === 'string'),
    remedy: 'use a list of names',
  }),
  // Checked by AdamW, and by `checkSeed`.
  beta: anything,
  seed: anything,
} satisfies Record<string, Rule>;

export type ArgumentKind = keyof typeof rules;

const numbers: ReadonlySet<ArgumentKind> = new Set(['count', 'count or null', 'whole', 'amount', 'steps']);

function show(kind: ArgumentKind, value: unknown): string {
  if (kind === 'schedule') return `'${String(value)}'`;
  return numbers.has(kind) ? String(value) : JSON.stringify(value);
}

/** Throws `ConfigError` if an argument's value is not of its kind. */
export function checkKind(name: string, kind: ArgumentKind, value: unknown): void {
  const { holds, remedy }: Rule = rules[kind];
  if (!holds(value)) throw new ConfigError(`${name} is ${show(kind, value)}`, { remedy });
}
