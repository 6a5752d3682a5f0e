/** Few-shot classifiers: pairs as setfit draws them, heads as scikit-learn fits them, folders as Python has them. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contrastivePairs, type PairOptions } from '../../src/sentence/contrastive-pairs.ts';
import { fitLogisticRegression } from '../../src/sentence/logistic-regression.ts';
import { SentenceTransformer } from '../../src/sentence/sentence-transformer.ts';
import { SetFitModel, SetFitTrainer } from '../../src/sentence/setfit.ts';
import { dawngrad } from '../support/command.ts';
import { useDevice } from '../support/device.ts';
import { fixtures } from '../support/fixtures.ts';

interface PairCounts {
  alike: number;
  other: number;
  different: number;
  /** How often the rarest pair of two classes comes, and of one. */
  least: [number, number];
}
const expected = JSON.parse(await readFile(join(fixtures, 'few-shot/expected.json'), 'utf8')) as {
  texts: string[];
  classes: Record<string, { labels: number[]; proba: number[][] }>;
  logits: number[][];
  pairs: Record<string, PairCounts>;
};
const plain = join(fixtures, 'sentence/model');
const device = useDevice();
let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-few-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** A folder with the head that Python saved; `change` edits the Dense's config. */
async function pythonFolder(name: string, change: object = {}): Promise<string> {
  const target = join(scratch, name);
  await cp(plain, target, { recursive: true });
  await cp(join(fixtures, 'few-shot'), target, { recursive: true });
  const path = join(target, 'config.json');
  const config = JSON.parse(await readFile(path, 'utf8')) as object;
  await writeFile(path, JSON.stringify({ ...config, id2label: { 0: 'a', 1: 'b', 2: 'c' } }));
  const dense = join(target, '3_Dense/config.json');
  await writeFile(dense, JSON.stringify({ ...JSON.parse(await readFile(dense, 'utf8')), ...change }));
  return target;
}
const close = (found: ArrayLike<number>, wanted: readonly number[], digits = 5): void => {
  expect(found.length).toBe(wanted.length);
  for (const [at, value] of wanted.entries()) expect(found[at]!).toBeCloseTo(value, digits);
};

describe('pairs', () => {
  const classes = [0, 0, 0, 1, 1, 2];
  it.each(Object.entries(expected.pairs))('are as many as setfit draws: %s', (name, wanted) => {
    const options: PairOptions = name.includes('iterations')
      ? { numIterations: 4 }
      : { samplingStrategy: name as 'unique' };
    const found = contrastivePairs(classes, options);
    const counts = new Map<string, number>();
    const least = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
    for (const { pair } of found) counts.set(`${pair}`, (counts.get(`${pair}`) ?? 0) + 1);
    for (const { pair, label } of found) {
      expect(label).toBe(classes[pair[0]] === classes[pair[1]] ? 1 : 0);
      least[label] = Math.min(least[label]!, counts.get(`${pair}`)!);
    }
    const of = (label: number): number => found.filter((one) => one.label === label).length;
    expect({ alike: of(1), other: of(0), different: counts.size, least }).toEqual(wanted);
  });

  it('take turns, in an order of the seed', () => {
    const order = (seed: number) => contrastivePairs(classes, { seed }).map(({ pair }) => pair.join('-'));
    expect(
      contrastivePairs(classes)
        .map(({ label }) => label)
        .slice(0, 6),
    ).toEqual([1, 0, 1, 0, 1, 0]);
    expect(order(1)).toEqual(order(1));
    expect(order(1)).not.toEqual(order(2));
  });

  it('refuse one class, and options that are none', () => {
    expect(() => contrastivePairs([1, 1])).toThrow(/all texts have one class/);
    expect(() => contrastivePairs(classes, { samplingStrategy: 'all' as 'unique' })).toThrow(
      /samplingStrategy/,
    );
    expect(() => contrastivePairs(classes, { numIterations: 0 })).toThrow(/numIterations/);
  });
});

describe('a head', () => {
  it.each(['2', '3'])('of %s classes is scikit-learn’s', async (count) => {
    const body = await SentenceTransformer.fromPretrained(plain, { device: device.current });
    const vectors = await body.encode(expected.texts);
    const { labels, proba } = expected.classes[count]!;
    const { weight, bias } = fitLogisticRegression(vectors, labels, Number(count));
    for (const [at, vector] of vectors.entries()) {
      const logits = [...bias].map((b, row) =>
        vector.reduce((sum, x, i) => sum + x * weight[row * vector.length + i]!, b),
      );
      const total = logits.reduce((sum, z) => sum + Math.exp(z), 0);
      close(
        logits.map((z) => Math.exp(z) / total),
        proba[at]!,
        6,
      );
    }
    body.dispose();
  });
});

