/** The floors of src/: imports go down only, and host and terminal are reached from their own floor only. */
import { readdir, readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import { expect, it } from 'vitest';
import { parseAst } from 'vitest/node';

/**
 * The folders of src/, lowest first: a file imports from its own floor and from those below. Files directly
 * in src/ are the lowest floor, except index.ts, the public face above all others.
 */
const floors = [
  'src/*.ts',
  'src/platform/',
  'src/gpu/',
  'src/kernels/',
  'src/tensor/',
  'src/nn/',
  'src/optim/',
  'src/models/',
  'src/text/',
  'src/onnx/',
  'src/data/',
  'src/train/',
  'src/sentence/',
  'src/tasks/',
  'src/cli/',
  'src/index.ts',
];

/** Imports and globals that one floor alone may name; files are paths from the root. */
const reserved: { names: RegExp; floor: string; remedy: string }[] = [
  {
    names: /^(node:.*|webgpu|Deno|src\/platform\/(node|deno|browser)\b.*)$/,
    floor: 'src/platform/',
    remedy: 'reach the host through #platform',
  },
  {
    names: /^(commander|cli-progress|cli-table3)$/,
    floor: 'src/cli/',
    remedy: 'only the command draws on the terminal',
  },
];

function floorOf(file: string): string {
  if (file === 'src/index.ts') return file;
  const [root, folder, inside] = file.split('/');
  return inside === undefined ? `${root}/*.ts` : `${root}/${folder}/`;
}

/** Every import and every use of the global `Deno` in a syntax tree, with its offset in the text. */
function* namesIn(node: unknown): Generator<[name: string, offset: number]> {
  if (typeof node !== 'object' || node === null) return;
  const { type, source, expression, name, start } = node as Record<string, unknown>;
  // import, export from and import() have a `source`; require() has an `expression`.
  const from = type === 'TSExternalModuleReference' ? expression : source;
  if (typeof from === 'object' && from !== null && 'value' in from)
    yield [String(from.value), start as number];
  else if (type === 'ImportExpression') yield ['(computed)', start as number];
  if (type === 'Identifier' && name === 'Deno') yield [name, start as number];
  for (const child of Object.values(node)) yield* namesIn(child);
}

/** Where a file breaks a rule: `file:line: reason`. */
function violations(file: string, code: string): string[] {
  const floor = floorOf(file);
  const level = floors.indexOf(floor);
  if (level < 0) return [`${file}:1: ${floor} is not among the floors`];
  return [...namesIn(parseAst(code, { lang: 'ts' }))].flatMap(([name, offset]) => {
    const at = `${file}:${code.slice(0, offset).split('\n').length}`;
    const inside = name.startsWith('.');
    const target = inside
      ? posix.join(posix.dirname(file), name)
      : name.replace(/^#platform$/, 'src/platform/');
    const rule = reserved.find(({ names }) => names.test(target));
    if (rule !== undefined && rule.floor !== floor) return [`${at}: ${target}: ${rule.remedy}`];
    if (name === '(computed)') return [`${at}: an import of a computed name`];
    if (target === name) return [];
    const below = floors.indexOf(floorOf(target));
    if (below < 0) return [`${at}: ${target} is outside src/`];
    return below > level ? [`${at}: ${target} is above ${floor}`] : [];
  });
}

it('finds each kind of import, and says where', () => {
  const code = [
    "import { a } from './tape.ts';",
    "import type { B } from '../errors.ts';",
    "import { platform } from '#platform';",
    "import type { Module } from '../nn/module.ts';",
    "export * from '../optim/adamw.ts';",
    "type C = import('../index.ts').C;",
    "const d = await import('../cli/main.ts');",
    "import e = require('../../test/support/toy.ts');",
    "export { f } from '../../bench/jobs.ts';",
    'const g = await import(a);',
    "import fs from 'node:fs';",
    "import { h } from '../platform/node/files.ts';",
    "import { create } from 'webgpu';",
    'const i = globalThis.Deno?.version;',
    "import { Command } from 'commander';",
    "// import '../nn/layers.ts' in a comment, './x/nn/y.ts' in a text, and Deno in both",
    "const j = 'import from ../nn/layers.ts, Deno';",
  ].join('\n');
  expect(violations('src/tensor/x.ts', code)).toEqual([
    'src/tensor/x.ts:4: src/nn/module.ts is above src/tensor/',
    'src/tensor/x.ts:5: src/optim/adamw.ts is above src/tensor/',
    'src/tensor/x.ts:6: src/index.ts is above src/tensor/',
    'src/tensor/x.ts:7: src/cli/main.ts is above src/tensor/',
    'src/tensor/x.ts:8: test/support/toy.ts is outside src/',
    'src/tensor/x.ts:9: bench/jobs.ts is outside src/',
    'src/tensor/x.ts:10: an import of a computed name',
    'src/tensor/x.ts:11: node:fs: reach the host through #platform',
    'src/tensor/x.ts:12: src/platform/node/files.ts: reach the host through #platform',
    'src/tensor/x.ts:13: webgpu: reach the host through #platform',
    'src/tensor/x.ts:14: Deno: reach the host through #platform',
    'src/tensor/x.ts:15: commander: only the command draws on the terminal',
  ]);
  expect(violations('src/errors.ts', code.split('\n')[2]!)).toEqual([
    'src/errors.ts:1: src/platform/ is above src/*.ts',
  ]);
  expect(violations('src/extra/x.ts', '')).toEqual(['src/extra/x.ts:1: src/extra/ is not among the floors']);
});

it('every import in src/ stays on its floor or goes down', async () => {
  const src = new URL('../src/', import.meta.url);
  const files = (await readdir(src, { recursive: true })).filter((path) => path.endsWith('.ts'));
  const found = await Promise.all(
    files.map(async (path) =>
      violations(posix.join('src', path), await readFile(new URL(path, src), 'utf8')),
    ),
  );
  expect(found.flat()).toEqual([]);
  expect(new Set(files.map((path) => floorOf(`src/${path}`)))).toEqual(new Set(floors));
});

it('the architecture lists the same floors', async () => {
  const text = await readFile(new URL('../docs/architecture.md', import.meta.url), 'utf8');
  const rows = text.split('\n').flatMap((line) => /^\| (`src\/.*?) +\|/.exec(line)?.[1] ?? []);
  const listed = rows.flatMap((row) => row.split(', ').map((name) => name.replaceAll('`', '')));
  expect(listed.reverse()).toEqual(floors.filter((floor) => floor !== 'src/index.ts'));
});
