/** What was measured to be fastest on an adapter, kept between runs. */
import { platform } from '#platform';

/** A change here makes what was kept void: the shaders it was measured with are others. */
const VERSION = 2;

const fileOf = (adapter: string): string => `tuning-${adapter.replace(/[^\w.]+/g, '-')}.json`;

interface TuningFile {
  version: number;
  adapter: string;
  choices: Record<string, string>;
}

/** Empty where nothing is kept for the adapter, or what is kept cannot be read. */
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
