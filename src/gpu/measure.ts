/** Times GPU work: batches of recorded launches, from submission to completion. */
export interface Timing {
  /** Seconds of one run: the median, and the quartiles around it. */
  median: number;
  low: number;
  high: number;
  /** Batches timed. */
  samples: number;
}

export interface MeasureOptions {
  /** Seconds to spend, warm-up left out. */
  seconds: number;
}

/** Seconds that a batch should take at least, so that submitting and waking up do not count. */
const BATCH_SECONDS = 0.02;

/**
 * Times `record`, which records some GPU work, or gives a promise if it has to wait for it; `device.sync`
 * waits for the rest.
 */
export async function measure(
  device: { sync(): Promise<void> },
  record: () => void | Promise<void>,
  { seconds }: MeasureOptions,
): Promise<Timing> {
  const batch = async (runs: number): Promise<number> => {
    const start = performance.now();
    for (let i = 0; i < runs; i += 1) {
      const waiting = record();
      if (waiting !== undefined) await waiting;
    }
    await device.sync();
    return (performance.now() - start) / 1000;
  };
  // Compiles, fills the pool and the caches, and tells how many runs make a batch.
  await batch(1);
  const once = await batch(1);
  const runs = Math.max(1, Math.ceil(BATCH_SECONDS / Math.max(once, 1e-6)));
  if (runs > 1) await batch(runs);
  const times: number[] = [];
  const begin = performance.now();
  while (times.length < 3 || (performance.now() - begin) / 1000 < seconds)
    times.push((await batch(runs)) / runs);
  return summarize(times);
}

export function summarize(times: readonly number[]): Timing {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  return { median: at(0.5), low: at(0.25), high: at(0.75), samples: sorted.length };
}
