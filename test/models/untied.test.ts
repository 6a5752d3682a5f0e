/**
 * Masked language models whose decoder is tied, is not, or is in part: logits, gradients and files as
 * transformers has them.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { AutoModelForMaskedLM } from '../../src/models/auto.ts';
import type { HiddenActivation } from '../../src/models/common/activations.ts';
import type { LoadReport } from '../../src/models/files/load.ts';
import { openSafetensors } from '../../src/models/files/safetensors-reader.ts';
import { type TensorToWrite, writeSafetensors } from '../../src/models/files/safetensors-writer.ts';
import { platform } from '../../src/platform/node.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import { useDevice } from '../support/device.ts';
import { families } from '../support/families.ts';
import {
  type FixtureInputs,
  type Ids,
  int32,
  maxDifference,
  modelInputs,
  models,
  readJson,
  readTensors,
  relativeError,
} from '../support/fixtures.ts';
import { weightsOf } from '../support/weights.ts';

const device = useDevice();
let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
});
afterAll(() => rm(scratch, { recursive: true }));

interface FileCase {
  tie: boolean;
  /** Tensors that are another's copy, or (null) not there. */
  changes: Record<string, string | null>;
  missing: string[];
  unexpected: string[];
}

/** A copy of a folder with some tensors changed. */
async function changed(source: string, { tie, changes }: FileCase): Promise<string> {
  const folder = await mkdtemp(join(scratch, 'model-'));
  const config = await readJson<object>(`${source}/config.json`);
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, tie_word_embeddings: tie }));
  const file = await openSafetensors(await platform.openFile(`${source}/model.safetensors`));
  const tensors: TensorToWrite[] = [];
  for (const [name, { shape }] of file.tensors) {
    const from = changes[name] === undefined ? name : changes[name];
    if (from !== null) tensors.push({ name, shape, dtype: 'F32', read: () => file.readFloat32(from) });
  }
  const parts: Uint8Array[] = [];
  await writeSafetensors({ write: async (bytes) => void parts.push(bytes.slice()) }, tensors);
  await file.close();
  await writeFile(join(folder, 'model.safetensors'), Buffer.concat(parts));
  return folder;
}

async function load(folder: string, options = {}) {
  let report: LoadReport | undefined;
  const model = await AutoModelForMaskedLM.fromPretrained(folder, {
    device: device.current,
    onReport: (given) => (report = given),
    ...options,
  });
  return { model, report: report! };
}

type Model = Awaited<ReturnType<typeof load>>['model'];

async function logitsOf(model: Model, inputs: FixtureInputs): Promise<Float32Array> {
  using _scope = device.current.scope();
  return noGrad(() => model.forward(modelInputs(device.current, inputs))).logits.float32Data();
}

