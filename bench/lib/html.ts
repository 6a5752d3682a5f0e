/** The results as one HTML file that needs nothing else: tables, and bars drawn by their cells' backgrounds. */
import type { BenchResult } from '../main.ts';
import type { PeerResult } from '../peers/results.ts';
import { jobShare, percent, relation, scaled, spread, time } from './report.ts';

const style = `
:root { color-scheme: light dark; --bar: #4c78a8; --own: #f58518; --line: #8884; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem } h3 { font-size: 1rem; margin: 1.2rem 0 .3rem }
p { margin: .3rem 0; opacity: .8 }
table { border-collapse: collapse; width: 100% }
th, td { text-align: right; white-space: nowrap; padding: .15rem .6rem; border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums }
th:first-child, td:first-child { text-align: left; width: 18rem }
td.bar { width: 35%; min-width: 8rem; text-align: left; padding: .15rem 0 }
td.bar div { height: .9rem; min-width: 1px; background: var(--bar); border-radius: 0 2px 2px 0 }
td.bar div.own { background: var(--own) }
`;

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (sign) => entities[sign]!);
}

interface Bar {
  /** From 0 to 1. */
  share: number;
  own?: boolean;
}

type Cell = string | Bar;

function cell(content: Cell): string {
  if (typeof content === 'string') return `<td>${escapeHtml(content)}</td>`;
  const width = (100 * Math.min(1, Math.max(0, content.share))).toFixed(1);
  return `<td class="bar"><div${content.own === true ? ' class="own"' : ''} style="width:${width}%"></div></td>`;
}

function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const top = head.map((name) => `<th>${escapeHtml(name)}</th>`).join('');
  const body = rows.map((row) => `<tr>${row.map(cell).join('')}</tr>`).join('\n');
  return `<table><thead><tr>${top}</tr></thead><tbody>\n${body}\n</tbody></table>`;
}

function ceilings({ ceilings: c }: BenchResult): string {
  const rows: [string, string][] = [
    ['f32 multiply-adds from registers', `${scaled(c.fma)}FLOP/s`],
    ...(c.fmaHalf === null
      ? []
      : ([['f16 multiply-adds from registers', `${scaled(c.fmaHalf)}FLOP/s`]] as [string, string][])),
    ...c.matrices.map(({ component, rate }): [string, string] => [
      `${component} products on matrix units`,
      `${scaled(rate)}FLOP/s`,
    ]),
    ['copy, read and written', `${scaled(c.bandwidth)}B/s`],
    ['a dispatch, host', time(c.dispatchHost)],
    ['a dispatch, to its end', time(c.dispatchTotal)],
    ['upload', `${scaled(c.upload)}B/s`],
    ['read-back', `${scaled(c.readback)}B/s`],
  ];
  return `<h2>What the adapter can do at most</h2>${table(['', ''], rows)}`;
}

function kernels({ kernels: results }: BenchResult): string {
  if (results.length === 0) return '';
  const families = [...new Set(results.map(({ family }) => family))];
  const parts = families.map((family) => {
    const rows = results
      .filter((result) => result.family === family)
      .map(({ name, timing, gpu, share }): Cell[] => [
        name,
        time(timing.median),
        `± ${percent(spread(timing))}`,
        gpu === null ? '' : time(gpu),
        percent(share),
        { share },
      ]);
    return `<h3>${escapeHtml(family)}</h3>${table(['', 'median', 'spread', 'on the GPU', 'of the ceiling', ''], rows)}`;
  });
  return `<h2>Kernels, as shares of the ceiling that bounds them</h2>${parts.join('\n')}`;
}

function host({ host: results }: BenchResult): string {
  if (results.length === 0) return '';
  const rows = results.map(({ job, dispatches, host: timing }): Cell[] => [
    job,
    dispatches.toFixed(0),
    time(timing.median),
    `± ${percent(spread(timing))}`,
    time(timing.median / dispatches),
  ]);
  const head = ['', 'dispatches', 'a step', 'spread', 'a dispatch'];
  return `<h2>What recording a step costs the host, where nothing is computed</h2>${table(head, rows)}`;
}

function jobs({ jobs: results, ceilings }: BenchResult): string {
  if (results.length === 0) return '';
  const rows = results.map((r): Cell[] => {
    const share = jobShare(r, ceilings);
    return [
      `${r.job} ${r.batch}×${r.length}`,
      time(r.timing.median),
      `± ${percent(spread(r.timing))}`,
      Math.round(r.tokensPerSecond).toLocaleString('en-US'),
      r.dispatches.toFixed(0),
      percent(share),
      { share },
    ];
  });
  const head = ['', 'step', 'spread', 'tokens/s', 'dispatches', 'of the ceiling', ''];
  return `<h2>Jobs; the rate of their matrix products as a share of the ceiling</h2>${table(head, rows)}`;
}

function peerRows(results: readonly PeerResult[]): Cell[][] {
  const longest = Math.max(...results.map(({ timing }) => timing?.median ?? 0));
  return results.map(({ library, timing, ratio, error }, i) =>
    timing === undefined || ratio === undefined
      ? [library, 'failed', '', error ?? '', { share: 0 }]
      : [
          library,
          time(timing.median),
          `± ${percent(spread(timing))}`,
          i === 0 ? '' : relation(ratio),
          { share: timing.median / longest, own: i === 0 },
        ],
  );
}

function peers({ peers: made }: BenchResult): string {
  if (made === undefined || made.results.length === 0) return '';
  const names = [...new Set(made.results.map(({ job }) => job))];
  const parts = names.map((name) => {
    const rows = peerRows(made.results.filter(({ job }) => job === name));
    return `<h3>${escapeHtml(name)}</h3>${table(['', 'median', 'spread', 'against ours', ''], rows)}`;
  });
  const versions = Object.entries(made.versions).map(([name, version]) => `${name} ${version}`);
  return `<h2>The same work in other libraries: time, shorter is better</h2>
<p>${escapeHtml(versions.join(' · '))}</p>${parts.join('\n')}`;
}

export function htmlReport(result: BenchResult): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>dawngrad bench</title>
<style>${style}</style>
<h1>dawngrad bench</h1>
<p>${escapeHtml(result.adapter)} · ${escapeHtml(result.date)}</p>
${ceilings(result)}
${kernels(result)}
${host(result)}
${jobs(result)}
${peers(result)}
</html>
`;
}
