/**
 * Waits for an adapter that computes on the CPU. While anything is pending, Dawn polls in every turn of the
 * event loop, which keeps busy a core that the adapter needs; sleeping between turns makes them rare.
 */
const sleeper = new Int32Array(new SharedArrayBuffer(4));
const SHORTEST_MS = 0.05;
const LONGEST_MS = 1;

let pending = 0;
let sleeping = false;

async function sleepWhilePending(): Promise<void> {
  if (sleeping) return;
  sleeping = true;
  for (let ms = SHORTEST_MS; pending > 0; ms = Math.min(2 * ms, LONGEST_MS)) {
    Atomics.wait(sleeper, 0, 0, ms);
    await new Promise((resolve) => setImmediate(resolve));
  }
  sleeping = false;
}

/** Settles as `work` does. On a `software` adapter this thread sleeps most of the time until then. */
export async function waitForGpu<T>(work: Promise<T>, software: boolean): Promise<T> {
  if (!software) return work;
  pending += 1;
  void sleepWhilePending();
  try {
    return await work;
  } finally {
    pending -= 1;
  }
}
