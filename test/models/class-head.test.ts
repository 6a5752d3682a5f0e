/**
 * A trained classifier under other class names: its outputs go with their names, or are drawn anew, and the
 * report says so.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
} from '../../src/models/auto.ts';
import { hasTrainedClassifier } from '../../src/models/files/class-head.ts';
import { type LoadOptions, type LoadReport, loadConfig } from '../../src/models/files/load.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import { useDevice } from '../support/device.ts';
import { type FixtureInputs, maxDifference, modelInputs, models, readJson } from '../support/fixtures.ts';

const device = useDevice();
let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
});
afterAll(() => rm(scratch, { recursive: true }));

/** A fixture's folder, its classes named. */
async function named(fixture: string, names: readonly string[]): Promise<string> {
  const folder = join(scratch, `${fixture}-${names.join('-')}`);
  await cp(models + fixture, folder, { recursive: true });
  const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>;
  const id2label = Object.fromEntries(names.map((name, id) => [id, name]));
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, id2label, label2id: undefined }));
  return folder;
}

/** Logits [tokens or texts, classes], and the report. */
async function logitsOf(fixture: string, folder: string, options: Partial<LoadOptions> = {}) {
  let report: LoadReport | undefined;
  const auto = fixture.endsWith('token')
    ? AutoModelForTokenClassification
    : AutoModelForSequenceClassification;
  const model = await auto.fromPretrained(folder, {
    device: device.current,
    onReport: (given) => (report = given),
    ...options,
  });
  const { inputs } = await readJson<{ inputs: FixtureInputs }>(`${models}${fixture}/expected.json`);
  using scope = device.current.scope();
  const { logits } = noGrad(() => model.forward(modelInputs(device.current, inputs)));
  const values = await logits.float32Data();
  const { config } = model;
  model.dispose();
  scope.close();
  return { values, config, report: report! };
}

/** Columns of row-major values of `width`. */
function columns(values: Float32Array, width: number, order: readonly number[]): Float32Array {
  return Float32Array.from(
    { length: values.length },
    (_, at) => values[at - (at % width) + order[at % width]!]!,
  );
}

const names = ['positive', 'negative', 'neutral'];

describe.each(['bert-single', 'roberta-single', 'bert-token', 'distilbert-single', 'electra-single'])(
  '%s',
  (fixture) => {
    const theirs = fixture === 'bert-token' ? ['B', 'I', 'O', 'X', 'Y'] : names;
    const width = theirs.length;

    it('takes its weights along where the same names come in another order', async () => {
      const folder = await named(fixture, theirs);
      const before = await logitsOf(fixture, folder);
      expect(before.report.text).toBe('');
      const ours = [...theirs].sort().reverse();
      const order = ours.map((name) => theirs.indexOf(name));
      expect(order).not.toEqual(theirs.map((_, id) => id));
      const after = await logitsOf(fixture, folder, { id2label: { ...ours } });
      expect(Object.values(after.config.id2label)).toEqual(ours);
      expect(maxDifference(after.values, columns(before.values, width, order))).toBeLessThan(1e-6);
      // Their old places would have been wrong by far.
      expect(maxDifference(after.values, before.values)).toBeGreaterThan(1e-2);
      expect(after.report.redrawn).toEqual([]);
      expect(after.report.text).toContain("id2label has the checkpoint's classes in another order");
    });

    it('is drawn anew for other names, and says so', async () => {
      const folder = await named(fixture, theirs);
      const before = await logitsOf(fixture, folder);
      const ours = theirs.map((name) => `${name}-other`);
      const after = await logitsOf(fixture, folder, { id2label: { ...ours } });
      const layer = ['roberta-single', 'electra-single'].includes(fixture)
        ? 'classifier.out_proj'
        : 'classifier';
      expect(after.report.redrawn).toEqual([`${layer}.weight`, `${layer}.bias`]);
      expect(after.report.text).toContain(`drawn anew  ${layer}.weight, ${layer}.bias`);
      expect(maxDifference(after.values, before.values)).toBeGreaterThan(1e-2);
      const kept = await logitsOf(fixture, folder, { id2label: { ...ours }, head: 'keep' });
      expect(kept.values).toEqual(before.values);
      expect(Object.values(kept.config.id2label)).toEqual(ours);
      const renewed = await logitsOf(fixture, folder, { head: 'new' });
      expect(renewed.report.redrawn).toHaveLength(2);
    });
  },
);

describe('names', () => {
  it('may differ in case', async () => {
    const folder = await named('bert-single', names);
    const before = await logitsOf('bert-single', folder);
    const ours = ['NEGATIVE', 'Neutral', 'positive'];
    const after = await logitsOf('bert-single', folder, { id2label: { ...ours } });
    expect(maxDifference(after.values, columns(before.values, 3, [1, 2, 0]))).toBeLessThan(1e-6);
  });

  it('that stand twice in the checkpoint are left alone where none are given', async () => {
    const folder = await named('bert-single', ['a', 'b', 'a']);
    const before = await logitsOf('bert-single', `${models}bert-single`);
    expect((await logitsOf('bert-single', folder)).values).toEqual(before.values);
  });

  it('that are only in part the same are refused', async () => {
    const folder = await named('bert-single', names);
    const load = (ours: string[], head?: 'keep' | 'new') =>
      logitsOf('bert-single', folder, { id2label: { ...ours }, ...(head && { head }) });
    await expect(load(['positive', 'negative', 'mixed'])).rejects.toThrowErrorMatchingSnapshot();
    expect((await load(['positive', 'negative', 'mixed'], 'new')).report.redrawn).toHaveLength(2);
  });

  it('are given by number to classes that have none', async () => {
    const before = await logitsOf('bert-single', `${models}bert-single`);
    const after = await logitsOf('bert-single', `${models}bert-single`, { id2label: { ...names } });
    expect(after.values).toEqual(before.values);
    expect(after.report.text).toContain(
      'have no names: by number they are called positive, negative, neutral',
    );
  });
});

it('knows a trained classifier of sequences', async () => {
  const known = async (fixture: string) =>
    hasTrainedClassifier(models + fixture, await loadConfig(models + fixture));
  expect(
    await Promise.all(
      ['bert-single', 'roberta-multi', 'camembert-single', 'bert-base', 'roberta-mlm', 'distilbert-mlm'].map(
        known,
      ),
    ),
  ).toEqual([true, true, true, false, false, false]);
});
