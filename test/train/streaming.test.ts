/** Trainings on data that are read anew each epoch. */
import { describe, expect, it } from 'vitest';
import type { Example } from '../../src/data/dataset.ts';
import type { StreamDataset } from '../../src/data/stream.ts';
import { useDevice } from '../support/device.ts';
import { toyDataset } from '../support/toy.ts';
import { losses, tinyTrainer, useFolders } from '../support/trainer.ts';

const device = useDevice();
const freshFolder = useFolders();
const examples = toyDataset(40, 3, 1);

const stream = (bufferSize = 10, digest = 'one'): StreamDataset<number, Example> => ({
  length: 40,
  bufferSize,
  digest,
  async *rows() {
    for (let row = 0; row < 40; row += 1) yield row;
  },
  encode: (rows) => rows.map((row) => examples.get(row)),
});

describe('a training on a stream', () => {
  it('goes on from a checkpoint within an epoch with the bits of an unbroken one', async () => {
    const part = freshFolder();
    const unbroken = await tinyTrainer(device.current, freshFolder(), { trainDataset: stream() });
    await unbroken.train();
    expect(unbroken.state.globalStep).toBe(10);
    expect(new Set(losses(unbroken)).size).toBe(10);
    const saving = await tinyTrainer(device.current, part, {
      trainDataset: stream(),
      args: { saveStrategy: 'steps', saveSteps: 3 },
    });
    await saving.train();
    for (const step of [3, 6]) {
      const resumed = await tinyTrainer(device.current, freshFolder(), { trainDataset: stream() });
      await resumed.train({ resumeFromCheckpoint: `${part}/checkpoint-${step}` });
      expect(losses(resumed)).toEqual(losses(unbroken));
    }
    const warnings: string[] = [];
    const changed = await tinyTrainer(device.current, freshFolder(), {
      trainDataset: stream(10, 'two'),
      warnings,
    });
    await changed.train({ resumeFromCheckpoint: `${part}/checkpoint-6` });
    expect(warnings.join()).toMatch(/the training data is not what it was/);
    const resume = async (setup: object): Promise<void> => {
      const trainer = await tinyTrainer(device.current, freshFolder(), setup);
      await trainer.train({ resumeFromCheckpoint: `${part}/checkpoint-6` });
    };
    await expect(resume({ trainDataset: stream(20) })).rejects.toThrow(
      /from a buffer of 20, in .* from a buffer of 10 · resume with the same/,
    );
    await expect(resume({})).rejects.toThrow(/from all data in memory, in .* from a buffer of 10/);
  });

  it('refuses what needs all examples', async () => {
    for (const [args, message] of [
      [{ groupByLength: true }, /groupByLength needs the lengths of all examples/],
      [{ classWeights: 'balanced' }, /classWeights is 'balanced', and the training data are a stream/],
    ] as const) {
      const trainer = await tinyTrainer(device.current, freshFolder(), { trainDataset: stream(), args });
      await expect(trainer.train()).rejects.toThrow(message);
    }
  });

  it('hands on what the data throw', async () => {
    const broken: StreamDataset<number, Example> = {
      ...stream(),
      encode: () => {
        throw new Error('no disk');
      },
    };
    const trainer = await tinyTrainer(device.current, freshFolder(), { trainDataset: broken });
    await expect(trainer.train()).rejects.toThrow(/the dataset's encode.*no disk/s);
  });
});
