/** The page's data and trainings, without the page. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Device, requestDevice } from '../../src/index.ts';
import type { TrainEvent } from '../../web/src/contract.ts';
import { describeData } from '../../web/src/worker/data.ts';
import { halved, runTraining } from '../../web/src/worker/training.ts';
import { examplePlan } from './node-run.ts';

let device: Device;
let scratch = '';
beforeAll(async () => {
  device = await requestDevice();
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
});
afterAll(async () => {
  device.destroy();
  await rm(scratch, { recursive: true });
});

const file = async (name: string, text: string): Promise<string> => {
  const path = join(scratch, name);
  await writeFile(path, text);
  return path;
};

it('counts single classes, sets of classes, and no values', async () => {
  const single = await describeData({
    train: await file('a.csv', 'text,label\nx,b\ny,a\nz,b\n'),
    evaluation: null,
  });
  expect(single).toMatchObject({ train: 3, evaluation: null, problemType: 'single_label_classification' });
  expect(single.classes).toEqual([
    { name: 'a', count: 1 },
    { name: 'b', count: 2 },
  ]);
  const rows = [
    ['x', ['p', 'q']],
    ['y', []],
    ['z', ['q']],
  ] as const;
  const lines = rows.map(([text, labels]) => JSON.stringify({ text, labels })).join('\n');
  const sets = await describeData({ train: await file('b.jsonl', lines), evaluation: null });
  expect(sets.problemType).toBe('multi_label_classification');
  expect(sets.classes).toEqual([
    { name: 'p', count: 1 },
    { name: 'q', count: 2 },
  ]);
  const values = await describeData({
    train: await file('c.tsv', 'sentence1\tsentence2\tscore\nx\ty\t0.5\nz\tw\t1.25\n'),
    evaluation: null,
  });
  expect(values).toMatchObject({ problemType: 'regression', pairs: true, classes: [] });
  expect(values.sample[0]).toEqual({ text: 'x', pair: 'y', label: '0.5' });
});

it('refuses evaluation data with a class that the training data lack', async () => {
  const paths = {
    train: await file('d.csv', 'text,label\nx,a\ny,b\n'),
    evaluation: await file('e.csv', 'text,label\nx,c\n'),
  };
  await expect(describeData(paths)).rejects.toThrow(/label 'c', which training has not seen/);
});

it('pauses, and goes on in half batches with the same texts a step', async () => {
  const plan = examplePlan(join(scratch, 'out'), 2);
  const text = await readFile(plan.data.train, 'utf8');
  const few = await file('few.tsv', text.split('\n').slice(0, 65).join('\n'));
  plan.data = { train: few, evaluation: null };
  const events: TrainEvent[] = [];
  const wishes = { pause: false, stop: false };
  const paused = await runTraining(device, plan, wishes, (event) => {
    events.push(event);
    if (event.kind === 'step' && event.step === 3) wishes.pause = true;
  });
  // 13 of 64 rows are held out.
  expect(paused).toEqual({ kind: 'paused', step: 3, steps: 8 });
  expect(events.filter(({ kind }) => kind === 'saved').at(-1)).toEqual({ kind: 'saved', step: 3 });
  const later: TrainEvent[] = [];
  const smaller = { ...plan, settings: halved(plan.settings)! };
  expect(smaller.settings).toMatchObject({ batchSize: 8, accumulation: 2 });
  const ended = await runTraining(
    device,
    smaller,
    { pause: false, stop: false },
    (event) => later.push(event),
    true,
  );
  if (ended.kind !== 'finished') throw new Error('it was paused');
  expect(later.find(({ kind }) => kind === 'begin')).toMatchObject({ step: 3, steps: 8 });
  expect(later).toContainEqual({ kind: 'warning', text: expect.stringContaining('the same texts') });
  const { run, rows, model } = ended.live;
  expect(run).toMatchObject({
    steps: 8,
    trainRows: 51,
    evaluationRows: 13,
    labels: ['negative', 'positive'],
  });
  expect(run.log.filter((entry) => 'loss' in entry)).toHaveLength(8);
  expect(rows).toHaveLength(13);
  model.dispose();
});

it('has no half of an odd batch', () => {
  expect(halved({ ...examplePlan('out', 1).settings, batchSize: 3 })).toBeNull();
});
