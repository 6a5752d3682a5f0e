/**
 * Fine-tunes on public data, once for each seed, by the command; trial.py does the same in Python.
 *
 *     npx tsx test/reference/trial.ts --model <folder> --data <folder> --output trials [--seeds 1,2,3] [--plan] [sst2 mrpc …] [-- --fp16]
 *
 * Writes `trials/<task>/seed-<n>/run.json`: the settings, the order of the rows in each epoch, the values of new
 * weights, the command, and the metrics that it reports. A run that is there is left as it is; --plan does not
 * train. What follows `--` goes to the command.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { TableOptions } from '../../src/data/table.ts';
import { DataLoader, type LoadReport, requestDevice, taskNamed } from '../../src/index.ts';
import { AutoTokenizer } from '../../src/text/auto.ts';
import { root } from '../support/command.ts';

interface Settings {
  epochs: number;
  /** Counts in place of epochs if positive. */
  maxSteps: number;
  batchSize: number;
  lr: number;
  weightDecay: number;
  warmupRatio: number;
  maxLength: number;
  docStride: number;
}

interface Trial extends Partial<Settings> {
  task?: string;
  train: string;
  eval: string;
  /** How many examples to train on, from the top. */
  rows: number;
  /** How many to evaluate on; default: all. */
  tests?: number;
  columns?: TableOptions;
  options?: string[];
  /** Metrics of the table. */
  shown: string[];
  /** Only runs if asked for by name. */
  apart?: true;
}

const usual: Settings = {
  epochs: 1,
  maxSteps: -1,
  batchSize: 16,
  lr: 2e-4,
  weightDecay: 0.01,
  warmupRatio: 0.1,
  maxLength: 128,
  docStride: 32,
};

const trials: Record<string, Trial> = {
  sst2: { train: 'sst2/train.tsv', eval: 'sst2/validation.tsv', rows: 2000, shown: ['accuracy'] },
  mrpc: {
    train: 'mrpc/train.tsv',
    eval: 'mrpc/validation.tsv',
    rows: 1600,
    epochs: 2,
    lr: 1e-4,
    shown: ['f1', 'accuracy'],
  },
  stsb: {
    train: 'made/stsb-unit-train.tsv',
    eval: 'made/stsb-unit-validation.tsv',
    rows: 719,
    batchSize: 8,
    lr: 1e-4,
    shown: ['pearson', 'spearman'],
  },
  trec: {
    train: 'trec/train.tsv',
    eval: 'trec/test.tsv',
    rows: 1500,
    columns: { textColumn: 2, labelColumn: 0 },
    shown: ['accuracy'],
  },
  'trec-labels': {
    train: 'made/trec-train.jsonl',
    eval: 'made/trec-test.jsonl',
    rows: 1500,
    epochs: 3,
    shown: ['f1', 'accuracy'],
  },
  wnut17: {
    task: 'token-classification',
    train: 'wnut17/train.conll',
    eval: 'wnut17/validation.conll',
    rows: 1000,
    epochs: 3,
    batchSize: 8,
    lr: 1e-4,
    shown: ['f1'],
  },
  xquad: {
    task: 'question-answering',
    train: 'made/xquad-train.json',
    eval: 'made/xquad-test.json',
    rows: 991,
    batchSize: 8,
    maxLength: 192,
    shown: ['exact_match', 'f1'],
  },
  'stsb-embeddings': {
    task: 'sentence-similarity',
    train: 'made/stsb-train.tsv',
    eval: 'made/stsb-validation.tsv',
    rows: 719,
    lr: 1e-4,
    options: ['--loss', 'CosineSimilarityLoss'],
    shown: ['spearman_cosine', 'pearson_cosine'],
  },
  'stsb-200-steps': {
    task: 'sentence-similarity',
    train: 'sts-b/train.tsv',
    eval: 'sts-b/validation.tsv',
    rows: 5749,
    maxSteps: 200,
    lr: 2e-5,
    weightDecay: 0,
    warmupRatio: 0,
    options: ['--loss', 'CosineSimilarityLoss'],
    shown: ['pearson_cosine', 'spearman_cosine'],
    apart: true,
  },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  args: process.argv.slice(2, process.argv.includes('--') ? process.argv.indexOf('--') : undefined),
  options: {
    model: { type: 'string' },
    data: { type: 'string' },
    output: { type: 'string' },
    seeds: { type: 'string', default: '1,2,3' },
    plan: { type: 'boolean', default: false },
  },
});
const { model, data, output } = values;
if (model === undefined || data === undefined || output === undefined)
  throw new Error('give --model, --data and --output');
