/** Trackers: event files as tensorboard writes them (test/reference/event_fixtures.py), and the page of curves. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { resolveArguments } from '../../src/train/argument-checks.ts';
import { curvesPage } from '../../src/train/curves-page.ts';
import type { LogEntry } from '../../src/train/state.ts';
import { scalarEvent } from '../../src/train/tensorboard.ts';
import { useDevice } from '../support/device.ts';
import { fixtures, readJson } from '../support/fixtures.ts';
import { tinyTrainer, useFolders } from '../support/trainer.ts';

const device = useDevice();
const freshFolder = useFolders();

it('an event has the bytes of tensorboard', async () => {
  const cases = await readJson<{ wall: number; entry: LogEntry; record: string }[]>(`${fixtures}events.json`);
  for (const { wall, entry, record } of cases)
    expect(Buffer.from(scalarEvent(entry, wall)).toString('hex')).toBe(record);
});

describe('a training', () => {
  it('writes events and a page of curves', async () => {
    const folder = freshFolder();
    const trainer = await tinyTrainer(device.current, folder, {
      args: { reportTo: ['tensorboard', 'html'], maxSteps: 4, evalStrategy: 'steps', evalSteps: 2 },
    });
    await trainer.train();
    const [run] = readdirSync(join(folder, 'runs'));
    const [file] = readdirSync(join(folder, 'runs', run!));
    expect(file).toMatch(/^events\.out\.tfevents\.\d+\.dawngrad$/);
    const bytes = readFileSync(join(folder, 'runs', run!, file!));
    let records = 0;
    for (let at = 0; at < bytes.length; records += 1) at += 16 + Number(bytes.readBigUInt64LE(at));
    // The version, then each entry of the log.
    expect(records).toBe(1 + trainer.state.logHistory.length);
    for (const tag of ['brain.Event:2', 'train/loss', 'eval/loss', 'eval/accuracy'])
      expect(bytes.includes(tag), tag).toBe(true);
    expect(readFileSync(join(folder, 'curves.html'), 'utf8')).toBe(curvesPage(trainer.state.logHistory));
  });

  it('reports to nobody unless asked', async () => {
    const folder = freshFolder();
    await (await tinyTrainer(device.current, folder, { args: { maxSteps: 1 } })).train();
    expect(existsSync(join(folder, 'runs'))).toBe(false);
    expect(existsSync(join(folder, 'curves.html'))).toBe(false);
  });
});

describe('the page of curves', () => {
  const log: LogEntry[] = [
    { loss: 1, learning_rate: 1e-3, epoch: 0.5, step: 1 },
    { loss: 0.5, learning_rate: 0, epoch: 1, step: 2 },
    { eval_loss: 0.75, 'eval_<b>': 3, eval_f1: null, eval_runtime: 9, epoch: 1, step: 2 },
  ];
  const page = curvesPage(log);

  it('shows each measure, training and evaluation together, and loads nothing', () => {
    expect(page.match(/<svg /g)).toHaveLength(3);
    expect(page.match(/<polyline /g)).toHaveLength(4);
    expect(page).toContain('eval_loss 0.75 at step 2');
    expect(page).not.toMatch(/NaN|<b>|src=|href=|@import|url\(|runtime/);
    expect(page).toMatchSnapshot();
  });
});

it('an unknown tracker is refused', () => {
  expect(() =>
    resolveArguments({ outputDir: 'x', reportTo: ['wandb'] as never }),
  ).toThrowErrorMatchingSnapshot();
});
