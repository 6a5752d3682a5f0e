import { describe, expect, it } from 'vitest';
import {
  dataCollatorForLanguageModeling,
  dataCollatorForTokenClassification,
  dataCollatorWithPadding,
} from '../../src/data/collate.ts';
import { ArrayDataset } from '../../src/data/dataset.ts';
import { DataLoader } from '../../src/data/loader.ts';
import { Random } from '../../src/data/random.ts';
import { toyDataset } from '../support/toy.ts';

const collate = dataCollatorWithPadding({ padTokenId: 0 });

describe('Random', () => {
  it('draws the same on every platform', () => {
    const random = new Random(42, 3);
    expect([random.uint32(), random.uint32(), random.uint32()]).toMatchSnapshot();
    expect(new Random(42, 0).permutation(10)).toMatchSnapshot();
  });

  it('is uniform enough', () => {
    const random = new Random(7);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 100_000; i += 1) counts[random.integer(10)]! += 1;
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(400);
  });
});

describe('DataLoader', () => {
  const dataset = toyDataset(23, 2, 5);

  it('gives every example once, in an order of its own for each epoch and seed', () => {
    const loader = new DataLoader(dataset, { batchSize: 5, collate, shuffle: true, seed: 1 });
    const seen = [...loader.batches(0)].flatMap((batch) => batch.indices);
    expect([...seen].sort((a, b) => a - b)).toEqual([...Array(23).keys()]);
    expect(loader.order(0)).toEqual(seen);
    expect(loader.order(1)).not.toEqual(seen);
    expect(new DataLoader(dataset, { batchSize: 5, collate, shuffle: true, seed: 2 }).order(0)).not.toEqual(
      seen,
    );
    expect([...loader.batches(0, 3)].map((batch) => batch.indices)).toEqual([
      seen.slice(15, 20),
      seen.slice(20),
    ]);
  });

  it('drops a last batch that is not full, and groups by length', () => {
    expect(new DataLoader(dataset, { batchSize: 5, collate, dropLast: true }).length).toBe(4);
    const many = toyDataset(200, 2, 5);
    const grouped = new DataLoader(many, { batchSize: 5, collate, groupByLength: true, seed: 1 });
    const padding = (loader: DataLoader) =>
      [...loader.batches(0)].reduce(
        (sum, { attentionMask }) => sum + attentionMask.filter((m) => m === 0).length,
        0,
      );
    expect(padding(grouped)).toBeLessThan(
      padding(new DataLoader(many, { batchSize: 5, collate, shuffle: true, seed: 1 })),
    );
    expect(grouped.order(0).toSorted((a, b) => a - b)).toEqual([...Array(200).keys()]);
  });

  it('groups a small dataset anew each epoch', () => {
    const lengths = Array.from({ length: 200 }, (_, i) => 1 + (i % 100));
    const many = new ArrayDataset(lengths.map((length) => ({ inputIds: new Array<number>(length).fill(1) })));
    const loader = new DataLoader(many, { batchSize: 8, collate, groupByLength: true });
    const inOrder = (epoch: number) => loader.order(epoch).map((index) => lengths[index]!);
    expect(inOrder(0)).not.toEqual(inOrder(1));
    expect(inOrder(0)).toEqual(inOrder(0));
    // 200 / (4 · 8) = 6 batches are sorted together, longest first.
    const group = inOrder(0).slice(0, 48);
    expect(group).toEqual(group.toSorted((a, b) => b - a));
  });

  it('asks for each example once to group by length', () => {
    const asked: number[] = [];
    const counting = {
      length: dataset.length,
      get: (index: number) => {
        asked.push(index);
        return dataset.get(index);
      },
    };
    new DataLoader(counting, { batchSize: 2, collate, groupByLength: true }).order(0);
    expect(asked).toEqual([...Array(dataset.length).keys()]);
  });

  it('follows a sampler, and starts in the middle of its epoch', () => {
    const sampler = { length: 5, order: (epoch: number) => [4, 4, 0, 2, epoch] };
    const loader = new DataLoader(dataset, { batchSize: 2, collate, sampler });
    expect(loader.length).toBe(3);
    expect([...loader.batches(1)].map(({ indices }) => indices)).toEqual([[4, 4], [0, 2], [1]]);
    expect([...loader.batches(3, 2)].map(({ indices }) => indices)).toEqual([[3]]);
    expect(
      () => new DataLoader(dataset, { batchSize: 2, collate, sampler, shuffle: true }),
    ).toThrowErrorMatchingSnapshot();
    const wrong = new DataLoader(dataset, { batchSize: 2, collate, sampler: { ...sampler, length: 4 } });
    expect(() => wrong.order(0)).toThrowErrorMatchingSnapshot();
  });

  it('refuses what makes no batch', () => {
    expect(() => new DataLoader(dataset, { batchSize: 0, collate })).toThrowErrorMatchingSnapshot();
    expect(
      () => new DataLoader(new ArrayDataset([]), { batchSize: 2, collate }),
    ).toThrowErrorMatchingSnapshot();
    expect(
      () => new DataLoader(dataset, { batchSize: 50, collate, dropLast: true }),
    ).toThrowErrorMatchingSnapshot();
  });
});

