/** Keeps the fastest techniques measured on an adapter between runs. */
import { platform } from '#platform';

/** Increase when shaders change, which invalidates the stored measurements. */
const VERSION = 3;

const fileOf = (adapter: string): string => `tuning-${adapter.replace(/[^\w.]+/g, '-')}.json`;

interface TuningFile {
  version: number;
  adapter: string;
  choices: Record<string, string>;
}

/** Returns an empty map if nothing is stored for the adapter or the file cannot be read. */
export async function readTuning(adapter: string): Promise<Map<string, string>> {
  const text = await platform.readCache(fileOf(adapter));
  if (text === null) return new Map();
  try {
    const file = JSON.parse(text) as Partial<TuningFile>;
    if (file.version !== VERSION || file.adapter !== adapter || typeof file.choices !== 'object')
      return new Map();
    return new Map(Object.entries(file.choices).filter(([, choice]) => typeof choice === 'string'));
  } catch {
    return new Map();
  }
}

export async function writeTuning(adapter: string, choices: ReadonlyMap<string, string>): Promise<void> {
  const file: TuningFile = { version: VERSION, adapter, choices: Object.fromEntries(choices) };
  await platform.writeCache(fileOf(adapter), `${JSON.stringify(file, null, 2)}\n`);
}