describe('a folder', () => {
  it('of Python’s gives its logits, and comes back as it was', async () => {
    const model = await SetFitModel.fromPretrained(await pythonFolder('python'), { device: device.current });
    const scores = await model.predictProba(expected.texts, 4);
    for (const [at, logits] of expected.logits.entries()) {
      const total = logits.reduce((sum, z) => sum + Math.exp(z), 0);
      close(
        scores[at]!,
        logits.map((z) => Math.exp(z) / total),
      );
    }
    const best = expected.logits.map((logits) => 'abc'[logits.indexOf(Math.max(...logits))]);
    expect(await model.predict(expected.texts)).toEqual(best);
    const saved = join(scratch, 'saved');
    await model.savePretrained(saved);
    const again = await SetFitModel.fromPretrained(saved, { device: device.current });
    expect(await again.predictProba(expected.texts)).toEqual(await model.predictProba(expected.texts));
    const modules = JSON.parse(await readFile(join(saved, 'modules.json'), 'utf8')) as { path: string }[];
    expect(modules.map(({ path }) => path)).toEqual(['', '1_Pooling', '2_Normalize', '3_Dense']);
    model.dispose();
    again.dispose();
  });

  it('is refused if it is something else', async () => {
    const load = (folder: string) => SetFitModel.fromPretrained(folder, { device: device.current });
    const tanh = { activation_function: 'torch.nn.modules.activation.Tanh' };
    await expect(load(await pythonFolder('tanh', tanh))).rejects.toThrow(
      /a Dense with the activation .*Tanh/,
    );
    await expect(load(await pythonFolder('bias', { bias: false }))).rejects.toThrow(/a Dense with no bias/);
    const wrong = await pythonFolder('wrong');
    const path = join(wrong, 'config.json');
    const config = JSON.parse(await readFile(path, 'utf8')) as object;
    await writeFile(path, JSON.stringify({ ...config, id2label: { 0: 'a', 1: 'b' } }));
    await expect(load(wrong)).rejects.toThrow("'linear.weight' is [3,24], the model's [2,24]");
    await expect(SentenceTransformer.fromPretrained(await pythonFolder('body'))).rejects.toThrow(
      /is a few-shot classifier · load it with SetFitModel/,
    );
  });
});

describe('a training', () => {
  it('brings texts of a class together, fits the head and saves the folder', async () => {
    const model = await SetFitModel.fromPretrained(plain, {
      device: device.current,
      id2label: { 0: 'even', 1: 'odd' },
    });
    const before = await model.body.encode(expected.texts);
    const trainDataset = expected.texts.map((text, at) => ({ text, label: at % 2 }));
    const trainer = new SetFitTrainer({
      model,
      trainDataset,
      samplingStrategy: 'unique',
      args: { outputDir: join(scratch, 'trained'), numTrainEpochs: 10, learningRate: 1e-2 },
    });
    expect(trainer.args.perDeviceTrainBatchSize).toBe(16);
    await trainer.train();
    const after = await model.body.encode(expected.texts);
    const gap = (vectors: Float32Array[]): number => {
      const cosines = model.body.similarity(vectors, vectors);
      const mean = (same: boolean): number => {
        const some = cosines.flatMap((row, a) =>
          [...row].filter((_, b) => a !== b && ((a + b) % 2 === 0) === same),
        );
        return some.reduce((sum, x) => sum + x, 0) / some.length;
      };
      return mean(true) - mean(false);
    };
    expect(gap(after)).toBeGreaterThan(gap(before) + 0.1);
    const saved = await SetFitModel.fromPretrained(join(scratch, 'trained'), { device: device.current });
    expect(await saved.predictProba(expected.texts)).toEqual(await model.predictProba(expected.texts));
    await expect(model.fit(['a'], [2])).rejects.toThrow(/the label 2 is none of 2 classes/);
    model.dispose();
    saved.dispose();
  });

  it('is a command, whose folder evaluates and predicts', async () => {
    const data = join(scratch, 'few.tsv');
    const rows = ['a man\thuman', 'a woman\thuman', 'a dog\tanimal', 'the cat\tanimal'];
    await writeFile(data, `text\tlabel\n${rows.join('\n')}\n`);
    const out = join(scratch, 'few');
    const few = (...more: string[]) =>
      dawngrad(['finetune', '--few-shot', '--model', plain, '--train', data, ...more]);
    const trained = await few('--test', data, '--output', out, '--sampling', 'unique');
    expect(trained.code, trained.stderr).toBe(0);
    expect(trained.stdout).toMatch(/accuracy +[\d.]+/);
    const card = await readFile(join(out, 'README.md'), 'utf8');
    expect(card).toContain('library_name: sentence-transformers');
    expect(card).toContain('classes = ["animal","human"]');
    const evaluated = await dawngrad(['evaluate', '--model', out, '--data', data, '--json']);
    const accuracy = /accuracy +([\d.]+)/.exec(trained.stdout)![1]!;
    expect(JSON.parse(evaluated.stdout)).toMatchObject({ eval_accuracy: Number(accuracy) });
    const asked = await dawngrad(['predict', '--model', out, '--json', 'a man']);
    const model = await SetFitModel.fromPretrained(out, { device: device.current });
    const [scores] = await model.predictProba(['a man']);
    model.dispose();
    const found = JSON.parse(asked.stdout) as { scores: Record<string, number> };
    expect(Object.keys(found.scores)).toEqual(['animal', 'human']);
    close(Object.values(found.scores), [...scores!]);
    const onnx = await dawngrad(['export', out, '--onnx']);
    expect(onnx.stderr).toContain('is a few-shot classifier, whose pooling is not exported');
    for (const [more, message] of [
      [['--streaming'], '--streaming means nothing to --few-shot'],
      [['--label-smoothing', '0.1'], '--label-smoothing means nothing to --few-shot'],
      [['--problem-type', 'multi_label_classification'], 'the labels are for multi_label_classification'],
      [['--task', 'sentence-similarity'], 'the task is sentence-similarity'],
    ] as const) {
      const refused = await few('--output', join(scratch, 'refused'), ...more);
      expect(refused.stderr).toContain(message);
    }
  });
});
