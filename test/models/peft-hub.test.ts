/** Adapters and their bases by hub ids, from a hub that this test serves itself. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { FileError } from '../../src/errors.ts';
import { AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import type { HubOptions } from '../../src/models/files/hub.ts';
import { LoraConfig } from '../../src/models/peft/config.ts';
import { getPeftModel, PeftModel } from '../../src/models/peft/peft-model.ts';
import { SentenceTransformer } from '../../src/sentence/sentence-transformer.ts';
import { AutoTokenizer } from '../../src/text/auto.ts';
import { dawngrad, root as project } from '../support/command.ts';
import { useDevice } from '../support/device.ts';
import { fixtures, maxDifference, models } from '../support/fixtures.ts';
import { type HubModel, type HubServer, startHub } from '../support/hub-server.ts';
import { type Loaded, logitsOf, referenceOf, root } from '../support/peft.ts';

const device = useDevice();
const name = 'bert-single';
let scratch = '';
let hub: HubServer;
let options: HubOptions = {};

/** A folder as a repository; `base` replaces the base that its adapter names. */
async function repository(folder: string, base?: string): Promise<HubModel> {
  const files: Record<string, Uint8Array> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name === 'reference.json') continue;
    const path = join(entry.parentPath, entry.name);
    files[path.slice(folder.length).replace(/^\//, '')] = await readFile(path);
  }
  if (base !== undefined) {
    const settings = JSON.parse(String(files['adapter_config.json'])) as object;
    files['adapter_config.json'] = Buffer.from(
      JSON.stringify({ ...settings, base_model_name_or_path: base }),
    );
  }
  return { sha: 'c0ffee'.padEnd(40, '0'), files };
}

beforeAll(async () => {
  const theirs = Object.keys(process.env).filter((key) => /^(HF_|HUGGING|TRANSFORMERS_)/.test(key));
  for (const key of theirs) vi.stubEnv(key, undefined);
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-hub-'));
  const base = await repository(join(models, name));
  const example = await repository(join(project, 'examples/sentiment/model'));
  const tokenizer = Object.entries(example.files).filter(([file]) => /token|vocab/.test(file));
  const plain = await AutoModelForSequenceClassification.fromPretrained(
    join(project, 'examples/sentiment/model'),
    {
      device: device.current,
      onReport: () => {},
    },
  );
  const lora = new LoraConfig({
    taskType: 'SEQ_CLS',
    initLoraWeights: false,
    // Which its checkpoint lacks.
    modulesToSave: ['pooler'],
    baseModelNameOrPath: 'org/sentiment',
  });
  const own = getPeftModel(plain, lora);
  await own.savePretrained(join(scratch, 'own'));
  own.dispose();
  hub = await startHub({
    'org/sentiment': example,
    'org/sentiment-adapter': await repository(join(scratch, 'own')),
    'org/base': { ...base, files: { ...base.files, ...Object.fromEntries(tokenizer) } },
    'org/adapter': await repository(join(root, name), 'org/base'),
    'org/orphan': await repository(join(root, name), 'org/nowhere'),
    'org/vectors': await repository(join(fixtures, 'sentence/model')),
    'org/vectors-adapter': await repository(join(fixtures, 'sentence/adapter'), 'org/vectors'),
  });
  options = { hubUrl: hub.url, cacheDir: join(scratch, 'cache') };
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await hub.close();
  await rm(scratch, { recursive: true, force: true });
});

it('are loaded with the base that they name', async () => {
  const reference = await referenceOf(name);
  const whole = await AutoModelForSequenceClassification.fromPretrained('org/adapter', {
    ...options,
    device: device.current,
  });
  expect(maxDifference(await logitsOf(whole as Loaded, reference), reference.logits)).toBeLessThan(1e-4);
  expect(whole.nameOrPath).toBe('org/base');
  const plain = await AutoModelForSequenceClassification.fromPretrained('org/base', {
    ...options,
    device: device.current,
  });
  const several = await PeftModel.fromPretrained(plain, 'org/adapter', options);
  expect(maxDifference(await logitsOf(several as Loaded, reference), reference.logits)).toBeLessThan(1e-4);
  // The adapter has no tokenizer of its own.
  expect((await AutoTokenizer.fromPretrained('org/adapter', options)).encode('a').inputIds.length).toBe(3);
  for (const one of [whole, several]) one.dispose();
});

it('of models of vectors bring their modules along', async () => {
  const model = await SentenceTransformer.fromPretrained('org/vectors-adapter', {
    ...options,
    device: device.current,
  });
  const { texts, adapter } = JSON.parse(await readFile(join(fixtures, 'sentence/expected.json'), 'utf8')) as {
    texts: string[];
    adapter: { vectors: number[][] };
  };
  const vectors = await model.encode(texts);
  expect(
    maxDifference(
      vectors.flatMap((row) => [...row]),
      adapter.vectors.flat(),
    ),
  ).toBeLessThan(1e-5);
  model.dispose();
});

it('are refused without their base', async () => {
  const loading = AutoModelForSequenceClassification.fromPretrained('org/orphan', {
    ...options,
    device: device.current,
  });
  await expect(loading).rejects.toThrow(FileError);
  await expect(loading).rejects.toThrow(/the base model 'org\/nowhere' of the adapter in .* cannot be had/);
});

it('are given to the command by id', { timeout: 600_000 }, async () => {
  const env = { HF_ENDPOINT: hub.url, HF_HOME: join(scratch, 'home'), HF_HUB_DISABLE_PROGRESS_BARS: '1' };
  const predicted = await dawngrad(['predict', '--model', 'org/sentiment-adapter', '--json', 'a day'], {
    env,
  });
  expect(predicted.code, predicted.stderr).toBe(0);
  const merged = join(scratch, 'merged');
  const merging = await dawngrad(['merge', 'org/sentiment-adapter', '--output', merged], { env });
  expect(merging.code, merging.stderr).toBe(0);
  const plain = await dawngrad(['predict', '--model', merged, '--json', 'a day'], { env });
  const of = (line: string) => JSON.parse(line) as { label: string; score: number };
  expect(of(plain.stdout).label).toBe(of(predicted.stdout).label);
  expect(of(plain.stdout).score).toBeCloseTo(of(predicted.stdout).score, 4);
  const refused = await dawngrad(['predict', '--model', 'org/orphan', 'a day'], { env });
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("the base model 'org/nowhere' of the adapter in");
});
