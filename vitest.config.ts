import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';

/** What `--mode quick` leaves to the whole run: what waits for a driver to compile shaders, starts the command, or tries thousands of inputs. */
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
];

export default defineConfig(({ mode }) => ({
  // The examples name the package, as a user's own code does.
  resolve: { alias: { dawngrad: fileURLToPath(new URL('src/index.ts', import.meta.url)) } },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...(mode === 'quick' ? slow : [])],
    pool: 'forks',
    // Compiling shaders keeps one core busy, and on a software driver that is what tests mostly do.
    maxWorkers: availableParallelism(),
    // A guard against what hangs; no verdict depends on how fast the machine is.
    testTimeout: 30 * 60_000,
    hookTimeout: 30 * 60_000,
    // Of ops, only the kernels that this adapter would use.
    ...(mode === 'quick' && { testNamePattern: /^(?!.*(kernels for GPUs|bindings of 512 bytes))/ }),
  },
}));
