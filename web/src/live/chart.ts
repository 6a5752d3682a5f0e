/** A chart of curves over steps, drawn by uPlot in the page's colors. */
import UPlot from 'uplot';
import { h } from '../parts/dom.ts';
import { formatNumber } from '../parts/format.ts';

export interface Series {
  name: string;
  /** A CSS variable. */
  color: string;
  /** `sparse`: a dashed line with points; `faint`: a thin line. Color is not all that tells curves apart. */
  weight?: 'sparse' | 'faint';
}

export interface ChartOptions {
  title: string;
  series: readonly Series[];
  /** Of the values; default: what they need. */
  range?: [number, number];
}

export type Columns = readonly (readonly (number | null)[])[];

export interface Chart {
  element: HTMLElement;
  /** Steps, then the values of each series; `steps` is the last step of the training. */
  draw(columns: Columns, steps: number): void;
}

const HEIGHT = 190;
const LEAST_WIDTH = 200;

export function chart({ title, series, range }: ChartOptions): Chart {
  const plot = h('div', { class: 'plot', role: 'img' });
  const element = h(
    'figure',
    { class: 'chart' },
    h(
      'figcaption',
      {},
      h('strong', {}, title),
      ...series.map(({ name, color, weight = '' }) =>
        h('span', { class: `key ${weight}`, style: `--key: var(${color})` }, name),
      ),
    ),
    plot,
  );
  let drawn: UPlot | null = null;
  let columns: Columns = [[], ...series.map(() => [])];
  let last = 1;

  const data = (): UPlot.AlignedData => columns as UPlot.AlignedData;
  const make = (): void => {
    drawn?.destroy();
    const width = Math.max(plot.clientWidth, LEAST_WIDTH);
    const scales = { x: () => [0, last] as [number, number], y: range };
    drawn = new UPlot(optionsOf(series, width, scales), data(), plot);
  };
  const resize = (): void => {
    if (drawn !== null && plot.clientWidth > 0) drawn.setSize({ width: plot.clientWidth, height: HEIGHT });
  };
  new ResizeObserver(resize).observe(plot);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => drawn !== null && make());
  return {
    element,
    draw(values, steps) {
      columns = values;
      last = steps;
      plot.setAttribute('aria-label', described(title, series, values));
      if (drawn === null) make();
      else drawn.setData(data());
    },
  };
}

/** The latest value of each series, in words. */
function described(title: string, series: readonly Series[], [steps, ...values]: Columns): string {
  const parts = series.flatMap(({ name }, at) => {
    const last = values[at]?.findLast((value) => value !== null);
    return last === undefined || last === null ? [] : [`${name} ${formatNumber(last)}`];
  });
  return `${title} by step, up to step ${steps?.at(-1) ?? 0}: ${parts.join(', ') || 'nothing yet'}`;
}

interface Scales {
  x: () => [number, number];
  y: [number, number] | undefined;
}

function optionsOf(series: readonly Series[], width: number, { x, y }: Scales): UPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const value = (name: string): string => style.getPropertyValue(name).trim();
  const axis = {
    stroke: value('--muted'),
    grid: { stroke: value('--line'), width: 1 },
    ticks: { show: false },
    font: `12px ${value('--font')}`,
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false, range: x }, y: y === undefined ? { range: fromZero } : { range: y } },
    axes: [
      { ...axis, size: 28 },
      { ...axis, size: 48 },
    ],
    series: [
      {},
      ...series.map(({ name, color, weight }) => ({
        label: name,
        stroke: value(color),
        width: weight === 'faint' ? 1 : 2,
        alpha: weight === 'faint' ? 0.45 : 1,
        spanGaps: true,
        points: { show: weight === 'sparse', size: 7, fill: value(color) },
        ...(weight === 'sparse' && { dash: [6, 4] }),
      })),
    ],
  };
}

/** Losses have no sign: their axis begins at zero. */
const fromZero = (_: UPlot, low: number | null, high: number | null): [number, number] => [
  Math.min(0, low ?? 0),
  (high ?? 1) * 1.05,
];
