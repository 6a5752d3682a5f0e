/** The runtimes of the matrix: where each comes from, and how it installs a package and runs a program. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dryRun, publishInto } from './jsr.ts';
import { type Ended, execute, type RunOptions, reasonOf } from './shell.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Host {
  /** As in the table. */
  name: string;
  /** Its package in npm's registry, and the program in it. */
  from: string;
  program: 'node' | 'bun' | 'deno';
  /** Before the script's name. */
  args: readonly string[];
  /** What installs the tarball; JSR has sources in its place. */
  installer: 'npm' | 'bun' | 'jsr';
  /** It has a WebGPU of its own, takes the browser's platform, and reads files by URL. */
  ownWebGpu: boolean;
}

const node = (version: number): Host => ({
  name: `Node ${version}`,
  from: `node@${version}`,
  ...{ program: 'node', args: [], installer: 'npm', ownWebGpu: false },
});
const deno = { from: 'deno@2', program: 'deno', installer: 'npm' } as const;

export const hosts: readonly Host[] = [
  node(20),
  node(22),
  node(24),
  { name: 'Bun 1', from: 'bun@1', program: 'bun', args: ['--bun'], installer: 'bun', ownWebGpu: false },
  // Deno installs no tarball; it runs what npm installed.
  { name: 'Deno 2', ...deno, args: ['run', '-A'], ownWebGpu: false },
  {
    name: "Deno 2, Deno's own WebGPU",
    ...deno,
    args: ['run', '-A', '--conditions=browser'],
    ownWebGpu: true,
  },
  {
    name: 'Deno 2, from JSR',
    ...deno,
    args: ['run', '-A', '--node-modules-dir=none', '--import-map=imports.json'],
    installer: 'jsr',
    ownWebGpu: false,
  },
];

/** The path of a host's program, which npm downloads unless it has it; or why there is none. */
export async function findProgram(host: Host, cwd: string): Promise<{ path: string } | { missing: string }> {
  const asked = ['exec', '--yes', `--package=${host.from}`, '--call', `command -v ${host.program}`];
  const found = await execute('npm', asked, { cwd });
  const path = found.stdout.trim().split('\n').at(-1) ?? '';
  return found.code === 0 && existsSync(path) ? { path } : { missing: reasonOf(found) };
}

/** A host that is there, with an empty project in which the package is installed. */
export class Project {
  readonly host: Host;
  readonly folder: string;
  readonly program: string;

  constructor(host: Host, folder: string, program: string) {
    this.host = host;
    this.folder = folder;
    this.program = program;
  }

  /** Installs the tarball as a user does. */
  async install(tarball: string): Promise<Ended> {
    if (this.host.installer === 'jsr') {
      const tried = await dryRun(this.program, root);
      return tried.code === 0 ? publishInto(this.program, root, this.folder) : tried;
    }
    // npm runs in the Node that comes first.
    const env = { PATH: `${dirname(this.program)}:${process.env.PATH}` };
    return this.host.installer === 'bun'
      ? execute(this.program, ['add', tarball], { cwd: this.folder })
      : execute('npm', ['install', '--no-audit', '--no-fund', tarball], {
          cwd: this.folder,
          ...(this.host.program === 'node' && { env }),
        });
  }

  /** Runs a script of the project. */
  run(script: string, args: readonly string[], options: Partial<RunOptions> = {}): Promise<Ended> {
    const all = [...this.host.args, script, ...args];
    return execute(this.program, all, { cwd: this.folder, ...options });
  }

  /** A path in the installed package; JSR's has no examples. */
  inPackage(name: string): string {
    return join(this.host.installer === 'jsr' ? root : join(this.folder, 'node_modules/dawngrad'), name);
  }

  /** Runs the installed command. */
  command(args: readonly string[], options: Partial<RunOptions> = {}): Promise<Ended> {
    return this.run(this.inPackage('dist/cli/main.js'), args, options);
  }
}
