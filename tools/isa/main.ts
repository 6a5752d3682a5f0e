/**
 * The machine code that AMD's compiler makes of the kernels for GPUs, read without a GPU.
 *
 *     npm run isa [-- --chip navi31] [-- --filter attention] [-- --code folder]
 *     npm run isa -- --json before.json     # then, after a change:
 *     npm run isa -- --compare before.json
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { markdownTable, type TableData, textTable } from '../../bench/lib/table.ts';
import { chips } from './chips.ts';
import { type ChipReport, compileFor, whatIsMissing } from './compile.ts';
import { driverOf, failureLine, failuresOf, type KnownFailures } from './conditions.ts';
import {
  comparison,
  jobOverviewTable,
  jobTable,
  kernelTable,
  overviewTable,
  type SavedReport,
  savedReport,
  shortName,
} from './tables.ts';

interface Options {
  chip?: string;
  filter?: string;
  json?: string;
  compare?: string;
  code?: string;
  failures?: string;
  markdown?: boolean;
}

const options = new Command('isa')
  .addOption(new Option('--chip <name>', 'only this one').choices(chips.map(({ name }) => name)))
  .option('--filter <text>', 'only kernels whose name has this; leaves the jobs out')
  .option('--json <file>', 'write the results')
  .option('--compare <file>', 'show what moved against results written before')
  .option('--code <folder>', 'write the machine code of each kernel')
  .option('--failures <file>', 'write what misses a condition, as test/isa/known.json holds it')
  .option('--markdown', 'only an overview of the chips, as docs/ has it')
  .parse()
  .opts<Options>();

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}

/** What an earlier run wrote with --json. */
function readSaved(path: string): SavedReport[] {
  try {
    const read = JSON.parse(readFileSync(path, 'utf8')) as { chips?: SavedReport[] };
    if (Array.isArray(read.chips)) return read.chips;
    return fail(`--compare: ${path} is no result of this tool · write one with --json`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return fail(`--compare: ${path} cannot be read: ${reason} · write one with --json`);
  }
}

function writeCode(folder: string, { chip, disassembly }: ChipReport): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of disassembly)
    writeFileSync(join(folder, `${chip.name} ${shortName(name)}.txt`), text);
}

const missing = whatIsMissing();
if (missing !== null) fail(missing);
// Before seconds of compiling.
const before = options.compare === undefined ? null : readSaved(options.compare);

const show = (data: TableData): void => console.log(`${textTable(data)}\n`);
const reports: ChipReport[] = [];
for (const chip of chips.filter(({ name }) => options.chip === undefined || name === options.chip)) {
  const report = await compileFor(chip, options.filter);
  reports.push(report);
  if (options.code !== undefined) writeCode(options.code, report);
  if (options.markdown === true || before !== null) continue;
  console.log(`${chip.name} (${chip.architecture}, ${chip.card}) · ${report.adapter}\n`);
  show(kernelTable(report));
  if (report.jobs.length > 0) show(jobTable(report));
}

const failures = reports.flatMap(({ chip, kernels }) => failuresOf(chip.name, kernels));
if (options.markdown === true) {
  for (const table of [jobOverviewTable(reports), overviewTable(reports)])
    console.log(`${markdownTable(table)}\n`);
} else if (before === null) {
  for (const failure of failures) console.log(failureLine(failure));
}
if (options.failures !== undefined) {
  const known: KnownFailures = { driver: driverOf(reports[0]!.adapter), failures: failures.map(failureLine) };
  writeFileSync(options.failures, `${JSON.stringify(known, null, 2)}\n`);
}
const saved = reports.map(savedReport);
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify({ chips: saved }, null, 2)}\n`);
if (before !== null) {
  const moved = comparison(before, saved);
  if (moved === null) console.log('nothing moved');
  else show(moved);
}
