/** The report of a card: a failing part is named and does not affect the others, and results are drawn. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addResults, noResults, PARTS, type Report } from '../../bench/report/data.ts';
import { htmlReport, markdownReport } from '../../bench/report/page.ts';
import { runPart } from '../../bench/report/supervise.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dawngrad-report-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The environment of a terminal, without the marks of the tests' own runner. */
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/VITEST/.test(name)));

async function runReport(...options: string[]): Promise<{ report: Report; stdout: string; files: string[] }> {
  const output = mkdtempSync(join(folder, 'report-'));
  const program = ['--import', 'tsx', 'bench/report/main.ts', '--output', output, ...options];
  const { stdout } = await promisify(execFile)(process.execPath, program, { env: environment });
  const files = readdirSync(output).sort();
  const json = files.find((name) => name.endsWith('.json'))!;
  return { report: JSON.parse(readFileSync(join(output, json), 'utf8')) as Report, stdout, files };
}

it('names every part that fails, and writes all files', async () => {
  // More minutes than any part needs on the slowest machine.
  const { report, stdout, files } = await runReport('--minutes', '60', '--adapter', 'no such card');
  expect(files).toEqual(['html', 'json', 'md'].map((ending) => `unknown-adapter.${ending}`));
  expect(report.parts.map(({ part }) => part)).toEqual(Object.keys(PARTS));
  const { state, reason } = report.parts[0]!;
  expect([state, reason]).toEqual(['failed', expect.stringContaining("no WebGPU adapter 'no such card'")]);
  expect(stdout).toContain("no WebGPU adapter 'no such card'");
  const page = readFileSync(join(folder, readdirSync(folder)[0]!, 'unknown-adapter.md'), 'utf8');
  expect(page).toContain("adapter: failed, no WebGPU adapter 'no such card'");
  expect(page).toContain('- PyTorch: left out: no Python was named');
});

it('ends a part whose time is over', async () => {
  const results = noResults();
  const outcome = await runPart({
    part: 'adapter',
    options: { adapter: 'null' },
    results,
    seconds: 0.01,
    signal: new AbortController().signal,
  });
  expect(outcome).toMatchObject({ part: 'adapter', state: 'cut off', reason: 'its 0 s were over' });
});

it('tells what the adapter is', async () => {
  const results = noResults();
  const { signal } = new AbortController();
  const outcome = await runPart({ part: 'adapter', options: {}, results, seconds: 600, signal });
  expect(outcome).toMatchObject({ state: 'done', leftOut: [] });
  const { description, limits, host, features } = results.adapter!;
  expect(description).not.toBe('');
  expect(limits.maxStorageBufferBindingSize).toBeGreaterThan(1e6);
  expect(host.node).toBe(process.version);
  expect(features).toContain('core-features-and-limits');
});

describe('the page', () => {
  const timing = { median: 0.02, low: 0.019, high: 0.021, samples: 9 };
  const report: Report = {
    dawngrad: '1.2.3',
    date: '2026-01-02T03:04:05.000Z',
    command: 'npm run report -- --minutes 8',
    minutes: 8,
    parts: [
      { part: 'adapter', state: 'done', seconds: 1, leftOut: [] },
      { part: 'jobs', state: 'cut off', seconds: 9, reason: 'its 9 s were over', leftOut: ['<two> | more'] },
    ],
    results: noResults(),
  };
  addResults(report.results, {
    adapter: {
      description: 'card-x · Driver: 1',
      device: 'card-x-',
      software: false,
      info: { vendor: 'x' },
      features: ['shader-f16'],
      limits: { maxBufferSize: 1024 },
      matrices: ['f16 → f32 16×16×16'],
      host: { node: 'v20' },
    },
    tests: [
      { group: 'ops', name: 'add', state: 'passed', seconds: 0.1 },
      { group: 'ops', name: 'mul', state: 'failed', seconds: 0.1, error: 'expected 1 to be 2' },
    ],
    units: [{ technique: 'matmul_subgroup_matrix', sides: 'A Bᵀ', right: false }],
    kernels: [{ family: 'softmax', name: '2×3', timing, gpu: 0.01, rate: 5e10, unit: 'bytes', share: 0.25 }],
    tuned: [
      {
        class: 'c',
        ...{ m: 64, n: 32, k: 16, transposeA: false, transposeB: true, dtype: 'float32' },
        usual: 'matmul_tiled ROWS=64',
        times: [
          { technique: 'matmul_tiled ROWS=128', seconds: 1e-3 },
          { technique: 'matmul_tiled ROWS=64', seconds: 2e-3 },
        ],
        wrong: [],
      },
    ],
  });

  it('in Markdown says what failed, and shows every table', () => {
    const page = markdownReport(report);
    expect(page).toContain('# card-x\n\ncard-x · Driver: 1 · 2026-01-02T03:04:05.000Z · dawngrad 1.2.3');
    expect(page).toContain('- **jobs: cut off, its 9 s were over**\n- jobs: left out: <two> | more');
    expect(page).toContain('- **ops: mul: expected 1 to be 2**');
    expect(page).toContain('- **multiplies wrong on matrix units: matmul_subgroup_matrix, A Bᵀ**');
    expect(page).toContain('| ops | 1 | 1 | 0 | 200.00 ms |');
    expect(page).toContain('| 2×3 | 20.00 ms | ± 5 % | 10.00 ms | 50.0 GB/s | 25 % |');
    expect(page).toContain(
      '| A·Bᵀ 64×32×16 | tiled ROWS=64 | 32.8 MFLOP/s | tiled ROWS=128 | 65.5 MFLOP/s | 2.00 × |',
    );
    expect(page).toContain('| maxBufferSize | 1,024 |');
  });

  it('in HTML draws bars, and takes no text for markup', () => {
    const page = htmlReport(report);
    expect(page).toContain('<div class="plain" style="width:25.0%"></div>');
    expect(page).toContain('jobs: left out: &lt;two&gt; | more');
    expect(page).not.toContain('<two>');
  });
});