const more = process.argv.includes('--') ? process.argv.slice(process.argv.indexOf('--') + 1) : [];

/**
 * Files that are made of others: TREC with both levels as labels, of the second those that 400 questions have;
 * XQuAD split by article; every eighth (third) row of STS-B, which is sorted by source, also
 * with scores from 0 to 1, because a new head takes long to learn a mean far from 0.
 */
function makeFiles(): void {
  const read = (name: string): string[] => readFileSync(join(data!, name), 'utf8').trimEnd().split('\n');
  const write = (name: string, text: string): void => writeFileSync(join(output!, 'made', name), text);
  mkdirSync(join(output!, 'made'), { recursive: true });
  const fine = read('trec/train.tsv').map((row) => row.split('\t')[1]!);
  const frequent = new Set(fine.filter((name) => fine.filter((other) => other === name).length >= 400));
  for (const name of ['train', 'test']) {
    const records = read(`trec/${name}.tsv`).map((row) => {
      const [coarse, ...rest] = row.split('\t');
      const labels = [coarse, ...rest.slice(0, 1).filter((label) => frequent.has(label))];
      return JSON.stringify({ text: rest[1], labels });
    });
    write(`trec-${name}.jsonl`, `${records.join('\n')}\n`);
  }
  for (const [name, every] of [
    ['train', 8],
    ['validation', 3],
  ] as const) {
    const [header, ...rows] = read(`sts-b/${name}.tsv`);
    const kept = rows.filter((_, at) => at % every === 0);
    write(`stsb-${name}.tsv`, `${[header, ...kept].join('\n')}\n`);
    const unit = kept.map((row) => row.replace(/[^\t]+$/, (score) => (Number(score) / 5).toFixed(4)));
    write(`stsb-unit-${name}.tsv`, `${[header, ...unit].join('\n')}\n`);
  }
  const articles = JSON.parse(read('squad/xquad.en.json').join('\n')) as { data: unknown[] };
  const split = (test: boolean): string =>
    JSON.stringify({ version: '1.1', data: articles.data.filter((_, at) => (at % 5 === 4) === test) });
  write('xquad-train.json', split(false));
  write('xquad-test.json', split(true));
}

const pathOf = (file: string): string => join(file.startsWith('made/') ? output : data, file);

function commandOf({ train, eval: test, columns, options = [], ...trial }: Trial, seed: number): string[] {
  const { epochs, maxSteps, batchSize, lr, weightDecay, warmupRatio, maxLength, docStride } = {
    ...usual,
    ...trial,
  };
  const windows = trial.task === 'question-answering' ? { '--doc-stride': docStride } : {};
  const all = {
    '--model': model,
    '--train': pathOf(train),
    '--test': pathOf(test),
    ...(trial.task !== undefined && { '--task': trial.task }),
    ...(columns && { '--text-column': columns.textColumn, '--label-column': columns.labelColumn }),
    '--max-train-samples': trial.rows,
    ...(trial.tests !== undefined && { '--max-eval-samples': trial.tests }),
    ...(maxSteps > 0 ? { '--max-steps': maxSteps } : { '--epochs': epochs }),
    '--batch-size': batchSize,
    '--lr': lr,
    '--weight-decay': weightDecay,
    '--warmup-ratio': warmupRatio,
    '--max-length': maxLength,
    ...windows,
    '--seed': seed,
  };
  return ['finetune', ...Object.entries(all).flatMap(([name, value]) => [name, String(value)]), ...options];
}

