/** Questions about a finished model that outlive the GPU. */
import { DeviceLostError } from 'dawngrad';
import type { Inspector } from './inspector.ts';

/**
 * Asks the inspector that `current` gives; if its GPU is lost, waits for `recover`, and asks the one that is
 * current then, once. Questions that fail together recover together.
 */
export function recovering(current: () => Inspector, recover: () => Promise<void>): Inspector {
  const ask = async <T>(question: (inspector: Inspector) => Promise<T>): Promise<T> => {
    const asked = current();
    try {
      return await question(asked);
    } catch (error) {
      if (!(error instanceof DeviceLostError)) throw error;
      await once(asked, recover);
      return question(current());
    }
  };
  return {
    scores: () => ask((inspector) => inspector.scores()),
    mistakes: (most) => ask((inspector) => inspector.mistakes(most)),
    predict: (text, pair) => ask((inspector) => inspector.predict(text, pair)),
    explain: (text, pair, output) => ask((inspector) => inspector.explain(text, pair, output)),
    attention: (text, pair, layer) => ask((inspector) => inspector.attention(text, pair, layer)),
  };
}

const recoveries = new WeakMap<Inspector, Promise<void>>();

/** Recovers from the loss of one inspector's GPU; another try is made if the first fails. */
function once(lost: Inspector, recover: () => Promise<void>): Promise<void> {
  let running = recoveries.get(lost);
  if (running === undefined) {
    running = recover();
    running.catch(() => recoveries.delete(lost));
    recoveries.set(lost, running);
  }
  return running;
}
