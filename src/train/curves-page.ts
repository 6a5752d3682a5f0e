/** The curves of a training as one page of HTML that loads nothing. */
import { platform } from '#platform';
import type { CallbackContext, TrainerCallback } from './callbacks.ts';
import { isTiming } from './metrics.ts';
import type { LogEntry } from './state.ts';

const [WIDTH, HEIGHT, MARGIN] = [460, 220, 40];
const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (one) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[one]!);
const short = (value: number): string => String(Number(value.toPrecision(4)));

interface Curve {
  name: string;
  points: [step: number, value: number][];
}

function curvesOf(log: readonly LogEntry[]): Map<string, Curve[]> {
  const charts = new Map<string, Map<string, Curve>>();
  for (const entry of log)
    for (const [name, value] of Object.entries(entry)) {
      // Measures of time say nothing about learning.
      if (isTiming(name) || typeof value !== 'number') continue;
      // Training and evaluation of one measure share a chart.
      const chart = name.replace(/^eval_/, '');
      const curves = charts.get(chart) ?? new Map<string, Curve>();
      charts.set(chart, curves);
      const curve = curves.get(name) ?? { name, points: [] };
      curves.set(name, curve);
      curve.points.push([Number(entry.step ?? 0), value]);
    }
  return new Map([...charts].map(([name, curves]) => [name, [...curves.values()]]));
}

const COLORS = ['#2563eb', '#dc2626'];

function chart(title: string, curves: readonly Curve[]): string {
  const points = curves.flatMap((curve) => curve.points);
  const range = (at: 0 | 1): [number, number] => {
    const values = points.map((point) => point[at]);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return low === high ? [low - 0.5, high + 0.5] : [low, high];
  };
  const [[x0, x1], [y0, y1]] = [range(0), range(1)];
  const x = (step: number): string => (MARGIN + ((step - x0) / (x1 - x0)) * (WIDTH - MARGIN - 10)).toFixed(1);
  const y = (value: number): string =>
    (HEIGHT - MARGIN - ((value - y0) / (y1 - y0)) * (HEIGHT - MARGIN - 30)).toFixed(1);
  const lines = curves.map(({ name, points: own }, at) => {
    const color = COLORS[at % COLORS.length]!;
    const path = own.map(([step, value]) => `${x(step)},${y(value)}`).join(' ');
    const dots = own.map(
      ([step, value]) =>
        `<circle cx="${x(step)}" cy="${y(value)}" r="2.5" fill="${color}"><title>${escaped(name)} ${short(value)} at step ${step}</title></circle>`,
    );
    return `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="1.5"/>${dots.join('')}
<text x="${WIDTH - 10}" y="${20 + 14 * at}" text-anchor="end" fill="${color}">${escaped(name)}</text>`;
  });
  const bottom = HEIGHT - MARGIN;
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}">
<text x="${MARGIN}" y="20" font-weight="bold">${escaped(title)}</text>
<path d="M${MARGIN} 30V${bottom}H${WIDTH - 10}" fill="none" stroke="#999"/>
<text x="${MARGIN - 4}" y="34" text-anchor="end">${short(y1)}</text><text x="${MARGIN - 4}" y="${bottom}" text-anchor="end">${short(y0)}</text>
<text x="${MARGIN}" y="${bottom + 16}">${short(x0)}</text><text x="${WIDTH - 10}" y="${bottom + 16}" text-anchor="end">step ${short(x1)}</text>
${lines.join('\n')}
</svg>`;
}

/** A page with a chart for each measure of the log. Shows training and evaluation of a measure together. */
export function curvesPage(log: readonly LogEntry[]): string {
  const charts = [...curvesOf(log)].map(([name, curves]) => chart(name, curves));
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Training curves</title>
<style>body{font:12px system-ui,sans-serif;margin:16px;display:grid;gap:16px;grid-template-columns:repeat(auto-fill,minmax(340px,1fr))}svg{width:100%;border:1px solid #ddd;border-radius:4px}</style>
${charts.join('\n')}
</html>
`;
}

/** Writes `curves.html` into the output folder at the end of a training. */
export class CurvesCallback implements TrainerCallback {
  async onTrainEnd({ args, state }: CallbackContext): Promise<void> {
    await platform.writeFolder(args.outputDir, 'merge', (folder) =>
      folder.writeText('curves.html', curvesPage(state.logHistory)),
    );
  }
}
