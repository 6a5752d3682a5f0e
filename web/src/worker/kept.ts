/** What the browser keeps of a training: its data and settings, beside its checkpoints. */
import { copyFolder, FileError, lastCheckpoint, mountFolder } from 'dawngrad';
import type { Kept, Run } from '../contract.ts';
import type { TrainingPlan } from './training.ts';

const FOLDER = 'dawngrad-page';
const PLAN = 'plan.json';
const RUN = 'run.json';
const STATE = 'trainer_state.json';

/** Where a training is kept, and its data. */
export const places = {
  output: `opfs:/${FOLDER}/run`,
  setup: `opfs:/${FOLDER}/setup`,
};

/** The text of a file of the page's own file system; null if it is not there. */
async function readText(...names: string[]): Promise<string | null> {
  try {
    let folder = await navigator.storage.getDirectory();
    for (const name of names.slice(0, -1)) folder = await folder.getDirectoryHandle(name);
    return await (await (await folder.getFileHandle(names.at(-1)!)).getFile()).text();
  } catch {
    return null;
  }
}

/** Copies files into a folder beside the checkpoints. */
async function write(folder: string, files: readonly File[]): Promise<void> {
  await copyFolder(await mountFolder(files), folder);
}

/** Copies a file of the data there; returns its new path. */
export async function keepFile(part: 'train' | 'evaluation', file: File): Promise<string> {
  const folder = `${places.setup}/${part}`;
  await write(folder, [file]);
  return `${folder}/${file.name}`;
}

const jsonFile = (name: string, content: object): File => new File([JSON.stringify(content)], name);

export const keepPlan = (plan: TrainingPlan): Promise<void> => write(places.setup, [jsonFile(PLAN, plan)]);

export const keepRun = (run: Run): Promise<void> => write(places.setup, [jsonFile(RUN, run)]);

async function readJson<T>(...names: string[]): Promise<T | null> {
  const text = await readText(FOLDER, ...names);
  return text === null ? null : (JSON.parse(text) as T);
}

export const keptPlan = (): Promise<TrainingPlan | null> => readJson<TrainingPlan>('setup', PLAN);

export const keptRun = (): Promise<Run | null> => readJson<Run>('setup', RUN);

interface SavedState {
  global_step: number;
  max_steps: number;
}

/** The training that is kept, finished or not; null if there is nothing to go on with. */
export async function findKept(): Promise<Kept | null> {
  const plan = await keptPlan();
  if (plan === null) return null;
  const { modelName } = plan;
  const run = await keptRun();
  if (run !== null) return { state: 'finished', modelName, step: run.steps, steps: run.steps };
  const checkpoint = await lastCheckpoint(places.output).catch(() => null);
  if (checkpoint === null) return null;
  const state = await readJson<SavedState>('run', checkpoint.split('/').at(-1)!, STATE);
  if (state === null) return null;
  return { state: 'unfinished', modelName, step: state.global_step, steps: state.max_steps };
}

/** A name for a new folder in one that the user picked; null if that one is empty. */
export async function freeNameIn(folder: FileSystemDirectoryHandle, wanted: string): Promise<string | null> {
  const names = new Set<string>();
  for await (const name of (folder as unknown as { keys(): AsyncIterable<string> }).keys()) names.add(name);
  if (names.size === 0) return null;
  for (let at = 1; ; at += 1) {
    const name = at === 1 ? wanted : `${wanted}-${at}`;
    if (!names.has(name)) return name;
  }
}

/** Throws `FileError` in a window that keeps no files. */
export async function discardKept(): Promise<void> {
  const root = await navigator.storage.getDirectory().catch((cause: unknown) => {
    throw new FileError('this window keeps no files, and checkpoints are files', {
      remedy: 'open the page in a window that is not private',
      cause,
    });
  });
  await root.removeEntry(FOLDER, { recursive: true }).catch((error: unknown) => {
    if ((error as DOMException).name !== 'NotFoundError') throw error;
  });
}
