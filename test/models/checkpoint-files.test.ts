/** Checkpoint folders: one file, shards, and what is wrong with them. */
import { copyFile, mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CheckpointError, FileError } from '../../src/errors.ts';
import { INDEX_NAME, openCheckpoint, WEIGHTS_NAME } from '../../src/models/files/checkpoint-files.ts';
import { writeSafetensors } from '../../src/models/files/safetensors-writer.ts';
import { platform } from '../../src/platform/node.ts';
import { models, readTensors } from '../support/fixtures.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dawngrad-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function save(file: string, tensors: Record<string, number[]>): Promise<void> {
  const list = Object.entries(tensors).map(([name, values]) => ({
    name,
    shape: [values.length],
    dtype: 'F32' as const,
    read: async () => Float32Array.from(values),
  }));
  await platform.writeFolder(folder, 'merge', (f) =>
    f.writeFile(file, (sink) => writeSafetensors(sink, list)),
  );
}
const saveIndex = (index: unknown) =>
  writeFile(join(folder, INDEX_NAME), typeof index === 'string' ? index : JSON.stringify(index));

async function refusal(kind: typeof CheckpointError | typeof FileError): Promise<string> {
  const error = await openCheckpoint(folder).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(kind);
  return (error as Error).message.replaceAll(folder, 'F');
}

describe('a whole checkpoint', () => {
  it('of one file', async () => {
    await save(WEIGHTS_NAME, { a: [1, 2], b: [3] });
    const checkpoint = await openCheckpoint(folder);
    expect(checkpoint.keys().sort()).toEqual(['a', 'b']);
    expect(checkpoint.entry('a')).toMatchObject({ dtype: 'F32', shape: [2] });
    const chunks = [];
    for await (const chunk of checkpoint.float32Chunks('a')) chunks.push(chunk);
    expect(chunks).toEqual([{ elementOffset: 0, values: Float32Array.of(1, 2) }]);
    expect(() => checkpoint.entry('c')).toThrow(new CheckpointError(`${folder}: there is no tensor 'c'`));
    await checkpoint.close();
    await expect(checkpoint.float32Chunks('a').next()).rejects.toThrow();
  });

  it('in shards that transformers wrote', async () => {
    const checkpoint = await openCheckpoint(`${models}bert-sharded`);
    const whole = await readTensors(`${models}bert-base/${WEIGHTS_NAME}`);
    expect(checkpoint.keys().sort()).toEqual([...whole.keys()].sort());
    expect(new Set(checkpoint.keys().map((key) => checkpoint.home(key).path)).size).toBe(3);
    for (const [key, values] of whole)
      expect(await checkpoint.home(key).readFloat32(key), key).toEqual(values);
    await checkpoint.close();
  });

  it('of one file, where an index lies beside it', async () => {
    await save(WEIGHTS_NAME, { a: [1] });
    await saveIndex({ weight_map: { z: 'missing.safetensors' } });
    const checkpoint = await openCheckpoint(folder);
    expect(checkpoint.keys()).toEqual(['a']);
    await checkpoint.close();
  });
});

describe('what is wrong', () => {
  const again = 'download the model again, or save it again';

  it('no folder', async () => {
    folder = join(folder, 'none');
    expect(await refusal(FileError)).toBe("model folder 'F' does not exist · check the path");
    await mkdir(folder);
  });

  it('no weights, or only pickled ones', async () => {
    expect(await refusal(CheckpointError)).toBe(
      "'F' has no model.safetensors and no model.safetensors.index.json · is it a folder that save_pretrained() wrote?",
    );
    await writeFile(join(folder, 'pytorch_model.bin'), 'x');
    expect(await refusal(CheckpointError)).toContain(
      'pickled weights are not read: load the model in Python and save_pretrained() it as safetensors',
    );
  });

  it('a file cut off', async () => {
    await copyFile(`${models}bert-base/${WEIGHTS_NAME}`, join(folder, WEIGHTS_NAME));
    await truncate(join(folder, WEIGHTS_NAME), 20_000);
    expect(await refusal(CheckpointError)).toMatch(
      /^F\/model\.safetensors: tensor '\S+' ends at byte \d+, but the file has 20000 · the file may be cut off/,
    );
  });

  it('a shard that is missing, or lacks a key', async () => {
    await save('one.safetensors', { a: [1] });
    await saveIndex({ weight_map: { a: 'one.safetensors', b: 'two.safetensors' } });
    expect(await refusal(CheckpointError)).toBe(
      `F/${INDEX_NAME}: shard 'two.safetensors' is missing · download all shards`,
    );
    await save('two.safetensors', { c: [1] });
    expect(await refusal(CheckpointError)).toBe(
      `F/${INDEX_NAME}: 'b' is not in shard 'two.safetensors' · ${again}`,
    );
  });

  it.each([
    ['{', 'not JSON'],
    [[], "'weight_map' must map tensors to shard files"],
    [{ weight_map: { a: 1 } }, "'weight_map' must map tensors to shard files"],
    [{ weight_map: { a: '../one.safetensors' } }, "'../one.safetensors' is not a shard's file name"],
    [{ weight_map: { a: '/etc/passwd' } }, "'/etc/passwd' is not a shard's file name"],
    [{ weight_map: { a: 'pytorch_model-1.bin' } }, "'pytorch_model-1.bin' is not a shard's file name"],
  ])('an index that says %j', async (index, message) => {
    await saveIndex(index);
    expect(await refusal(CheckpointError)).toBe(`F/${INDEX_NAME}: ${message} · ${again}`);
  });
});
