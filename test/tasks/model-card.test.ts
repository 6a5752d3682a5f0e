/** The model card's YAML and text. */
import { expect, it } from 'vitest';
import { AutoModelForMultipleChoice, AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import { modelCard } from '../../src/tasks/model-card.ts';
import { resolveArguments } from '../../src/train/argument-checks.ts';
import { useDevice } from '../support/device.ts';
import { models } from '../support/fixtures.ts';

const device = useDevice();
const args = resolveArguments({ outputDir: 'out', learningRate: 5e-4 });

it('has task, data, scores, settings and how to load', async () => {
  const model = await AutoModelForSequenceClassification.fromPretrained(`${models}bert-single`, {
    device: device.current,
  });
  const metrics = { eval_loss: 0.25, eval_accuracy: 0.912345, eval_f1: null, eval_runtime: 3 };
  const scores = { metrics, file: 'dev "1": a.tsv', count: 20 };
  const train = { count: 100, things: 'texts', file: 'train.tsv' };
  const content = {
    name: 'out',
    task: 'text-classification',
    model,
    base: 'google/bert',
    dataset: null,
    args,
    train,
    scores,
  };
  expect(modelCard(content)).toMatchSnapshot();
  model.dispose();
});

it('tells what was changed, and how to load vectors', async () => {
  const model = await AutoModelForSequenceClassification.fromPretrained(`${models}bert-single`, {
    device: device.current,
  });
  const changed = resolveArguments({
    outputDir: 'out',
    optim: 'lion_32bit',
    labelSmoothingFactor: 0.1,
    maxSteps: 5,
  });
  const train = { count: 1, things: 'pairs', file: 'a.tsv' };
  const content = {
    name: 'out',
    task: 'sentence-similarity',
    model,
    base: null,
    dataset: 'nyu-mll/glue',
    args: changed,
    train,
    scores: null,
  };
  const card = modelCard(content);
  for (const row of ['| optim | lion_32bit |', '| label_smoothing_factor | 0.1 |', '| max_steps | 5 |'])
    expect(card).toContain(row);
  expect(card).toContain('\ndatasets:\n- "nyu-mll/glue"\ntags:');
  expect(card).toContain('library_name: sentence-transformers');
  expect(card).not.toContain('AutoModel');
  expect(card).not.toContain('logging_steps');
  model.dispose();
});

it('does without scores, classes, pipelines and a known origin', async () => {
  const model = await AutoModelForMultipleChoice.fromPretrained(`${models}bert-choice`, {
    device: device.current,
  });
  const train = { count: 1, things: 'questions', file: 'a.jsonl' };
  const content = {
    name: 'out',
    task: 'multiple-choice',
    model,
    base: null,
    dataset: null,
    args,
    train,
    scores: null,
  };
  expect(modelCard(content)).toMatchSnapshot();
  model.dispose();
});
