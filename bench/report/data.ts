/** The contents of a report, and the messages from its parts to the supervising process. */
import type { MatmulShape } from '../../src/kernels/matmul/choose.ts';
import type { Ceilings } from '../ceilings.ts';
import type { JobResult } from '../jobs.ts';
import type { KernelResult } from '../kernels/run.ts';
import type { PeerResult } from '../peers/results.ts';

/** The parts in running order, most informative first, with their shares of the minutes. */
export const PARTS = {
  adapter: 4,
  tests: 24,
  'matrix units': 4,
  ceilings: 6,
  kernels: 14,
  jobs: 20,
  tuning: 8,
  'jobs, tuned': 8,
  PyTorch: 20,
} as const;

export type PartName = keyof typeof PARTS;

export interface AdapterFacts {
  /** The engine's name for the adapter. */
  description: string;
  /** The card's own name. */
  device: string;
  software: boolean;
  /** What Dawn reports: vendor, architecture, driver, subgroup sizes. */
  info: Record<string, string | number | boolean>;
  /** Everything that the adapter lists, including features the engine does not request. */
  features: string[];
  limits: Record<string, number>;
  /** Every configuration of matrix units that Dawn lists: `f16 → f32 16×16×16`. */
  matrices: string[];
  /** The machine: system, processor, memory, Node, Dawn. */
  host: Record<string, string>;
}

export interface TestOutcome {
  group: string;
  name: string;
  state: 'passed' | 'failed' | 'skipped';
  seconds: number;
  error?: string;
}

export interface UnitOutcome {
  technique: string;
  /** How the operands are stored: `A Bᵀ`. */
  sides: string;
  right: boolean;
}

/** One class of products, tuned. */
export interface TunedClass extends MatmulShape {
  class: string;
  /** The choice of the rules without measurements. */
  usual: string;
  /** Fastest first. */
  times: { technique: string; seconds: number }[];
  wrong: string[];
}

/** The findings so far. Lists grow; other entries are set once their part reports them. */
export interface Results {
  adapter?: AdapterFacts;
  tests: TestOutcome[];
  units: UnitOutcome[];
  ceilings?: Ceilings;
  kernels: KernelResult[];
  jobs: JobResult[];
  tuned: TunedClass[];
  tunedJobs: JobResult[];
  pytorch: PeerResult[];
  versions: Record<string, string>;
}

export function noResults(): Results {
  return { tests: [], units: [], kernels: [], jobs: [], tuned: [], tunedJobs: [], pytorch: [], versions: {} };
}

/** Adds a part's findings: appends to lists, merges records. */
export function addResults(results: Results, found: Partial<Results>): void {
  const into = results as unknown as Record<string, unknown>;
  for (const [key, value] of Object.entries(found)) {
    const before = into[key];
    if (Array.isArray(before)) before.push(...(value as unknown[]));
    else into[key] = { ...(before as object | undefined), ...(value as object) };
  }
}

export interface ReportOptions {
  adapter?: string;
  kernels?: 'cpu' | 'gpu';
  python?: string;
}

/** The request sent to a part's process. */
export interface PartRequest {
  part: PartName;
  options: ReportOptions;
  results: Results;
  /** When the part should be done, in milliseconds since 1970; its process is killed shortly after. */
  deadline: number;
}

/** A message from a part's process. */
export type PartMessage =
  | { found: Partial<Results> }
  /** Work that the part skipped, and why. */
  | { leftOut: string }
  | { failed: string }
  | { done: true };

export interface PartOutcome {
  part: PartName;
  state: 'done' | 'failed' | 'cut off' | 'left out';
  seconds: number;
  /** Why it is not done. */
  reason?: string;
  leftOut: string[];
}

export interface Report {
  dawngrad: string;
  /** The commit of the checkout, if there is one. */
  commit?: string;
  date: string;
  command: string;
  minutes: number;
  parts: PartOutcome[];
  results: Results;
}