/**
 * What a run of the command draws: the order of the features in each epoch, and the values of new weights, by
 * their names in checkpoints.
 */
async function drawsOf(trial: Trial, seed: number) {
  const { epochs, batchSize, maxLength, docStride } = { ...usual, ...trial };
  const task = taskNamed((trial.task ?? 'text-classification') as 'text-classification');
  const options = trial.columns ?? {};
  const train = await task.read(pathOf(trial.train), options);
  const test = await task.read(pathOf(trial.eval), options);
  const device = await requestDevice();
  const { config } = task.decide(train, {});
  const missing: string[] = [];
  const onReport = (report: LoadReport): void => void missing.push(...report.missing);
  device.manualSeed(seed);
  const made = await task.auto.fromPretrained(model!, { device, ...config, onReport });
  const tokenizer = await AutoTokenizer.fromPretrained(model!);
  const encoding = { maxLength, ...(trial.task === 'question-answering' && { docStride }) };
  const bound = task.bind(tokenizer, made.config, encoding, made);
  const dataset = bound.encode(train.examples.slice(0, trial.rows));
  const { collate } = bound;
  const named = made.namedParameters().filter(([name]) => missing.includes(name));
  const initial = Object.fromEntries(
    await Promise.all(
      named.map(async ([name, tensor]) => [name, [...(await tensor.float32Data())]] as const),
    ),
  );
  device.destroy();
  const loader = new DataLoader(dataset, { batchSize, collate, shuffle: true, seed });
  const orders = Array.from({ length: epochs }, (_, epoch) => loader.order(epoch));
  const tests = test.examples.slice(0, trial.tests).length;
  return { orders, initial, rows: dataset.examples.length, tests };
}

/** The metrics on the model card. */
function metricsOf(folder: string): Record<string, number> {
  const card = readFileSync(join(folder, 'README.md'), 'utf8');
  const found = card.matchAll(/- type: "(.+)"\n +value: (.+)\n/g);
  return Object.fromEntries([...found].map(([, name, value]) => [name, Number(value)]));
}

makeFiles();
const seeds = values.seeds.split(',').map(Number);
const names =
  positionals.length > 0 ? positionals : Object.keys(trials).filter((name) => trials[name]!.apart !== true);
for (const seed of seeds) {
  for (const name of names) {
    const trial = trials[name];
    if (trial === undefined) throw new Error(`no trial '${name}': ${Object.keys(trials).join(', ')}`);
    const folder = join(output, name, `seed-${seed}`);
    const file = join(folder, 'run.json');
    const { shown, eval: test, ...rest } = trial;
    const known = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null;
    if (known !== null && (values.plan || known.dawngrad !== undefined)) continue;
    mkdirSync(folder, { recursive: true });
    const draws = await drawsOf(trial, seed);
    const command = [...commandOf(trial, seed), ...more];
    const run = {
      task: name,
      seed,
      model,
      train: pathOf(rest.train),
      eval: pathOf(test),
      shown,
      args: { ...usual, ...rest },
      command,
      ...draws,
    };
    writeFileSync(file, JSON.stringify(run));
    if (values.plan) continue;
    const saved = join(folder, 'saved');
    const begin = performance.now();
    const { status } = spawnSync(
      process.execPath,
      ['--import', 'tsx', join(root, 'src/cli/main.ts'), ...command, '--output', saved, '--overwrite'],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    if (status !== 0) throw new Error(`${name}, seed ${seed}: the command failed`);
    const seconds = (performance.now() - begin) / 1000;
    const dawngrad = metricsOf(saved);
    rmSync(saved, { recursive: true });
    writeFileSync(file, JSON.stringify({ ...run, dawngrad, seconds }));
    console.log(JSON.stringify({ task: name, seed, seconds: Math.round(seconds), dawngrad }));
  }
}
