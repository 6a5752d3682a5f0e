/** Damaged files of every kind are read, or rejected with a `DawngradError` that names the file. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Random } from '../../src/data/random.ts';
import { DawngradError } from '../../src/errors.ts';
import { Tuning } from '../../src/gpu/tuning.ts';
import { AutoModelForSequenceClassification } from '../../src/models/auto.ts';
import { useDevice } from '../support/device.ts';
import { models } from '../support/fixtures.ts';
import { tinyTrainer } from '../support/trainer.ts';
import {
  checkpointKinds,
  damaged,
  type FuzzKind,
  modelKinds,
  otherKinds,
  readDamagedTuning,
} from './kinds.ts';

/** Set DAWNGRAD_FUZZ_SEED to try other damage. */
const SEED = Number(process.env.DAWNGRAD_FUZZ_SEED ?? 20_261);
/** Guards against hangs: a damaged file must not take much longer than an intact one. */
const LIMIT_MS = 5 * 60_000;

const device = useDevice();
const scratch = mkdtempSync(join(tmpdir(), 'dawngrad-fuzz-'));
const checkpoint = join(scratch, 'out', 'checkpoint-7');
const folder = join(scratch, 'model');
const totals = { read: 0, refused: 0 };

/** A checkpoint in the middle of an epoch; in float32, because not every adapter has float16. */
async function makeCheckpoint(): Promise<void> {
  const trainer = await tinyTrainer(device.current, join(scratch, 'out'), {
    args: {
      perDeviceTrainBatchSize: 4,
      maxSteps: 7,
      evalStrategy: 'steps',
      evalSteps: 3,
      loadBestModelAtEnd: true,
      saveStrategy: 'steps',
      saveSteps: 7,
      loggingSteps: 2,
    },
  });
  await trainer.train();
  trainer.model.dispose();
}

beforeAll(async () => {
  await makeCheckpoint();
  mkdirSync(folder);
  for (const shard of ['1-of-3', '2-of-3', '3-of-3'].map(
    (part) => `model-0000${part[0]}-of-00003.safetensors`,
  ))
    symlinkSync(join(models, 'bert-sharded', shard), join(folder, shard));
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(scratch, { recursive: true, force: true });
  console.log(
    `damaged files: ${totals.read + totals.refused} (read: ${totals.read}, refused: ${totals.refused})`,
  );
});

/** Reads something damaged; prints `show` on an unexpected outcome. */
async function attempt(name: string, show: () => string, read: () => unknown): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${LIMIT_MS} ms`)), LIMIT_MS);
  });
  try {
    await Promise.race([Promise.resolve().then(read), late]);
    totals.read += 1;
  } catch (error) {
    const fits = error instanceof DawngradError && error.message.includes(name);
    expect(
      fits,
      `${show()}\n→ ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    ).toBe(true);
    totals.refused += 1;
  } finally {
    clearTimeout(timer);
  }
}

async function fuzz(kind: FuzzKind): Promise<void> {
  for (let number = 0; number < kind.cases; number += 1) {
    const bytes = damaged(kind, new Random(SEED, number));
    const show = (): string =>
      `${kind.name}, case ${number}: ${new TextDecoder().decode(bytes).slice(0, 3000)}`;
    await attempt(kind.name, show, () => kind.read(bytes, folder));
  }
}

describe('damaged files of a model', () => {
  it.each(modelKinds.map((kind) => [kind.name, kind] as const))('%s', (_, kind) => fuzz(kind));
});

describe('damaged data', () => {
  it.each(otherKinds.map((kind) => [kind.name, kind] as const))('%s', (_, kind) => fuzz(kind));
});

describe('damaged files of a checkpoint', () => {
  it.each([0, 1, 2])('kind %i', async (index) => fuzz(checkpointKinds(checkpoint)[index]!));
});

it('a damaged choice of kernels is as none', async () => {
  vi.stubEnv('XDG_CACHE_HOME', scratch);
  mkdirSync(join(scratch, 'dawngrad'), { recursive: true });
  for (let number = 0; number < 100; number += 1)
    expect(
      await readDamagedTuning(new Random(SEED, number), (text) =>
        writeFileSync(join(scratch, 'dawngrad', 'tuning-an-adapter.json'), text),
      ),
    ).toBeInstanceOf(Tuning);
  totals.read += 100;
});

describe('as a whole', () => {
  it('a model is loaded from a damaged config.json or index, or refused', async () => {
    const files = ['config.json', 'model.safetensors.index.json'];
    for (let number = 0; number < 100; number += 1) {
      const target = join(scratch, 'whole');
      cpSync(join(models, 'bert-sharded'), target, { recursive: true });
      const kind = modelKinds.find(({ name }) => name === files[number % 2])!;
      const bytes = damaged(kind, new Random(SEED + 1, number));
      writeFileSync(join(target, kind.name), bytes);
      const show = (): string => `case ${number}: ${new TextDecoder().decode(bytes)}`;
      await attempt('', show, async () => {
        const model = await AutoModelForSequenceClassification.fromPretrained(target, {
          device: device.current,
          onReport: () => {},
        });
        await device.current.sync();
        model.dispose();
      });
    }
  });

  it('a training resumes from a damaged checkpoint, or refuses', async () => {
    const bytesOnly = ['optimizer.safetensors', 'model.safetensors'].map((name) => ({
      name,
      json: false,
      whole: readFileSync(join(checkpoint, name)),
    }));
    const kinds = [...checkpointKinds(checkpoint), ...bytesOnly];
    for (let number = 0; number < 150; number += 1) {
      const output = join(scratch, `resumed-${number}`);
      const target = join(output, 'checkpoint-7');
      cpSync(checkpoint, target, { recursive: true });
      const kind = kinds[number % kinds.length]!;
      const bytes = damaged(kind, new Random(SEED + 2, number));
      writeFileSync(join(target, kind.name), bytes);
      const show = (): string => `${kind.name}, case ${number}: ${new TextDecoder().decode(bytes)}`;
      await attempt('', show, async () => {
        const trainer = await tinyTrainer(device.current, output, {
          args: {
            perDeviceTrainBatchSize: 4,
            maxSteps: 9,
            evalStrategy: 'steps',
            evalSteps: 3,
            loggingSteps: 2,
          },
        });
        try {
          const { globalStep } = await trainer.train({ resumeFromCheckpoint: target });
          expect(globalStep, show()).toBe(9);
        } finally {
          trainer.model.dispose();
        }
      });
      rmSync(output, { recursive: true });
    }
  });
});
