/** Builds the report's sections, rendered as a Markdown page for `docs/hardware/` and as HTML. */

import { type JobResult, jobName } from '../jobs.ts';
import { htmlPage, isEmpty, type Section } from '../lib/html.ts';
import { bar, markdownTable, type TableData } from '../lib/table.ts';
import {
  ceilingSection,
  jobSections,
  kernelSection,
  peerSection,
  percent,
  scaled,
  shortVariant,
  time,
} from '../lib/tables.ts';
import type { PartOutcome, Report, TestOutcome, TunedClass, UnitOutcome } from './data.ts';

function pairs(entries: Readonly<Record<string, unknown>>, head: [string, string]): TableData {
  return {
    head,
    rows: Object.entries(entries).map(([name, value]) => [
      name,
      typeof value === 'number' ? value.toLocaleString('en-US') : String(value),
    ]),
  };
}

function partsSection(parts: readonly PartOutcome[]): Section {
  return {
    title: 'Parts',
    notes: parts.flatMap(({ part, state, reason, leftOut }) => [
      ...(state === 'done' || reason === undefined ? [] : [{ bad: `${part}: ${state}, ${reason}` }]),
      ...leftOut.map((what) => `${part}: left out: ${what}`),
    ]),
    tables: [
      {
        data: {
          head: ['part', 'outcome', 'time'],
          rows: parts.map(({ part, state, seconds }) => [part, state, time(seconds)]),
        },
      },
    ],
  };
}

function adapterSection({ adapter }: Report['results']): Section {
  if (adapter === undefined) return { title: 'Adapter', tables: [] };
  const { info, host, features, limits, matrices } = adapter;
  return {
    title: 'Adapter',
    notes: [`matrix configurations: ${matrices.join(', ') || 'none'}`, `features: ${features.join(', ')}`],
    tables: [
      { data: pairs({ ...info, ...host }, ['adapter and machine', '']) },
      { data: pairs(limits, ['limit', '']) },
    ],
  };
}

function testsSection(tests: readonly TestOutcome[], units: readonly UnitOutcome[]): Section {
  const groups = [...new Set(tests.map(({ group }) => group))];
  const count = (group: string, state: TestOutcome['state']): string =>
    String(tests.filter((test) => test.group === group && test.state === state).length);
  const wrong = units.filter(({ right }) => !right);
  return {
    title: 'Correctness, with the kernels for GPUs',
    notes: [
      ...tests
        .filter(({ state }) => state === 'failed')
        .map(({ group, name, error }) => ({ bad: `${group}: ${name}: ${error}` })),
      ...wrong.map(({ technique, sides }) => ({
        bad: `multiplies wrong on matrix units: ${technique}, ${sides}`,
      })),
      ...(units.length === 0
        ? []
        : [`matrix units: ${units.length - wrong.length} of ${units.length} products exact`]),
    ],
    tables:
      groups.length === 0
        ? []
        : [
            {
              data: {
                head: ['tests', 'passed', 'failed', 'skipped', 'time'],
                rows: groups.map((group) => [
                  group,
                  ...(['passed', 'failed', 'skipped'] as const).map((state) => count(group, state)),
                  time(tests.reduce((sum, test) => sum + (test.group === group ? test.seconds : 0), 0)),
                ]),
              },
            },
          ],
  };
}

/** A technique's name without the words that all share. */
const short = (technique: string): string => shortVariant(technique).replace(/^matmul_/, '');

function tuningSection(tuned: readonly TunedClass[]): Section {
  return {
    title: 'What dawngrad tune chooses',
    notes: tuned.flatMap(({ wrong }) =>
      wrong.map((technique) => ({ bad: `wrong on this adapter: ${technique}` })),
    ),
    tables:
      tuned.length === 0
        ? []
        : [
            {
              data: {
                head: ['product', 'usual', 'rate', 'fastest', 'rate', 'gain'],
                rows: tuned.map(tunedRow),
              },
            },
          ],
  };
}

function tunedRow({ m, n, k, transposeA, transposeB, dtype, usual, times }: TunedClass): string[] {
  const rate = (seconds: number | undefined): string =>
    seconds === undefined ? '' : `${scaled((2 * m * n * k) / seconds)}FLOP/s`;
  const [best] = times;
  const before = times.find(({ technique }) => technique === usual);
  const name = `${transposeA ? 'Aᵀ' : 'A'}·${transposeB ? 'Bᵀ' : 'B'} ${m}×${n}×${k}${dtype === 'float32' ? '' : ` ${dtype}`}`;
  const gain =
    before === undefined || best === undefined ? '' : `${(before.seconds / best.seconds).toFixed(2)} ×`;
  return [name, short(usual), rate(before?.seconds), short(best?.technique ?? ''), rate(best?.seconds), gain];
}

function tunedJobsSection(before: readonly JobResult[], after: readonly JobResult[]): Section {
  const rows = after.flatMap((result) => {
    const was = before.find((one) => jobName(one) === jobName(result));
    if (was === undefined) return [];
    const share = result.timing.median / was.timing.median;
    return [
      [
        jobName(result),
        time(was.timing.median),
        time(result.timing.median),
        percent(share),
        bar(share / 1.5),
      ],
    ];
  });
  return {
    title: 'The jobs again, tuned',
    tables:
      rows.length === 0 ? [] : [{ data: { head: ['a step of', 'before', 'tuned', 'of before', ''], rows } }],
  };
}

function sections({ parts, results }: Report): Section[] {
  const { tests, units, ceilings, kernels, jobs, tuned, tunedJobs, pytorch, versions } = results;
  return [
    partsSection(parts),
    testsSection(tests, units),
    ...(ceilings === undefined ? [] : [ceilingSection(ceilings)]),
    ...jobSections(jobs, ceilings),
    peerSection('The same jobs in PyTorch: time, shorter is better', pytorch, versions),
    tuningSection(tuned),
    tunedJobsSection(jobs, tunedJobs),
    kernelSection(kernels),
    adapterSection(results),
  ].filter((section) => !isEmpty(section));
}

/** The card's name, or a placeholder. */
export function cardName({ results: { adapter } }: Report): string {
  return adapter === undefined ? 'unknown adapter' : adapter.device.replace(/[\s-]+$/, '');
}

/** The heading lines: adapter, date, version, command. */
function lines(report: Report): string[] {
  const { adapter } = report.results;
  const version = `dawngrad ${report.dawngrad}${report.commit === undefined ? '' : ` at ${report.commit}`}`;
  return [`${adapter?.description ?? 'no adapter was opened'} · ${report.date} · ${version}`, report.command];
}

export function htmlReport(report: Report): string {
  return htmlPage(cardName(report), lines(report), sections(report));
}

export function markdownReport(report: Report): string {
  const [what, command] = lines(report);
  const body = sections(report).flatMap(({ title, notes = [], tables }) => [
    `## ${title}`,
    ...(notes.length === 0
      ? []
      : [notes.map((note) => `- ${typeof note === 'string' ? note : `**${note.bad}**`}`).join('\n')]),
    ...tables.flatMap(({ title: name, data }) => [
      ...(name === undefined || name === '' ? [] : [`### ${name}`]),
      markdownTable(data),
    ]),
  ]);
  return `${[`# ${cardName(report)}`, what, `\`${command}\``, ...body].join('\n\n')}\n`;
}
