/** Builds `dist/`: embeds the shaders, compiles with tsc, and gives dist its own `#platform` map. */
import { spawnSync } from 'node:child_process';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { embedShaders } from './embed-shaders.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
embedShaders();
rmSync(join(root, 'dist'), { recursive: true, force: true });
const tsc = join(root, 'node_modules/typescript/bin/tsc');
const result = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], {
  stdio: 'inherit',
});
if (result.status !== 0) process.exit(result.status ?? 1);

// The nearest package.json answers `#platform`: the source tree's names .ts files, this one the compiled ones.
const platformImports = {
  browser: './platform/browser.js',
  deno: './platform/deno.js',
  default: './platform/node.js',
};
writeFileSync(
  join(root, 'dist/package.json'),
  `${JSON.stringify({ type: 'module', sideEffects: false, imports: { '#platform': platformImports } }, null, 2)}\n`,
);
chmodSync(join(root, 'dist/cli/main.js'), 0o755);