describe.each(families)('%s', async (family) => {
  const source = `${models}${family}-mlm-untied`;
  const files = await readJson<Record<string, FileCase>>(`${source}/files.json`);
  /** Each weight that may be tied, and what to. */
  const ties = Object.entries(files['tied, nothing differs']!.changes) as [string, string][];
  const expectations = async () =>
    readJson<{ inputs: FixtureInputs; labels: { labels: Ids }; loss: number }>(`${source}/expected.json`);

  it('untied: logits, loss and every gradient; the bias that nothing reads has none', async () => {
    const expected = await expectations();
    const tensors = await readTensors(`${source}/expected.safetensors`);
    const { model, report } = await load(source);
    expect(report.text).toBe('');
    using _scope = device.current.scope();
    const output = model.forward({
      ...modelInputs(device.current, expected.inputs),
      labels: int32(device.current, expected.labels.labels),
    });
    expect(maxDifference(await output.logits.data(), tensors.get('out.logits')!)).toBeLessThan(1e-4);
    expect(Math.abs((await output.loss!.item()) / expected.loss - 1)).toBeLessThan(1e-5);
    output.loss!.backward();
    const weights = weightsOf(model);
    const theirs = [...tensors].filter(([name]) => name.startsWith('grad.'));
    expect([...weights.keys()].sort()).toEqual(theirs.map(([name]) => name.slice(5)).sort());
    const largest = Math.max(...theirs.map(([, reference]) => Math.hypot(...reference)));
    for (const [key, reference] of theirs) {
      const actual = (await weights.get(key.slice(5))!.gradient()) ?? new Float32Array(reference.length);
      if (Math.hypot(...reference) < 1e-6 * largest)
        expect(Math.hypot(...actual), key).toBeLessThan(1e-5 * largest);
      else expect(relativeError(actual, reference), key).toBeLessThan(1e-3);
    }
    model.dispose();
  });

  it('comes back from disk as it was, every tensor', async () => {
    const { model } = await load(source);
    const folder = join(scratch, `${family}-saved`);
    await model.savePretrained(folder);
    expect(await readTensors(`${folder}/model.safetensors`)).toEqual(
      await readTensors(`${source}/model.safetensors`),
    );
    expect(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'))).toMatchObject({
      tie_word_embeddings: false,
    });
    model.dispose();
  });

  it('ties what the config ties and the file does not contradict', async () => {
    const { inputs } = await expectations();
    const logits = await readTensors(`${source}/files.safetensors`);
    for (const [title, file] of Object.entries(files)) {
      const folder = await changed(source, file);
      const { model, report } = await load(folder);
      expect(maxDifference(await logitsOf(model, inputs), logits.get(title)!), title).toBeLessThan(1e-4);
      expect([...report.missing].sort(), title).toEqual(file.missing);
      expect([...report.unexpected].sort(), title).toEqual(file.unexpected);
      const apart = ties.filter((names) => file.tie && names.every((name) => !(name in file.changes)));
      expect(report.untied.map(({ name }) => name).sort(), title).toEqual(apart.map(([name]) => name).sort());
      // What was untied is written, and read, as it is.
      const again = join(scratch, `${family} ${title}`);
      await model.savePretrained(again);
      const second = await load(again);
      expect(await logitsOf(second.model, inputs), title).toEqual(await logitsOf(model, inputs));
      expect(second.report.untied, title).toEqual(report.untied);
      model.dispose();
      second.model.dispose();
    }
  });

  it('says that it untied', async () => {
    const file = { tie: true, changes: {}, missing: [], unexpected: [] };
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    const folder = await changed(source, file);
    (await AutoModelForMaskedLM.fromPretrained(folder, { device: device.current })).dispose();
    const said = warn.mock.calls.map(([text]) => String(text)).filter((text) => text.startsWith('Weights'));
    warn.mockRestore();
    expect(said.length).toBe(1);
    for (const [name, from] of ties)
      expect(said[0]).toContain(`untied      ${name}: its values are not those of ${from}`);
    expect(said[0]).toContain('have values of their own, which were taken');
  });

  it('learns a decoder of its own apart from the embeddings', async () => {
    const { model } = await load(source);
    const state = model.stateDict();
    for (const [name, from] of ties) expect(state.get(name), name).not.toBe(state.get(from));
    const tied = await load(source, { tieWordEmbeddings: true });
    expect(tied.report.untied.length).toBe(ties.length);
    for (const each of [model, tied.model]) each.dispose();
  });
});

it.each(families.filter((family) => existsSync(`${models}${family}-mlm-untied/activations.safetensors`)))(
  '%s computes every activation that it accepts',
  async (family) => {
    const source = `${models}${family}-mlm-untied`;
    const { inputs } = await readJson<{ inputs: FixtureInputs }>(`${source}/expected.json`);
    const logits = await readTensors(`${source}/activations.safetensors`);
    for (const [name, expected] of logits) {
      const { model } = await load(source, { hiddenAct: name as HiddenActivation });
      expect(maxDifference(await logitsOf(model, inputs), expected), name).toBeLessThan(1e-4);
      // Its name is the file's, whatever kernel computes it.
      expect(model.config.hiddenAct).toBe(name);
      model.dispose();
    }
    const { hiddenActivations } = await import('../../src/models/common/activations.ts');
    expect([...logits.keys()].sort()).toEqual([...hiddenActivations].sort());
  },
);