describe('collators', () => {
  it('pads on the left where the tokenizer says so', () => {
    const options = { padTokenId: 1, paddingSide: 'left' as const };
    const rows = [{ inputIds: [2, 9], tokenTypeIds: [0, 1] }, { inputIds: [2, 8, 3] }];
    expect(dataCollatorWithPadding(options)(rows, [0, 1])).toMatchObject({
      inputIds: Int32Array.from([1, 2, 9, 2, 8, 3]),
      attentionMask: Int32Array.from([0, 1, 1, 1, 1, 1]),
      tokenTypeIds: Int32Array.from([0, 0, 1, 0, 0, 0]),
    });
    const tokens = dataCollatorForTokenClassification(options)(
      [
        { inputIds: [2], label: [5] },
        { inputIds: [2, 8], label: [6, 7] },
      ],
      [0, 1],
    );
    expect(tokens.labels).toEqual(Int32Array.from([-100, 5, 6, 7]));
  });

  const examples = [
    { inputIds: [2, 9, 3], label: 1 },
    { inputIds: [2, 8, 7, 6, 3], tokenTypeIds: [0, 0, 1, 1, 1], label: 0 },
  ];

  it('pads inputs and labels', () => {
    const batch = dataCollatorWithPadding({ padTokenId: 1, padToMultipleOf: 4 })(examples, [4, 6]);
    expect(batch).toEqual({
      inputIds: Int32Array.from([2, 9, 3, 1, 1, 1, 1, 1, 2, 8, 7, 6, 3, 1, 1, 1]),
      attentionMask: Int32Array.from([1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0]),
      tokenTypeIds: Int32Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0]),
      labels: Int32Array.from([1, 0]),
      shapes: { labels: [2] },
      shape: [2, 8],
      indices: [4, 6],
    });
    const tokens = dataCollatorForTokenClassification({ padTokenId: 0 })(
      [
        { inputIds: [2, 5], label: [-100, 1] },
        { inputIds: [2, 5, 6], label: [-100, 1, 2] },
      ],
      [0, 1],
    );
    expect(tokens.labels).toEqual(Int32Array.from([-100, 1, -100, -100, 1, 2]));
  });

  it('refuses labels that would land in another place or be cut', () => {
    const tokens = dataCollatorForTokenClassification({ padTokenId: 0 });
    const tooMany = { inputIds: [2, 5], label: [1, 2, 3] };
    expect(() =>
      tokens([tooMany, { inputIds: [2, 5, 6], label: [1, 2, 3] }], [7, 8]),
    ).toThrowErrorMatchingSnapshot();
    expect(() => tokens([{ inputIds: [2, 5], label: 1 }], [7])).toThrowErrorMatchingSnapshot();
    const value = { inputIds: [2], label: 1.5 };
    expect(() => collate([value], [0])).toThrowErrorMatchingSnapshot();
    expect(dataCollatorWithPadding({ padTokenId: 0, floatLabels: true })([value], [0]).labels).toEqual(
      Float32Array.from([1.5]),
    );
    const indicators = [[1, 0], [1]].map((label) => ({ inputIds: [2], label }));
    expect(() => collate(indicators, [0, 1])).toThrowErrorMatchingSnapshot();
  });

  it('masks 15 %, of which 80 % become the mask, never special tokens', () => {
    const long = Array.from({ length: 200 }, () => ({
      inputIds: [2, ...Array.from({ length: 98 }, (_, i) => 10 + (i % 50)), 3],
    }));
    const masking = dataCollatorForLanguageModeling({
      padTokenId: 0,
      maskTokenId: 4,
      vocabSize: 100,
      specialIds: [0, 1, 2, 3, 4],
      seed: 9,
    });
    const batch = masking(long, [...long.keys()], 0);
    const total = 200 * 98;
    const share = batch.positions!.length / total;
    expect(share).toBeGreaterThan(0.14);
    expect(share).toBeLessThan(0.16);
    const masked = batch.inputIds.filter((id) => id === 4).length / batch.positions!.length;
    expect(masked).toBeGreaterThan(0.77);
    expect(masked).toBeLessThan(0.83);
    for (const [i, at] of batch.positions!.entries())
      expect(batch.labels![i]).toBe(long[Math.floor(at / 100)]!.inputIds[at % 100]);
    expect(batch.inputIds.filter((id) => id === 2 || id === 3).length).toBeGreaterThanOrEqual(400);
    expect(masking(long, [...long.keys()], 0)).toEqual(batch);
    expect(masking(long, [...long.keys()], 1).positions).not.toEqual(batch.positions);
  });

  it('masks whole words, all of whose tokens become the mask', () => {
    const words = Array.from({ length: 50 }, () => ({
      inputIds: [2, 10, 11, 12, 13, 14, 15, 16, 17, 3],
      wordIds: [null, 0, 0, 1, 2, 2, 2, 3, 3, null],
    }));
    const masking = { padTokenId: 0, maskTokenId: 4, vocabSize: 100, specialIds: [0, 1, 2, 3, 4], seed: 9 };
    const collate = dataCollatorForLanguageModeling({ ...masking, wholeWordMask: true, mlmProbability: 0.3 });
    const { inputIds, positions, labels } = collate(words, [...words.keys()], 0);
    const masked = new Set(positions);
    for (const [row, { wordIds }] of words.entries()) {
      for (const word of [0, 1, 2, 3]) {
        const tokens = wordIds.flatMap((one, at) => (one === word ? [row * 10 + at] : []));
        const hit = tokens.filter((at) => masked.has(at)).length;
        expect([0, tokens.length]).toContain(hit);
        for (const at of tokens) expect(inputIds[at] === 4).toBe(hit > 0);
      }
    }
    expect(masked.size).toBeGreaterThan(0.2 * 400);
    expect(masked.size).toBeLessThan(0.4 * 400);
    for (const [i, at] of positions!.entries()) expect(labels![i]).toBe(words[0]!.inputIds[at % 10]);
    expect(() => collate([{ inputIds: [2, 10, 3] }], [0], 0)).toThrow(/wholeWordMask: example 0/);
  });
});
