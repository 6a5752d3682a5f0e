/** What the page decides, apart from what it draws. */
import { describe, expect, it } from 'vitest';
import { DataError, GpuOutOfMemoryError } from '../../src/index.ts';
import { curvesOf, evaluationsOf, smoothed } from '../../web/src/live/history.ts';
import { Pace } from '../../web/src/live/pace.ts';
import { TrainingProgress } from '../../web/src/live/progress.ts';
import { formatBytes, formatSeconds, metricName } from '../../web/src/parts/format.ts';
import { adviceFor, noAdapterAdvice } from '../../web/src/parts/support.ts';
import { troubleOf } from '../../web/src/parts/troubles.ts';
import { countLabels, defaultSettings, imbalance, lackOf, missing } from '../../web/src/setup/choices.ts';
import { argumentsFor, sharesSomeNames } from '../../web/src/worker/training.ts';

describe('choices', () => {
  const row = (text: string, label: string) => ({ text, label });

  it('suggests a lower rate for a wider model, and no longer texts than it takes', () => {
    const model = { hiddenSize: 768, maxLength: 512 };
    expect(defaultSettings(model)).toMatchObject({ learningRate: 3e-5, maxLength: 128 });
    expect(defaultSettings({ ...model, hiddenSize: 128, maxLength: 64 })).toMatchObject({
      learningRate: 5e-4,
      maxLength: 64,
    });
  });

  it('counts the rows that have a text and a label', () => {
    const rows = [row('a', 'x '), row(' ', 'x'), row('b', ''), row('c', 'y'), row('d', 'x')];
    expect(countLabels(rows)).toEqual([
      { name: 'x', count: 2 },
      { name: 'y', count: 1 },
    ]);
  });

  it('says what typed rows lack', () => {
    expect(lackOf([row('', '')])).toMatch(/Write a few texts/);
    expect(lackOf([row('a', 'x'), row('b', 'x')])).toMatch(/another label/);
    expect(lackOf([row('a', 'x'), row('b', 'x'), row('c', 'y')])).toMatch(/“y” has one row/);
    expect(lackOf([row('a', 'x'), row('b', 'x'), row('c', 'y'), row('d', 'y')])).toBeNull();
  });

  it('says what is missing before a training', () => {
    expect(missing(null, null)).toBe('Choose a model and data first.');
  });

  it('warns of a rare class', () => {
    expect(
      imbalance([
        { name: 'x', count: 100 },
        { name: 'y', count: 10 },
      ]),
    ).toMatch(/“y” is rare/);
    expect(
      imbalance([
        { name: 'x', count: 99 },
        { name: 'y', count: 10 },
      ]),
    ).toBeNull();
    expect(imbalance([])).toBeNull();
  });
});

describe('a plan', () => {
  const settings = defaultSettings(null);

  it('saves three times an epoch, and logs at most a few hundred losses', () => {
    expect(argumentsFor(settings, 460, 'out')).toMatchObject({ loggingSteps: 1, saveSteps: 10 });
    expect(argumentsFor({ ...settings, batchSize: 1 }, 100_000, 'out')).toMatchObject({
      loggingSteps: 1500,
      saveSteps: 500,
    });
    expect(argumentsFor(settings, 3, 'out')).toMatchObject({ loggingSteps: 1, saveSteps: 1 });
  });

  it('keeps a classifier only if its classes are the data’s', () => {
    const config = { id2label: { 0: 'a', 1: 'b' } } as unknown as Parameters<typeof sharesSomeNames>[0];
    expect(sharesSomeNames(config, ['a', 'b'])).toBe(false);
    expect(sharesSomeNames(config, ['b', 'c'])).toBe(true);
    expect(sharesSomeNames(config, ['a'])).toBe(true);
    expect(sharesSomeNames(config, ['x', 'y'])).toBe(false);
  });
});

describe('the pace', () => {
  it('leaves out the time of the first step, which compiles', () => {
    const pace = new Pace();
    expect(pace.tokensPerSecond).toBeNull();
    pace.note(1, 100, 30);
    expect(pace.secondsLeft(10)).toBeNull();
    pace.note(2, 300, 31);
    pace.note(3, 100, 32);
    expect(pace.tokensPerSecond).toBe(200);
    expect(pace.secondsLeft(10)).toBe(7);
  });

  it('goes by the latest steps', () => {
    const pace = new Pace();
    for (let step = 1; step <= 100; step += 1) pace.note(step, 10, step < 50 ? step * 10 : 490 + step);
    expect(pace.secondsLeft(200)).toBeCloseTo(100);
  });
});

