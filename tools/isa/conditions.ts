/** What every kernel's machine code must be like, and which rows are not. */
import type { KernelCode } from './kernel-code.ts';
import { shortName } from './tables.ts';

export interface Failure {
  chip: string;
  kernel: string;
  condition: string;
}

export const MIN_ATTENTION_WAVES = 8;
export const MIN_MATMUL_SHARE = 0.85;

const conditions: Readonly<Record<string, (shader: string, code: KernelCode) => boolean>> = {
  'no spills': (_, { spills }) => spills.vector + spills.scalar === 0,
  [`at least ${MIN_ATTENTION_WAVES} waves`]: (shader, { waves }) =>
    !shader.startsWith('attention') || waves >= MIN_ATTENTION_WAVES,
  [`at least ${100 * MIN_MATMUL_SHARE} % multiply-adds`]: (shader, { hot }) =>
    !shader.startsWith('matmul') || shader === 'matmul_parts' || (hot?.share ?? 0) >= MIN_MATMUL_SHARE,
};

/** The conditions that the kernels of one chip do not meet. */
export function failuresOf(chip: string, kernels: ReadonlyMap<string, KernelCode>): Failure[] {
  return [...kernels].flatMap(([kernel, code]) => {
    const [shader = ''] = kernel.split(' ');
    return Object.entries(conditions)
      .filter(([, holds]) => !holds(shader, code))
      .map(([condition]) => ({ chip, kernel, condition }));
  });
}

/** What is known to fail, and of which driver. */
export interface KnownFailures {
  /** Other versions of the compiler make other code. */
  driver: string;
  /** By `failureLine`. */
  failures: string[];
}

/** Mesa's version, as far as it changes what the compiler makes: `Mesa 25.0`. */
export function driverOf(adapter: string): string {
  return /Mesa \d+\.\d+/.exec(adapter)?.[0] ?? adapter;
}

/** Failures that are not known, and known ones that fail no longer. */
export function ratchet(
  known: readonly string[],
  found: readonly string[],
): { added: string[]; gone: string[] } {
  return {
    added: found.filter((line) => !known.includes(line)),
    gone: known.filter((line) => !found.includes(line)),
  };
}

/** One line for a failure, by which lists of them are compared. */
export function failureLine({ chip, kernel, condition }: Failure): string {
  return `${chip} · ${shortName(kernel)} · ${condition}`;
}
