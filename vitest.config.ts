import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';

/** Excluded by `--mode quick`: tests that compile many shaders, start the command, or try many inputs. */
const slow = [
  'test/text/unicode.test.ts',
  'test/models/initial.test.ts',
  'test/fuzz/**',
  'test/platform/files.test.ts',
  'test/gpu/shaders.test.ts',
  'test/kernels/matmul.test.ts',
  'test/tensor/half.test.ts',
  'test/tensor/dropout.test.ts',
  'test/cli/**',
  'test/bench/**',
  'test/isa/machine-code.test.ts',
  'test/web/page.test.ts',
  'test/web/results-views.test.ts',
];

export default defineConfig(({ mode }) => ({
  // The examples import the package by name, as a user's own code does.
  resolve: { alias: { dawngrad: fileURLToPath(new URL('src/index.ts', import.meta.url)) } },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...(mode === 'quick' ? slow : [])],
    pool: 'forks',
    // Fails on a snapshot that is missing or that no test uses, as on CI; `-u` writes them.
    update: 'none',
    // Compiling shaders keeps one core busy, and is most of what tests do on a software driver.
    maxWorkers: availableParallelism(),
    // Guards against hangs; no verdict depends on the machine's speed.
    testTimeout: 30 * 60_000,
    hookTimeout: 30 * 60_000,
    // Of the op tests, runs only the kernels that this adapter would use.
    ...(mode === 'quick' && { testNamePattern: /^(?!.*(kernels for GPUs|bindings of 512 bytes))/ }),
  },
}));
