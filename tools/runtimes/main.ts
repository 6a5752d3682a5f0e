/**
 * The matrix of runtimes: packs the package, installs it in an empty project of each runtime, and runs it there.
 * `npm run runtimes` prints a table and fails if a cell does; `-- --only deno` runs those of that name and the
 * first, with which losses are compared; `-- --write` puts the table into docs/runtimes.md.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Cell, command, info, interrupt, library, operations, type Reference, types } from './cells.ts';
import { findProgram, type Host, hosts, Project } from './hosts.ts';
import { execute, reasonOf } from './shell.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = join(root, 'docs/runtimes.md');
const columns = [
  'version',
  'install',
  'types',
  'operations',
  'library',
  'command',
  'info',
  'Ctrl-C',
] as const;
type Column = (typeof columns)[number];
type Row = Partial<Record<Column, Cell>>;

const { values } = parseArgs({ options: { only: { type: 'string' }, write: { type: 'boolean' } } });
const work = mkdtempSync(join(tmpdir(), 'dawngrad-runtimes-'));
const reference: Reference = {};
/** Projects by the package that the runtime comes from. */
const projects = new Map<string, Project>();

/** Packs the package, which builds it first; returns the tarball. */
async function pack(): Promise<string> {
  const ended = await execute('npm', ['pack', '--json', '--pack-destination', work], { cwd: root });
  if (ended.code !== 0) throw new Error(`npm pack: ${reasonOf(ended)}`);
  const name = readFileNames(ended.stdout);
  return join(work, name);
}

/** The tarball's name in what npm prints, after the lines of the build. */
function readFileNames(stdout: string): string {
  const found = /"filename": "([^"]+)"/.exec(stdout);
  if (found === null) throw new Error('npm pack names no file');
  return found[1]!;
}

/** Runs a cell, and prints it once it is known. */
async function cell(host: Host, column: Column, body: () => Promise<Cell>): Promise<Cell> {
  const start = performance.now();
  const found = await body().catch((error: unknown): Cell => ({ state: 'no', text: String(error) }));
  const seconds = Math.round((performance.now() - start) / 1000);
  console.error(`${host.name}, ${column}: ${found.state}, ${found.text} (${seconds} s)`);
  return found;
}

/** A project of the host's in which the package is installed, once for all hosts from one package. */
async function install(host: Host, program: string, tarball: string): Promise<[Project, Cell]> {
  const origin = host.installer === 'jsr' ? 'jsr' : host.from;
  const shared = projects.get(origin);
  if (shared !== undefined)
    return [new Project(host, shared.folder, program), { state: 'yes', text: 'as above' }];
  const folder = join(work, origin);
  mkdirSync(folder);
  if (host.installer !== 'jsr')
    writeFileSync(join(folder, 'package.json'), '{"name":"empty","private":true,"type":"module"}\n');
  const project = new Project(host, folder, program);
  const ended = await project.install(tarball);
  if (ended.code !== 0) return [project, { state: 'no', text: reasonOf(ended) }];
  projects.set(origin, project);
  return [project, { state: 'yes', text: `by ${host.installer}` }];
}

async function rowOf(host: Host, tarball: string): Promise<Row> {
  const program = await findProgram(host, work);
  if ('missing' in program) {
    const version = await cell(host, 'version', async () => ({
      state: 'no',
      text: `not to be had: ${program.missing}`,
    }));
    return { version };
  }
  const asked = await execute(program.path, ['--version'], { cwd: work });
  const version = /\d+\.\d+\.\d+/.exec(asked.stdout)?.[0] ?? '';
  const row: Row = { version: { state: version === '' ? 'no' : 'yes', text: version || reasonOf(asked) } };
  let project: Project | undefined;
  row.install = await cell(host, 'install', async () => {
    const [made, found] = await install(host, program.path, tarball);
    project = made;
    return found;
  });
  if (project === undefined || row.install.state === 'no') return row;
  const own = project;
  const bodies: [Column, () => Promise<Cell>][] = [
    ['types', () => types(own)],
    ['operations', () => operations(own)],
    ['library', () => library(own, reference)],
    ['command', () => command(own, reference)],
    ['info', () => info(own, version)],
    ['Ctrl-C', () => interrupt(own)],
  ];
  for (const [column, body] of bodies) row[column] = await cell(host, column, body);
  return row;
}

const marks = { yes: '', no: '**failed**: ', none: '–: ' };

/** A Markdown table whose columns are aligned, as the formatter leaves it. */
function tableOf(rows: ReadonlyMap<Host, Row>): string {
  const shown = (cell: Cell | undefined): string =>
    cell === undefined ? 'not run' : `${marks[cell.state]}${cell.text.replaceAll('|', '\\|')}`;
  const body = [...rows].map(([host, row]) => [host.name, ...columns.map((column) => shown(row[column]))]);
  const head = ['runtime', ...columns];
  const widths = head.map((_, at) => Math.max(...[head, ...body].map((cells) => cells[at]!.length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((text, at) => text.padEnd(widths[at]!)).join(' | ')} |`;
  return [head, widths.map((width) => '-'.repeat(width)), ...body].map(line).join('\n');
}

const BEGIN = '<!-- npm run runtimes -- --write -->';
const END = '<!-- end -->';

/** Puts the table between the page's marks. */
function writePage(table: string): void {
  const text = readFileSync(page, 'utf8');
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`docs/runtimes.md has no ${BEGIN} … ${END}`);
  writeFileSync(page, `${before}${BEGIN}\n\n${table}\n\n${END}${after}`);
}

try {
  const start = performance.now();
  const tarball = await pack();
  const rows = new Map<Host, Row>();
  for (const [at, host] of hosts.entries())
    if (at === 0 || values.only === undefined || host.name.toLowerCase().includes(values.only.toLowerCase()))
      rows.set(host, await rowOf(host, tarball));
  const table = tableOf(rows);
  console.log(`${table}\n\n${Math.round((performance.now() - start) / 1000)} s on ${cpus()[0]?.model}`);
  if (values.write) writePage(table);
  const whole = (row: Row): boolean =>
    columns.every((column) => row[column] !== undefined && row[column].state !== 'no');
  if (![...rows.values()].every(whole)) process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
