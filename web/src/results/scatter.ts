/** Predicted values beside their labels, as a scatter plot. */
import { h } from '../parts/dom.ts';
import { formatNumber } from '../parts/format.ts';

/** More points would only cover each other. */
const MOST = 1000;
const SIZE = 100;
const NAMESPACE = 'http://www.w3.org/2000/svg';

/** From values to 0 … `SIZE`, the same for both axes, so that right predictions lie on the diagonal. */
export function plotScale(points: readonly (readonly [number, number])[]): {
  low: number;
  high: number;
  place(value: number): number;
} {
  const values = points.flat();
  const low = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const high = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return { low, high, place: (value) => (SIZE * (value - low)) / (high - low || 1) };
}

function shape(name: string, attributes: Readonly<Record<string, string | number>>): SVGElement {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, `${value}`);
  return element;
}

export function scatterView(points: readonly (readonly [label: number, value: number])[]): HTMLElement {
  const shown = points.slice(0, MOST);
  const { low, high, place } = plotScale(shown);
  const range = `${formatNumber(low)} to ${formatNumber(high)}`;
  const plot = shape('svg', {
    viewBox: `-4 -4 ${SIZE + 8} ${SIZE + 8}`,
    role: 'img',
    'aria-label': `Predicted values by labels, both from ${range}; the diagonal is right`,
  });
  plot.append(
    shape('rect', { class: 'frame', x: 0, y: 0, width: SIZE, height: SIZE }),
    shape('line', { class: 'diagonal', x1: 0, y1: SIZE, x2: SIZE, y2: 0 }),
    ...shown.map(([label, value]) =>
      shape('circle', { class: 'point', cx: place(label), cy: SIZE - place(value), r: 1.4 }),
    ),
  );
  return h(
    'figure',
    { class: 'scatter' },
    h('figcaption', {}, 'Predicted (up) by label (right)', h('small', { class: 'hint' }, `Both ${range}.`)),
    plot as unknown as HTMLElement,
  );
}
