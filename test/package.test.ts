/** The published package: declarations for a strict compiler, links and maps, snippets that compile. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  guideProgram,
  prelude,
  resolutions,
  snippets,
  tsc,
  typeErrors,
  withNames,
} from './support/consumer.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = promisify(execFile);

let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
});
afterAll(() => rm(scratch, { recursive: true }));

/** The TypeScript blocks of a page. */
async function blocksOf(page: string): Promise<string[]> {
  const text = await readFile(join(root, page), 'utf8');
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!);
}

describe('declarations', () => {
  let names: string[] = [];
  beforeAll(async () => {
    const home = join(scratch, 'node_modules/dawngrad');
    await mkdir(home, { recursive: true });
    await cp(join(root, 'package.json'), join(home, 'package.json'));
    await writeFile(join(scratch, 'package.json'), '{"type":"module"}');
    const built = ['-p', 'tsconfig.build.json', '--emitDeclarationOnly', '--outDir', join(home, 'dist')];
    expect(await tsc(built, root)).toBe('');
    names = Object.keys(await import('../src/index.ts'));
  });

  const check = (title: string, code: string, options: object): Promise<string> =>
    typeErrors(scratch, title, withNames(names, code), options);

  it.each(Object.entries(resolutions))(
    '%s: compile without skipLibCheck, with the porting guide in use',
    async (title, options) => {
      const guide = await readFile(join(root, 'docs/porting.md'), 'utf8');
      for (const snippet of snippets) expect(guide).toContain(`\`${snippet}\``);
      expect(await check(title, guideProgram(), options)).toBe('');
    },
  );

  it('are told apart from a call that does not fit', async () => {
    const found = await check('wrong', `${prelude}void model.forward({ inputIds: x, position: x });`, {
      module: 'nodenext',
    });
    expect(found).toContain("'position' does not exist");
  });

  it('take every block of the pages', async () => {
    const docs = await readdir(join(root, 'docs'), { recursive: true });
    const pages = ['README.md', ...docs.filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)];
    let count = 0;
    for (const page of pages) {
      for (const block of await blocksOf(page)) {
        count += 1;
        // A block with imports is a complete program.
        const own = /^import /m.test(block);
        const code = own ? block : `${prelude}declare const device: dawngrad.Device;\n{\n${block}}`;
        expect(await check(`block${count}`, code, { module: 'nodenext' }), page).toBe('');
      }
    }
    expect(count).toBeGreaterThan(1);
  });
});

describe('the package', () => {
  let packed: string[] = [];
  beforeAll(async () => {
    // Scripts would build first; this lists only existing files.
    const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root });
    const report = JSON.parse(stdout) as unknown;
    const [entry] = Object.values(report as Record<string, { files: { path: string }[] }>);
    packed = entry!.files.map(({ path }) => path);
  });

  it('holds what its pages link to', async () => {
    const pages = packed.filter((path) => path.endsWith('.md'));
    expect(pages).toContain('README.md');
    expect(pages.length).toBeGreaterThan(4);
    for (const page of pages) {
      const text = await readFile(join(root, page), 'utf8');
      for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)) {
        const path = posix.join(posix.dirname(page), target!);
        expect(packed, `${page} links to ${target}`).toContain(path);
      }
    }
  });

  it('has no source maps, whose sources it would lack, and no address of a repository', async () => {
    const config = JSON.parse(await readFile(join(root, 'tsconfig.build.json'), 'utf8')) as {
      compilerOptions: Record<string, unknown>;
    };
    for (const key of ['sourceMap', 'declarationMap', 'inlineSourceMap'])
      expect(config.compilerOptions[key]).toBeUndefined();
    expect(JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))).not.toHaveProperty('repository');
  });

  it('has the same version for JSR', async () => {
    const read = async (name: string) => JSON.parse(await readFile(join(root, name), 'utf8')) as object;
    const { version, license } = (await read('package.json')) as Record<string, string>;
    expect(await read('jsr.json')).toMatchObject({ version, license });
  });

  it('holds examples that name the package', async () => {
    for (const path of packed.filter((name) => /^examples\/.*\.ts$/.test(name))) {
      const text = await readFile(join(root, path), 'utf8');
      for (const [, from] of text.matchAll(/from '(\.[^']*)'/g))
        expect(packed, `${path} imports ${from}`).toContain(posix.join(dirname(path), from!));
      expect(existsSync(join(root, path))).toBe(true);
    }
    expect(packed).toContain('examples/loop.ts');
  });
});
