/** What the tests ask of a page. Bundled for it; its functions are called by name, with JSON. */
import {
  copyFolder,
  type Device,
  lastCheckpoint,
  mountFolder,
  requestDevice,
  zipFolder,
} from '../../src/index.ts';
import { type Run, trainExample } from './training.ts';

const EXAMPLE = '/examples/sentiment';
let opened: Promise<Device> | null = null;

const device = (): Promise<Device> => {
  opened ??= requestDevice();
  return opened;
};

/** The names in a folder of the page's file system, without the library's help. */
async function entriesOf(names: readonly string[]): Promise<string[]> {
  let folder = await navigator.storage.getDirectory();
  for (const name of names) folder = await folder.getDirectoryHandle(name);
  const found: string[] = [];
  for await (const { name } of folder.values()) found.push(name);
  return found.sort();
}

const base64 = async (blob: Blob): Promise<string> => {
  const url = await new Promise<string>((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.readAsDataURL(blob);
  });
  return url.slice(url.indexOf(',') + 1);
};

export const calls = {
  adapter: async (): Promise<string> => (await device()).description,

  train: async (outputDir: string, until?: number): Promise<Run> =>
    trainExample({
      device: await device(),
      example: EXAMPLE,
      outputDir,
      ...(until !== undefined && { until }),
    }),

  resume: async (outputDir: string): Promise<Run> =>
    trainExample({
      device: await device(),
      example: EXAMPLE,
      outputDir,
      resumeFromCheckpoint: await lastCheckpoint(outputDir),
    }),

  entriesOf,

  /** A zip of a finished training, as base64. */
  zip: async (folder: string): Promise<string> => {
    const parts: BlobPart[] = [];
    const filter = (path: string): boolean => !path.startsWith('checkpoint-');
    for await (const part of zipFolder(folder, { filter })) parts.push(part as Uint8Array<ArrayBuffer>);
    return base64(new Blob(parts));
  },

  /** Copies a folder to one that stands for the user's, and gives the names there. */
  copyOut: async (folder: string): Promise<string[]> => {
    const root = await navigator.storage.getDirectory();
    const picked = await root.getDirectoryHandle('picked', { create: true });
    await copyFolder(folder, await mountFolder(picked));
    return entriesOf(['picked']);
  },
};

export type Calls = typeof calls;
