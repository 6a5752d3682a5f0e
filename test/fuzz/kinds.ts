/** The kinds of files to damage, each with an intact file and its reader. */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Random } from '../../src/data/random.ts';
import { readTable } from '../../src/data/table.ts';
import { readTuning, TUNING_VERSION } from '../../src/gpu/tuning.ts';
import { openCheckpoint } from '../../src/models/files/checkpoint-files.ts';
import { loadConfig } from '../../src/models/files/load.ts';
import { openSafetensors } from '../../src/models/files/safetensors-reader.ts';
import { progressFromJson } from '../../src/train/progress.ts';
import { savedArguments } from '../../src/train/resume.ts';
import { stateFromJson } from '../../src/train/state.ts';
import { models } from '../support/fixtures.ts';
import { memorySource } from '../support/memory-source.ts';
import { mutateBytes, mutateJson } from '../support/mutate.ts';

export interface FuzzKind {
  /** The file's name, which every error must contain. */
  name: string;
  cases: number;
  /** An intact file. */
  whole: Uint8Array;
  /** Whether to damage JSON keys too, not only bytes. */
  json: boolean;
  /** Reads a damaged file as the engine does; `folder` is a model folder, for kinds read from disk. */
  read(bytes: Uint8Array, folder: string): unknown;
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const model = (folder: string, name: string): Uint8Array => readFileSync(join(models, folder, name));
const example = (name: string): Uint8Array =>
  readFileSync(fileURLToPath(new URL(`../../examples/sentiment/${name}`, import.meta.url))).subarray(0, 3000);

/** Writes the file into a folder, for kinds read from disk. */
async function onDisk(folder: string, name: string, bytes: Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

/** The files that a training leaves in a checkpoint. */
export const checkpointKinds = (checkpoint: string): FuzzKind[] => {
  const whole = (name: string): Uint8Array => readFileSync(join(checkpoint, name));
  const json = (name: string, cases: number, read: (text: string, source: string) => unknown): FuzzKind => ({
    name,
    cases,
    whole: whole(name),
    json: true,
    read: (bytes) => read(text(bytes), name),
  });
  return [
    json('trainer_state.json', 900, stateFromJson),
    json('progress.json', 900, progressFromJson),
    json('training_args.json', 600, savedArguments),
  ];
};

const safetensors = (name: string, whole: Uint8Array): FuzzKind => ({
  name,
  cases: 500,
  whole,
  json: false,
  read: async (bytes) => {
    const file = await openSafetensors(memorySource(name, bytes));
    for (const tensor of file.tensors.keys()) await file.readFloat32(tensor);
  },
});

/** Files of a model that the engine reads, other than the tokenizer's. */
export const modelKinds: FuzzKind[] = [
  {
    name: 'config.json',
    cases: 900,
    whole: model('bert-single', 'config.json'),
    json: true,
    read: async (bytes, folder) => {
      await onDisk(folder, 'config.json', bytes);
      return loadConfig(folder);
    },
  },
  {
    name: 'model.safetensors.index.json',
    cases: 400,
    whole: model('bert-sharded', 'model.safetensors.index.json'),
    json: true,
    read: async (bytes, folder) => {
      await onDisk(folder, 'model.safetensors.index.json', bytes);
      await (await openCheckpoint(folder)).close();
    },
  },
  safetensors('model.safetensors', readFileSync(join(models, '../weights/plain.safetensors'))),
  safetensors('half.safetensors', readFileSync(join(models, '../weights/half.safetensors'))),
];

const table = (name: string, whole: Uint8Array): FuzzKind => ({
  name,
  cases: 100,
  whole,
  json: false,
  read: async (bytes, folder) => readTable(await onDisk(folder, name, bytes), { requireLabels: true }),
});

/** Data files, and files that the engine keeps for itself. */
export const otherKinds: FuzzKind[] = [
  table('train.tsv', example('train.tsv')),
  table('train.csv', new TextEncoder().encode('text,label\n"a, b",good\nc,bad\n"d ""e""",good\n'.repeat(20))),
  table(
    'train.jsonl',
    new TextEncoder().encode('{"text": "a b", "label": "good"}\n{"text": "c", "label": "bad"}\n'.repeat(20)),
  ),
];

/** A stored choice of kernels that cannot be read is not an error: it counts as absent. */
export async function readDamagedTuning(random: Random, keep: (text: string) => void): Promise<unknown> {
  const whole = JSON.stringify({
    version: TUNING_VERSION,
    adapter: 'an adapter',
    choices: { 'matmul nt 1': 'matmul_tile8x8' },
    step: 4,
  });
  keep(mutateJson(whole, random));
  return readTuning('an adapter');
}

/** A damaged file of a kind. */
export function damaged({ whole, json }: Pick<FuzzKind, 'whole' | 'json'>, random: Random): Uint8Array {
  if (json && random.integer(4) > 0) return new TextEncoder().encode(mutateJson(text(whole), random));
  return mutateBytes(whole, random);
}
