/**
 * Reports in one command and a few minutes what a card is, whether the engine computes correctly on it, and
 * how fast.
 *
 *     npm run report [-- --minutes 8] [-- --python python3] [-- --adapter gpu]
 *     npm run report [-- --kernels gpu] [-- --output report]
 *
 * Writes `<output>/<adapter>.json`, `.html` and `.md` after every part, so that a report that is cut off
 * keeps its findings.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError, Option } from 'commander';
import {
  noResults,
  PARTS,
  type PartName,
  type PartOutcome,
  type Report,
  type ReportOptions,
} from './data.ts';
import { cardName, htmlReport, markdownReport } from './page.ts';
import { runPart } from './supervise.ts';

interface Options extends ReportOptions {
  minutes: number;
  output: string;
}

function readMinutes(text: string): number {
  const minutes = Number(text);
  if (!(minutes >= 1 && minutes <= 600)) throw new InvalidArgumentError('It must be a number from 1 to 600.');
  return minutes;
}

const root = fileURLToPath(new URL('../../', import.meta.url));

function commit(): string | undefined {
  try {
    const git = (...words: string[]): string =>
      execFileSync('git', words, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') === '' ? '' : ', changed'}`;
  } catch {
    // A copy without git: tools/pack-portable.sh records the commit.
    const noted = join(root, '.commit');
    return existsSync(noted) ? readFileSync(noted, 'utf8').trim() : undefined;
  }
}

function write(report: Report, folder: string): string {
  mkdirSync(folder, { recursive: true });
  const name = cardName(report)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
  const files = {
    json: `${JSON.stringify(report, null, 2)}\n`,
    html: htmlReport(report),
    md: markdownReport(report),
  };
  const base = join(folder, name);
  for (const [ending, text] of Object.entries(files)) {
    writeFileSync(`${base}.${ending}.new`, text);
    renameSync(`${base}.${ending}.new`, `${base}.${ending}`);
  }
  return base;
}

/** One line for a finished part. */
function summary({ part, state, seconds, reason, leftOut }: PartOutcome): string {
  const why = state === 'done' || reason === undefined ? '' : `: ${reason}`;
  return [
    `${part.padEnd(14)}${state}, ${seconds.toFixed(0)} s${why}`,
    ...leftOut.map((what) => `  left out: ${what}`),
  ].join('\n');
}

/** The command as typed, without this machine's paths. */
function commandOf({ minutes, adapter, kernels, python }: Options): string {
  const words = { minutes, adapter, kernels, python: python && basename(python) };
  return `npm run report --${Object.entries(words)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` --${name} ${value}`)
    .join('')}`;
}

async function main(): Promise<void> {
  const options = new Command('report')
    .description('report of the card at hand: correctness, speed, tuning; nothing is sent anywhere')
    .option('--minutes <n>', 'how long it may take', readMinutes, 8)
    .option(
      '--python <python>',
      'a Python with torch and transformers, to compare with PyTorch on the same card',
    )
    .option('--adapter <name>', 'as for the dawngrad command')
    .addOption(
      new Option('--kernels <family>', 'those for the other kind of adapter').choices(['cpu', 'gpu']),
    )
    .option('--output <folder>', 'where the report goes', 'report')
    .parse()
    .opts<Options>();
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const at = commit();
  const report: Report = {
    dawngrad: version,
    ...(at !== undefined && { commit: at }),
    date: new Date().toISOString(),
    command: commandOf(options),
    minutes: options.minutes,
    parts: [],
    results: noResults(),
  };
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interruption.abort());
  const end = Date.now() + 60_000 * options.minutes;
  const names = Object.keys(PARTS) as PartName[];
  let base = '';
  for (const [i, part] of names.entries()) {
    if (interruption.signal.aborted) break;
    // Time that earlier parts did not use goes to later ones; so does PyTorch's share if it is not requested.
    const shares = names
      .slice(i)
      .map((name) => (name === 'PyTorch' && options.python === undefined ? 1 : PARTS[name]));
    const total = shares.reduce((sum, share) => sum + share, 0);
    const seconds = ((end - Date.now()) / 1000) * (shares[0]! / total);
    const { adapter, kernels, python } = options;
    const outcome = await runPart({
      part,
      options: {
        ...(adapter !== undefined && { adapter }),
        ...(kernels !== undefined && { kernels }),
        ...(python !== undefined && { python }),
      },
      results: report.results,
      seconds,
      signal: interruption.signal,
    });
    report.parts.push(outcome);
    console.log(summary(outcome));
    base = write(report, options.output);
  }
  console.log(`\nwritten: ${base}.json, .html (pictures), .md (a page for docs/hardware/)`);
  process.exitCode = interruption.signal.aborted ? 130 : 0;
}

await main();