describe('the history', () => {
  const log = [
    { loss: 0.9, step: 1, epoch: 0.5 },
    { loss: 0.5, step: 2, epoch: 1 },
    { eval_loss: 0.6, eval_accuracy: 0.75, step: 2, epoch: 1 },
    { loss: 0.3, step: 3, epoch: 1.5 },
    { train_runtime: 3, step: 3, epoch: 1.5 },
  ];

  it('puts a loss and an evaluation of one step into one point', () => {
    expect(curvesOf(log)).toMatchObject({
      steps: [1, 2, 3],
      loss: [0.9, 0.5, 0.3],
      evalLoss: [null, 0.6, null],
      score: [null, 0.75, null],
    });
  });

  it('lists evaluations with the loss before them', () => {
    expect(evaluationsOf(log)).toEqual([{ epoch: 1, step: 2, loss: 0.5, evalLoss: 0.6, score: 0.75 }]);
  });

  it('smooths without favor for the first value', () => {
    expect(smoothed([2, null, 2])).toEqual([2, null, 2]);
    const [, second] = smoothed([0, 1]);
    expect(second).toBeCloseTo(0.15 / (0.85 * 0.15 + 0.15));
  });
});

describe('the progress', () => {
  it('begins again from what a checkpoint has', () => {
    const progress = new TrainingProgress();
    progress.take({ kind: 'compile', compiled: 3, total: 34 });
    expect(progress.compiling).toEqual({ done: 3, total: 34 });
    const log = [{ loss: 1, step: 20, epoch: 0.7 }];
    progress.take({ kind: 'begin', modelName: 'm', steps: 58, step: 20, epochs: 2, batchSize: 16, log });
    const step = { kind: 'step', step: 21, epoch: 0.72, tokens: 50, seconds: 1, memoryBytes: 9, kernels: 37 };
    progress.take(step as Parameters<TrainingProgress['take']>[0]);
    expect(progress).toMatchObject({ step: 21, steps: 58, compiling: null, kernels: 37, memoryBytes: 9 });
    // An evaluation compiles a few more.
    progress.take({ kind: 'compile', compiled: 1, total: 3 });
    expect(progress.compiling).toEqual({ done: 1, total: 3 });
    progress.take({ kind: 'compile', compiled: 3, total: 3 });
    expect(progress.compiling).toBeNull();
  });
});

describe('advice', () => {
  const chrome =
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/149.0.0.0 Safari/537.36';
  const safari =
    'Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.4 Safari/605.1.15';
  const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0';
  const without = (userAgent: string) => adviceFor({ hasWebGpu: false, isSecure: true, userAgent })?.setting;

  it('names the setting that helps in this browser', () => {
    expect(adviceFor({ hasWebGpu: true, isSecure: true, userAgent: chrome })).toBeNull();
    expect(without(chrome)).toContain('enable-vulkan');
    expect(without(chrome.replace('X11; Linux x86_64', 'Windows NT 10.0'))).not.toContain('vulkan');
    expect(without(safari)).toContain('Update to Safari 26');
    expect(without(safari.replace('18.4', '26.1'))).toContain('Feature Flags');
    expect(without(firefox)).toContain('dom.webgpu.enabled');
    expect(without(firefox.replaceAll('145', '130'))).toBe('Update Firefox.');
    expect(without('something else')).toBeNull();
    expect(noAdapterAdvice(chrome).setting).toContain('chrome://settings/system');
  });

  it('asks for https first', () => {
    const advice = adviceFor({ hasWebGpu: false, isSecure: false, userAgent: chrome });
    expect(advice?.reason).toContain('https');
  });

  it('says what to change when an error comes', () => {
    const memory = troubleOf(new GpuOutOfMemoryError('no memory for 3 GB'));
    expect(memory.remedies[0]).toBe('Halve the batch size.');
    const data = new DataError('opfs:/dawngrad-page/setup/train/shop.csv: no label', { remedy: 'add one' });
    expect(troubleOf(data)).toEqual({
      title: 'The data cannot be used as they are',
      text: 'shop.csv: no label',
      remedies: ['Add one.'],
    });
    const told = (remedy: string) => troubleOf(new DataError('shop.csv: x', { remedy })).remedies;
    expect(told('save the file as UTF-8, or pass --encoding big5 (encoding: big5)')).toEqual([
      'Save the file as UTF-8.',
    ]);
    expect(told('name it with --text-column (there are a, b)')).toEqual([
      'Call the column of the texts “text” (there are a, b).',
    ]);
    expect(told('leave --encoding out (encoding)')).toEqual([]);
    const folder = new DataError("'folder:/my models/a b/config.json' is cut");
    expect(troubleOf(folder).text).toBe("'config.json' is cut");
    expect(troubleOf({ name: 'TypeError', message: 'x' }).title).toBe('Something went wrong');
  });
});

it('writes numbers for people', () => {
  expect([0, 999, 2_652_520, 1.23e9].map(formatBytes)).toEqual(['0 B', '999 B', '2.65 MB', '1.23 GB']);
  expect([0.4, 61, 7300].map(formatSeconds)).toEqual(['0 s', '1 min 1 s', '2 h 1 min']);
  expect(metricName('eval_f1_macro')).toBe('f1 macro');
});
