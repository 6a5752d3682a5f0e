/** The library in bundles for browsers: what is in them, what they weigh, and that Vite needs no settings. */
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build, createLogger } from 'vite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseAst } from 'vitest/node';
import { bundleForBrowsers } from '../../tools/browser-bundle.ts';
import { bundle, weigh } from '../support/bundle.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What training and predicting take, with every family of models; the tokenizer comes on top. */
const CORE =
  "export { requestDevice, AutoModelForSequenceClassification, Trainer, predictBatches } from './src/index.ts'";
/** Minified and packed by gzip; the README states it. */
const BUDGET_KB = 150;

it('has no module of Node, and no package for the terminal', async () => {
  const { inputs, code } = await bundle("export * from './src/index.ts'");
  expect(inputs.length).toBeGreaterThan(150);
  // esbuild fails on modules of Node, unless a package maps them to nothing.
  expect(inputs.filter((path) => /^\(disabled\)|^node:/.test(path))).toEqual([]);
  const packages = new Set(
    inputs.flatMap((path) => /node_modules\/((@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []),
  );
  expect([...packages].sort()).toEqual([
    'csv-parse',
    'fflate',
    'fzstd',
    'hyparquet',
    'hyparquet-compressors',
    'hysnappy',
    'valibot',
  ]);
  expect(code).not.toMatch(/\bprocess\.|\brequire\(/);
});

it('keeps the core within its budget, which the README states', async () => {
  const { gzipBytes, inputs } = await weigh(CORE);
  expect(gzipBytes / 1000).toBeLessThan(BUDGET_KB);
  const foreign = [...inputs.keys()].filter((path) => !path.startsWith('src/') && path.includes('/'));
  expect(foreign.filter((path) => !path.startsWith('node_modules/valibot/'))).toEqual([]);
  expect([...inputs.keys()].filter((path) => /^src\/(text|tasks|sentence|onnx)\//.test(path))).toEqual([]);
  expect(await readFile(join(root, 'README.md'), 'utf8')).toContain(`within ${BUDGET_KB} kB`);
});

it('has no comments and no indents in its shaders', async () => {
  const { shaderSources } = await import('../../src/gpu/shaders.generated.ts');
  for (const [name, text] of Object.entries(shaderSources))
    expect(text, name).not.toMatch(/\/\/|^\s|\s$|\n\s/);
});

let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
});
afterAll(() => rm(scratch, { recursive: true }));

it('comes as modules that a page loads by their addresses', async () => {
  const folder = join(scratch, 'modules');
  await bundleForBrowsers(folder);
  const names = await readdir(folder);
  expect(names).toContain('dawngrad.js');
  for (const name of names) {
    const text = await readFile(join(folder, name), 'utf8');
    const imported = parseAst(text).body.flatMap((node) =>
      'source' in node && node.source !== null ? [String(node.source.value)] : [],
    );
    imported.push(...[...text.matchAll(/\bimport\("([^"]+)"\)/g)].map(([, path]) => path!));
    for (const path of imported) expect(names, `${name} imports ${path}`).toContain(path.replace('./', ''));
  }
});

it('is built by Vite without settings, and nothing but code comes out', async () => {
  // The package as an application has it, but for its code, which is not compiled here.
  const home = join(scratch, 'node_modules/dawngrad');
  await mkdir(home, { recursive: true });
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as object;
  await writeFile(join(home, 'package.json'), JSON.stringify({ ...manifest, exports: './src/index.ts' }));
  for (const name of ['src', 'node_modules']) await symlink(join(root, name), join(home, name));
  await writeFile(join(scratch, 'index.html'), '<script type="module" src="/main.js"></script>');
  await writeFile(
    join(scratch, 'main.js'),
    "import * as dawngrad from 'dawngrad'; globalThis.names = Object.keys(dawngrad);",
  );
  const told: string[] = [];
  const customLogger = createLogger('warn');
  customLogger.warn = customLogger.warnOnce = (text) => void told.push(text);
  await build({
    root: scratch,
    configFile: false,
    customLogger,
    resolve: { preserveSymlinks: true },
    build: { chunkSizeWarningLimit: 10_000, outDir: join(scratch, 'dist') },
  });
  expect(told).toEqual([]);
  const files = await readdir(join(scratch, 'dist/assets'));
  expect(files.filter((name) => !name.endsWith('.js'))).toEqual([]);
  const texts = await Promise.all(files.map((name) => readFile(join(scratch, 'dist/assets', name), 'utf8')));
  expect(texts.join('\n')).toContain('requestAdapter');
  expect(texts.join('\n')).not.toMatch(/__vite-browser-external|data:text\/|from ?["']node:/);
});

it('keeps the names of classes that files and people see', async () => {
  const { code } = await bundle("export * from './src/index.ts'");
  const path = join(scratch, 'minified.mjs');
  await writeFile(path, code);
  const library: typeof import('../../src/index.ts') = await import(pathToFileURL(path).href);
  const { PreTrainedModel, DawngradError, SentenceLoss, EarlyStoppingCallback } = library;
  const shown = Object.entries(library).filter(
    ([, value]) =>
      value === EarlyStoppingCallback ||
      (typeof value === 'function' &&
        [PreTrainedModel, DawngradError, SentenceLoss].some((base) => value.prototype instanceof base)),
  );
  expect(shown.length).toBeGreaterThan(70);
  for (const [name, value] of shown) {
    // Abstract ones, and those whose files have the name of the model in them.
    if (['EncoderModel', 'TaskModel', 'SentenceTransformer', 'SetFitModel', 'PeftModel'].includes(name))
      continue;
    expect((value as { name: string }).name).toBe(name);
  }
  expect(new library.DataError('no').name).toBe('DataError');
});
