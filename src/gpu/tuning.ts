/** Keeps the fastest techniques measured on an adapter between runs. */
import { platform } from '#platform';

/** Increase when shaders change, which invalidates the stored measurements. */
export const TUNING_VERSION = 4;

const fileOf = (adapter: string): string => `tuning-${adapter.replace(/[^\w.]+/g, '-')}.json`;

interface TuningFile {
  version: number;
  adapter: string;
  choices: Record<string, string>;
  step?: number;
}

/** What was measured on an adapter. */
export class Tuning {
  private readonly techniques = new Map<string, string>();
  private chosenStep: number | undefined;
  private changed = 0;

  /** How often a choice changed: what was made by earlier ones is out of date. */
  get changes(): number {
    return this.changed;
  }

  /** The fastest technique by class of products. */
  get choices(): ReadonlyMap<string, string> {
    return this.techniques;
  }

  /** Elements of k that a round of matmul takes, as suits the processor of a CPU adapter; see `tuneStep`. */
  get step(): number | undefined {
    return this.chosenStep;
  }

  set step(step: number | undefined) {
    if (step === this.chosenStep) return;
    this.chosenStep = step;
    this.changed += 1;
  }

  choose(key: string, technique: string): void {
    if (this.techniques.get(key) === technique) return;
    this.techniques.set(key, technique);
    this.changed += 1;
  }

  clear(): void {
    this.techniques.clear();
    this.chosenStep = undefined;
    this.changed += 1;
  }
}

/** Returns an empty tuning if nothing is stored for the adapter or the file cannot be read. */
export async function readTuning(adapter: string): Promise<Tuning> {
  const tuning = new Tuning();
  const text = await platform.readCache(fileOf(adapter));
  if (text === null) return tuning;
  try {
    const file = JSON.parse(text) as Partial<TuningFile>;
    if (file.version !== TUNING_VERSION || file.adapter !== adapter || typeof file.choices !== 'object')
      return tuning;
    for (const [key, choice] of Object.entries(file.choices))
      if (typeof choice === 'string') tuning.choose(key, choice);
    if (typeof file.step === 'number') tuning.step = file.step;
  } catch {
    // As if nothing were stored.
  }
  return tuning;
}

export async function writeTuning(adapter: string, { choices, step }: Tuning): Promise<void> {
  const kept = { choices: Object.fromEntries(choices), ...(step !== undefined && { step }) };
  const file: TuningFile = { version: TUNING_VERSION, adapter, ...kept };
  await platform.writeCache(fileOf(adapter), `${JSON.stringify(file, null, 2)}\n`);
}
