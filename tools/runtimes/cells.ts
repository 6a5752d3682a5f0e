/** What is tried in each runtime: a cell of the table each. */
import { copyFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { guideProgram, resolutions, typeErrors, withNames } from '../../test/support/consumer.ts';
import type { Project } from './hosts.ts';
import { type Ended, hasTerminal, reasonOf } from './shell.ts';

/** `no`: it failed. `none`: the runtime cannot do this, as the pages say. */
export interface Cell {
  state: 'yes' | 'no' | 'none';
  /** What was seen, or why not. */
  text: string;
}

/** What a later runtime's results are compared with: those of the first. */
export interface Reference {
  loop?: readonly number[];
  command?: readonly number[];
}

const yes = (text: string): Cell => ({ state: 'yes', text });
const no = (text: string): Cell => ({ state: 'no', text });
const none = (text: string): Cell => ({ state: 'none', text });
const asDawn = none('as in Dawn’s row');

/** Why a project has no command; null if it has one. */
function withoutCommand({ host }: Project): Cell | null {
  if (host.installer === 'jsr') return none('JSR has the library alone');
  return host.ownWebGpu ? none('no command on a browser’s platform') : null;
}

const program = (name: string): string => fileURLToPath(new URL(`programs/${name}`, import.meta.url));

/** Types, found in each way that compilers have, without types of the compiler's own. */
export async function types(project: Project): Promise<Cell> {
  if (project.host.ownWebGpu || project.host.installer === 'jsr') return asDawn;
  const names = Object.keys(await import('../../src/index.ts'));
  const code = withNames(names, guideProgram());
  for (const [title, options] of Object.entries({
    nodenext: resolutions.defaults,
    bundler: resolutions.bundler,
  })) {
    const errors = await typeErrors(project.folder, title, code, options);
    if (errors !== '') return no(`${title}: ${errors.split('\n')[0]}`);
  }
  return yes('nodenext, bundler');
}

/** The smoke subset of the op table, as one file of JavaScript that takes packages from the project. */
export async function operations(project: Project): Promise<Cell> {
  const { ownWebGpu, program: runtime, installer } = project.host;
  if (installer === 'jsr') return asDawn;
  const name = `operations-${ownWebGpu ? 'own' : 'dawn'}.mjs`;
  await build({
    entryPoints: [program('operations.ts')],
    outfile: join(project.folder, name),
    bundle: true,
    ...{ format: 'esm', platform: 'node', packages: 'external', logLevel: 'error' },
    conditions: ownWebGpu ? ['browser'] : [runtime],
  });
  const ended = await project.run(name, []);
  const found = printed<{ count: number; wrong: string[]; adapter: string }>(ended);
  if (found === null) return no(reasonOf(ended));
  const { count, wrong } = found;
  return wrong.length === 0 ? yes(`${count} right`) : no(`${wrong.length} of ${count} wrong: ${wrong[0]}`);
}

/** What a program printed as JSON in its last line; null if it failed. */
function printed<T>({ code, stdout }: Ended): T | null {
  const line = stdout.trim().split('\n').at(-1) ?? '';
  return code === 0 && line.startsWith('{') ? (JSON.parse(line) as T) : null;
}

/** The largest difference of losses from the first runtime's. */
function compared(
  losses: readonly number[],
  expected: readonly number[] | undefined,
  accepted: number,
): Cell {
  if (expected === undefined) return no('there are no losses of the first runtime');
  const worst = losses.reduce((most, loss, i) => Math.max(most, Math.abs(loss - expected[i]!)), 0);
  const text = `${losses.length} losses, ${worst === 0 ? 'the same bits' : `within ${worst.toExponential(0)}`}`;
  return losses.length > 0 && worst <= accepted ? yes(text) : no(text);
}

const STEPS = 10;
/** A WebGPU of another origin compiles each kernel anew, and slowly. */
const OWN_STEPS = 3;
/** Another compiler orders float32's additions in another way. */
const OWN_TOLERANCE = 1e-4;

/** The embedded example in a loop of one's own, which imports the package. */
export async function library(project: Project, reference: Reference): Promise<Cell> {
  copyFileSync(program('loop.mjs'), join(project.folder, 'loop.mjs'));
  const folder = project.inPackage('examples/sentiment');
  const { ownWebGpu } = project.host;
  const steps = ownWebGpu ? OWN_STEPS : STEPS;
  const ended = ownWebGpu
    ? await served(folder, (url) => project.run('loop.mjs', [url, `${steps}`]))
    : await project.run('loop.mjs', [folder, `${steps}`]);
  const found = printed<{ losses: number[] }>(ended);
  if (found === null) return no(reasonOf(ended));
  reference.loop ??= found.losses;
  return compared(found.losses, reference.loop, ownWebGpu ? OWN_TOLERANCE : 0);
}

/** Serves a folder's files while `use` runs. */
async function served<T>(folder: string, use: (url: string) => Promise<T>): Promise<T> {
  const server = createServer((request, response) => {
    const path = join(folder, decodeURIComponent(new URL(request.url!, 'http://localhost').pathname));
    if (!existsSync(path) || !statSync(path).isFile()) {
      response.writeHead(404).end();
      return;
    }
    const bytes = readFileSync(path);
    response.writeHead(200, { 'content-length': bytes.length });
    response.end(request.method === 'HEAD' ? undefined : bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.close();
  }
}

const finetune = (output: string, ...more: string[]): string[] => [
  'finetune',
  '--example',
  ...['--output', output, '--overwrite'],
  ...more,
];

const CSV = 'text,label\n"what a lovely, lovely day",positive\n"the soup was ""hot""",negative\n';

/** The whole embedded fine-tune by the command, and an evaluation of the model on a CSV file. */
export async function command(project: Project, reference: Reference): Promise<Cell> {
  const missing = withoutCommand(project);
  if (missing !== null) return missing;
  const output = join(project.folder, 'out');
  const ended = await project.command(finetune(output));
  if (ended.code !== 0) return no(reasonOf(ended));
  const data = join(project.folder, 'two.csv');
  writeFileSync(data, CSV);
  const evaluated = await project.command(['evaluate', '--model', output, '--data', data]);
  if (evaluated.code !== 0) return no(`evaluate: ${reasonOf(evaluated)}`);
  const lines = readFileSync(join(output, 'loss_log.jsonl'), 'utf8').trim().split('\n');
  const losses = lines.flatMap((line) => (JSON.parse(line) as { loss?: number }).loss ?? []);
  reference.command ??= losses;
  return compared(losses, reference.command, 0);
}

/** `info` names the runtime and its version. */
export async function info(project: Project, version: string): Promise<Cell> {
  const missing = withoutCommand(project);
  if (missing !== null) return missing;
  const ended = await project.command(['info', '--json']);
  if (ended.code !== 0) return no(reasonOf(ended));
  const { runtime } = JSON.parse(ended.stdout) as { runtime: string };
  return runtime.endsWith(version) ? yes(runtime) : no(`it says ${runtime}`);
}

const SHOW_CURSOR = '\x1b[?25h';
const RED = '\x1b[31m';

/**
 * Ctrl-C on a terminal while the progress bar runs: exit code 130, the cursor is there again, lines are not painted,
 * and there is a checkpoint from which the training goes on to its end.
 */
export async function interrupt(project: Project): Promise<Cell> {
  const missing = withoutCommand(project);
  if (missing !== null) return missing;
  const output = join(project.folder, 'interrupted');
  const steps = ['--max-steps', '40'];
  const options = { terminal: hasTerminal, interruptAt: '| loss 0.' };
  const ended = await project.command(finetune(output, ...steps), options);
  if (ended.code !== 130) return no(reasonOf(ended));
  if (hasTerminal && !ended.stdout.includes(SHOW_CURSOR)) return no('130, but the cursor stays hidden');
  if (ended.stdout.includes(RED)) return no('130, but the runtime paints messages red');
  const saved = readdirSync(output).find((name) => name.startsWith('checkpoint-'));
  if (saved === undefined) return no('130, but no checkpoint was saved');
  const again = ['finetune', '--example', '--output', output, ...steps, '--resume'];
  const resumed = await project.command(again);
  if (resumed.code !== 0) return no(`resuming: ${reasonOf(resumed)}`);
  return yes(`130, checkpoint, resumed${hasTerminal ? '' : '; without a terminal'}`);
}
