/** What the processes of a training do together; a process alone is the first of one. */
import { platform } from '#platform';
import type { Batch } from '../data/collate.ts';
import { isSpare, type Shard } from '../data/shard.ts';
import { ProcessGroupError } from '../errors.ts';
import type { ProcessGroup } from '../platform/contract.ts';
import type { RandomState } from '../tensor/device.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { countComputed, countTokens, sharesOf } from './inputs.ts';

/**
 * Joins the processes that `mpirun` or `srun` started, for `new Trainer({ processGroup })`; null if this process
 * was started alone. Needs the packages `koffi` and an MPI library. Throws `ProcessGroupError` saying what to
 * install. Call `finalize()` before the process ends, and `abort(1)` if it ends by an error.
 */
export function initProcessGroup(): Promise<ProcessGroup | null> {
  return platform.initProcessGroup();
}

/** A step's batches of all processes. */
export interface StepTotals {
  tokens: number;
  computed: number;
}

export class Ranks {
  readonly group: ProcessGroup | null;
  readonly rank: number;
  readonly size: number;

  constructor(group: ProcessGroup | null | undefined) {
    this.group = group ?? null;
    this.rank = group?.rank ?? 0;
    this.size = group?.size ?? 1;
  }

  get isFirst(): boolean {
    return this.rank === 0;
  }

  get shard(): Shard | undefined {
    return this.group === null ? undefined : { rank: this.rank, size: this.size };
  }

  /** The random state of this rank, whose dropout masks are its own. */
  ownRandom({ seed, stream }: RandomState): RandomState {
    // Odd and irregular, so that no other seed's ranks have the same.
    return { seed: (seed + Math.imul(this.rank, 0x9e37_79b1)) >>> 0, stream };
  }

  /**
   * Throws `ProcessGroupError`, in all processes, unless they have the same of each of `things`, by name: plain
   * values, which are made for a group alone.
   */
  async checkSame(things: () => Readonly<Record<string, unknown>>): Promise<void> {
    if (this.group === null) return;
    const own = Object.fromEntries(
      Object.entries(things()).map(([name, value]) => [name, JSON.stringify(value) ?? 'not set']),
    );
    const all = await this.group.allGatherObject(own);
    const shown = (text = 'not set'): string => (text.length > 100 ? `${text.slice(0, 100)}…` : text);
    for (const name of new Set(all.flatMap((one) => Object.keys(one)))) {
      const rank = all.findIndex((one) => one[name] !== all[0]![name]);
      if (rank < 0) continue;
      const [here, there] = [shown(all[0]![name]), shown(all[rank]![name])];
      throw new ProcessGroupError(`${name} is ${here} in rank 0, and ${there} in rank ${rank}`, {
        remedy: 'give all processes the same model, data and options',
      });
    }
  }

  /** Sums over all processes. */
  async sum(values: readonly number[]): Promise<number[]> {
    if (this.group === null) return [...values];
    const sums = new Float64Array(values.length);
    await this.group.allReduce(Float64Array.from(values), sums);
    return [...sums];
  }

  /** Whether each flag is set in any process. */
  async any<T extends readonly boolean[]>(...flags: T): Promise<{ [K in keyof T]: boolean }> {
    const sums = await this.sum(flags.map(Number));
    return sums.map((sum) => sum > 0) as { [K in keyof T]: boolean };
  }

  /** Each own batch's share in the mean over the step's batches of all processes, and what is in these. */
  async shares(
    batches: readonly Batch[],
    weightOf: (batch: Batch) => number,
  ): Promise<{ shares: number[]; totals: StepTotals }> {
    const total = (count: (batch: Batch) => number): number =>
      batches.reduce((sum, batch) => sum + (isSpare(batch) ? 0 : count(batch)), 0);
    const weights = batches.map((batch) => (isSpare(batch) ? 0 : weightOf(batch)));
    const own = [total(countTokens), total(countComputed)] as const;
    if (this.group === null)
      return { shares: sharesOf(weights), totals: { tokens: own[0], computed: own[1] } };
    const weight = weights.reduce((sum, one) => sum + one, 0);
    const sums = await this.sum([weight, total(() => 1), ...own]);
    const [all, count, tokens, computed] = sums as [number, number, number, number];
    // As `sharesOf`: equal shares if nothing counts.
    const shares = batches.map((batch, at) =>
      all === 0 ? (isSpare(batch) ? 0 : 1 / count) : weights[at]! / all,
    );
    return { shares, totals: { tokens, computed } };
  }

  /**
   * Runs `work` in rank 0 alone and gives its result to all. If it throws there, the others throw
   * `ProcessGroupError` with the message.
   */
  async first<T>(work: () => Promise<T>): Promise<T> {
    if (this.group === null) return work();
    if (!this.isFirst) {
      const said = await this.group.broadcastObject<{ result: T } | { error: string } | null>(null);
      if (said !== null && 'result' in said) return said.result;
      throw new ProcessGroupError(`rank 0: ${said?.error}`);
    }
    try {
      const result = await work();
      await this.group.broadcastObject({ result });
      return result;
    } catch (error) {
      if (!(error instanceof ProcessGroupError))
        await this.group.broadcastObject({ error: error instanceof Error ? error.message : String(error) });
      throw error;
    }
  }

  /** All processes' items, of which rank r made the r-th and every `size`-th after it. */
  async dealt<T>(own: readonly T[]): Promise<T[]> {
    if (this.group === null) return [...own];
    const hands = await this.group.allGatherObject(own);
    const longest = Math.max(...hands.map(({ length }) => length));
    return Array.from({ length: longest }, (_, round) =>
      hands.flatMap((hand) => hand.slice(round, round + 1)),
    ).flat();
  }

  /** Overwrites the float32 values of tensors with those of rank 0. */
  async copyFirst(tensors: readonly Tensor[]): Promise<void> {
    if (this.group === null) return;
    for (const tensor of tensors) {
      if (tensor.dtype !== 'float32' || tensor.size === 0) continue;
      const values = this.isFirst ? await tensor.float32Data() : new Float32Array(tensor.size);
      await this.group.broadcast(values, 0);
      if (!this.isFirst) tensor.write(values);
    }
  }
}
