/** Runs the project's own tests on this adapter with the kernels for GPUs: ops, models, mixed precision. */
import { fileURLToPath } from 'node:url';
import { type Reporter, startVitest, type TestCase, type TestModule } from 'vitest/node';
import type { TestOutcome } from '../data.ts';
import type { PartContext } from '../part.ts';

/** Most informative first. */
const groups: readonly [name: string, ...files: string[]][] = [
  ['ops against float64', 'test/tensor/ops.test.ts'],
  ['models against transformers', 'test/models/transformers.test.ts'],
  ['ops in float16', 'test/tensor/half.test.ts'],
  ['training in mixed precision', 'test/train/fp16.test.ts'],
  ['matmul, every technique', 'test/kernels/matmul.test.ts'],
  [
    'AdamW, dropout, packing',
    'test/optim/adamw.test.ts',
    'test/tensor/dropout.test.ts',
    'test/models/packing.test.ts',
  ],
];

/** Excludes tests of the kernels for CPU adapters, which a card does not run. */
const WANTED = /^(?!.*kernels for CPU adapters)/;

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** An error's message on one line. */
function line(error: { message: string } | undefined): string {
  return (error?.message ?? 'unknown error').replace(/\s+/g, ' ').slice(0, 300);
}

function outcomeOf(group: string, test: TestCase): TestOutcome | null {
  const { state, errors } = test.result();
  if (state === 'pending' || !WANTED.test(test.fullName)) return null;
  const seconds = (test.diagnostic()?.duration ?? 0) / 1000;
  const outcome = { group, name: test.fullName, state, seconds };
  return state === 'failed' ? { ...outcome, error: line(errors[0]) } : outcome;
}

export async function testsPart({ options, found, leaveOut, remaining }: PartContext): Promise<void> {
  // Inherited by the workers. CI mode writes no snapshots.
  process.env.CI = 'true';
  process.env.DAWNGRAD_KERNELS = 'gpu';
  if (options.adapter !== undefined) process.env.DAWNGRAD_ADAPTER = options.adapter;
  const skipped: string[] = [];
  for (const [group, ...files] of groups) {
    if (remaining() <= 0) {
      skipped.push(group);
      continue;
    }
    const reporter: Reporter = {
      onTestCaseResult: (test) => {
        const outcome = outcomeOf(group, test);
        if (outcome !== null) found({ tests: [outcome] });
      },
      onTestModuleEnd: (module: TestModule) => {
        // The file could not be loaded, or its device could not be opened.
        for (const error of module.errors())
          found({
            tests: [
              { group, name: module.relativeModuleId, state: 'failed', seconds: 0, error: line(error) },
            ],
          });
      },
    };
    const vitest = await startVitest('test', files, {
      root,
      watch: false,
      reporters: [reporter],
      testNamePattern: WANTED,
    });
    await vitest.close();
  }
  leaveOut('no time left', skipped);
}
