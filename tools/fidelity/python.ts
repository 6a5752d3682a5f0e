/** The Python that runs transformers: one with the packages of test/reference/requirements.txt. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Versions {
  python: string;
  /** Null for a package that is not installed. */
  packages: Record<string, string | null>;
}

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. Throws if it cannot be started, or if `signal` aborts. */
export function run(
  program: string,
  args: readonly string[],
  { signal, env = {} }: { signal: AbortSignal; env?: Record<string, string> },
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { signal, env: { ...process.env, ...env } });
    const out = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => (out[name] += text));
    child.on('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'ENOENT' ? new Error(`there is no ${program} · pass a Python by --python`) : error,
      ),
    );
    child.on('close', (code) => resolve({ code: code ?? 1, ...out }));
  });
}

const lastLines = (text: string): string => text.trim().split('\n').slice(-8).join('\n');

async function installing(pip: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  const { code, stderr } = await run(pip, ['-m', 'pip', 'install', '-q', ...args], { signal });
  if (code !== 0) throw new Error(`pip install ${args.join(' ')} failed:\n${lastLines(stderr)}`);
}

/** Python with transformers. */
export class Python {
  constructor(
    readonly path: string,
    /** The folder with test/reference/. */
    private readonly root: string,
    private readonly signal: AbortSignal,
  ) {}

  /** Runs a script; `legacy`: with transformers 4. */
  run(args: readonly string[], { legacy = false } = {}): Promise<Ran> {
    const env = legacy ? { PYTHONPATH: this.legacyPackages } : {};
    return run(this.path, args, { signal: this.signal, env });
  }

  /** As `run`. Throws with the end of the script's messages if it fails. */
  async mustRun(args: readonly string[], options: { legacy?: boolean } = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, options);
    if (code !== 0) throw new Error(`${args[0]} failed:\n${lastLines(stderr)}`);
    return stdout;
  }

  async versions(): Promise<Versions> {
    return JSON.parse(await this.mustRun([join(this.root, 'test/reference/environment.py')])) as Versions;
  }

  /** Where transformers 4 and the packages that it needs in other versions are: kept apart from the rest. */
  private get legacyPackages(): string {
    return join(this.root, '.reference/transformers-4');
  }

  /** Installs transformers 4 unless it is there. */
  async installLegacy(): Promise<void> {
    const requirements = join(this.root, 'test/reference/requirements-4.txt');
    const wanted = await readFile(requirements, 'utf8');
    const marker = join(this.legacyPackages, 'installed.txt');
    if (existsSync(marker) && (await readFile(marker, 'utf8')) === wanted) return;
    await rm(this.legacyPackages, { recursive: true, force: true });
    const args = ['--no-deps', '--target', this.legacyPackages, '-r', requirements];
    await installing(this.path, args, this.signal);
    await writeFile(marker, wanted);
  }
}

/**
 * The given Python, which must have the packages; else the one in `.reference/`, which is made if it is not
 * there, and gets the packages.
 */
export async function findPython(
  root: string,
  given: string | undefined,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<Python> {
  const requirements = 'test/reference/requirements.txt';
  if (given !== undefined) {
    const python = new Python(given, root, signal);
    const { packages } = await python.versions();
    const missing = Object.keys(packages).filter((name) => packages[name] === null);
    if (missing.length > 0)
      throw new Error(
        `${given} has no ${missing.join(', ')} · install them: ${given} -m pip install -r ${requirements}`,
      );
    return python;
  }
  const folder = join(root, '.reference');
  const path = join(
    folder,
    ...(process.platform === 'win32' ? ['Scripts', 'python.exe'] : ['bin', 'python']),
  );
  if (!existsSync(path)) {
    say('making a Python environment in .reference/');
    const program = process.platform === 'win32' ? 'python' : 'python3';
    const { code, stderr } = await run(program, ['-m', 'venv', folder], { signal });
    if (code !== 0)
      throw new Error(`${program} -m venv failed:\n${lastLines(stderr)}\n· pass a Python by --python`);
  }
  say(`installing ${requirements}`);
  await installing(path, ['-r', join(root, requirements)], signal);
  return new Python(path, root, signal);
}
