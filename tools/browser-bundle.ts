/**
 * Writes the library as modules that a page loads without a bundler: `dawngrad.js`, and beside it parts that
 * are loaded when they are needed.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Bundles `src/` into a folder. Throws where a module of Node is in it. */
export async function bundleForBrowsers(outdir: string): Promise<void> {
  await build({
    entryPoints: { dawngrad: join(root, 'src/index.ts') },
    absWorkingDir: root,
    outdir,
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    chunkNames: '[name]-[hash]',
    logLevel: 'warning',
  });
}
