import { expect, it } from 'vitest';
import type { ProcessGroup } from '../../src/platform/contract.ts';
import { Ranks } from '../../src/train/ranks.ts';

/** Processes that have these things. */
async function check(...all: Record<string, unknown>[]): Promise<void> {
  const group = { size: all.length, allGatherObject: async () => all.map(textsOf) };
  const checks = all.map((things, rank) =>
    new Ranks({ ...group, rank } as unknown as ProcessGroup).checkSame(() => things),
  );
  const results = await Promise.allSettled(checks);
  const reasons = results.map((result) => (result.status === 'rejected' ? String(result.reason) : ''));
  // Each process says, and ends by, the same.
  expect(new Set(reasons).size).toBe(1);
  if (reasons[0] !== '') throw new Error(reasons[0]);
}

const textsOf = (things: Record<string, unknown>) =>
  Object.fromEntries(
    Object.entries(things).map(([name, value]) => [name, JSON.stringify(value) ?? 'not set']),
  );

it('processes that have the same go on', async () => {
  await check({ examples: 3, 'the labels': ['a', 'b'] }, { examples: 3, 'the labels': ['a', 'b'] });
  await new Ranks(null).checkSame(() => {
    throw new Error('a process alone makes no values');
  });
});

it.each([
  [[{ examples: 3 }, { examples: 3 }, { examples: 4 }], 'examples is 3 in rank 0, and 4 in rank 2'],
  [[{ labels: ['a'] }, { labels: ['a', 'b'] }], 'labels is ["a"] in rank 0, and ["a","b"] in rank 1'],
  [
    [
      { seed: 1, rate: undefined },
      { seed: 1, rate: 2 },
    ],
    'rate is not set in rank 0, and 2 in rank 1',
  ],
  [[{}, { rate: 2 }], 'rate is not set in rank 0, and 2 in rank 1'],
] as const)('others end: %j', async (all, message) => {
  await expect(check(...all)).rejects.toThrow(message);
});
