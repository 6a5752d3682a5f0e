/**
 * Builds `dist/`: embeds the shaders, compiles with tsc, gives dist its own map of `#` imports, and bundles
 * the library for pages without a bundler.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleForBrowsers } from './browser-bundle.ts';
import { embedShaders } from './embed-shaders.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
embedShaders();
rmSync(join(root, 'dist'), { recursive: true, force: true });
const tsc = join(root, 'node_modules/typescript/bin/tsc');
const result = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], {
  stdio: 'inherit',
});
if (result.status !== 0) process.exit(result.status ?? 1);

// The nearest package.json resolves `#` imports: the source tree's names .ts files, this one the compiled
// files.
const source = readFileSync(join(root, 'package.json'), 'utf8');
const imports = JSON.parse(
  JSON.stringify((JSON.parse(source) as { imports: object }).imports)
    .replaceAll('"./src/', '"./')
    .replaceAll('.ts"', '.js"'),
) as object;
writeFileSync(
  join(root, 'dist/package.json'),
  `${JSON.stringify({ type: 'module', sideEffects: false, imports }, null, 2)}\n`,
);
chmodSync(join(root, 'dist/cli/main.js'), 0o755);
await bundleForBrowsers(join(root, 'dist/browser'));
