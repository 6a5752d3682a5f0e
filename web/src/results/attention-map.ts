/** Draws weights of attention on a canvas. */
import { h, onNextFrame } from '../parts/dom.ts';
import { cellAt, largestSide, type MapLayout, mapLayout } from './attention-rows.ts';

const FONT_PX = 11;

export interface AttentionMap {
  element: HTMLElement;
  /** Weights [tokens, tokens]; `row` is marked. */
  draw(weights: Float32Array, row: number): void;
}

/** A map of tokens by their names; `onPick` gets the row of a click. */
export function attentionMap(names: readonly string[], onPick: (row: number) => void): AttentionMap {
  const canvas = h('canvas', {
    style: `max-width: ${largestSide(names.length)}px`,
    role: 'img',
    'aria-label': 'Map of attention: a row for each token that looks, a column for each that is seen',
  });
  const element = h(
    'figure',
    { class: 'attention-map' },
    canvas,
    h(
      'figcaption',
      { class: 'hint' },
      'Rows look at columns: the stronger the color, the more. Click a row, or choose its token.',
    ),
  );
  let state: { weights: Float32Array; row: number } | null = null;
  let layout: MapLayout | null = null;
  const paint = onNextFrame(() => {
    if (state === null || !element.isConnected) return;
    layout = paintMap(canvas, names, state.weights, state.row);
  });
  new ResizeObserver(paint).observe(element);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', paint);
  canvas.addEventListener('click', ({ offsetX, offsetY }) => {
    const cell = layout && cellAt(layout, names.length, offsetX, offsetY);
    if (cell) onPick(cell.row);
  });
  return {
    element,
    draw(weights, row) {
      state = { weights, row };
      paint();
    },
  };
}

function paintMap(
  canvas: HTMLCanvasElement,
  names: readonly string[],
  weights: Float32Array,
  marked: number,
): MapLayout {
  const side = canvas.clientWidth;
  const ratio = devicePixelRatio;
  canvas.width = canvas.height = Math.round(side * ratio);
  const context = canvas.getContext('2d')!;
  context.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const color = (name: string) => style.getPropertyValue(name);
  context.font = `${FONT_PX}px ${style.fontFamily}`;
  const widest = Math.max(...names.map((name) => context.measureText(name).width));
  const layout = mapLayout(names.length, side, widest);
  const { cell, origin, named } = layout;
  context.fillStyle = color('--sunken');
  context.fillRect(origin, origin, side - origin, side - origin);
  context.fillStyle = color('--series-1');
  for (const [at, weight] of weights.entries()) {
    // The root shows small weights too.
    context.globalAlpha = Math.sqrt(weight);
    const [x, y] = [at % names.length, Math.floor(at / names.length)];
    context.fillRect(origin + x * cell, origin + y * cell, cell, cell);
  }
  context.globalAlpha = 1;
  context.strokeStyle = color('--series-2');
  context.lineWidth = 2;
  context.strokeRect(origin + 1, origin + marked * cell, side - origin - 2, cell);
  if (named) paintNames(context, names, layout, color('--text'));
  return layout;
}

/** Names beside the rows, and turned above the columns. */
function paintNames(
  context: CanvasRenderingContext2D,
  names: readonly string[],
  { cell, origin }: MapLayout,
  color: string,
): void {
  context.fillStyle = color;
  context.textBaseline = 'middle';
  const room = origin - 6;
  for (const [at, name] of names.entries()) {
    const middle = origin + (at + 0.5) * cell;
    context.textAlign = 'right';
    context.fillText(name, room + 2, middle, room);
    context.save();
    context.translate(middle, room + 2);
    context.rotate(-Math.PI / 2);
    context.textAlign = 'left';
    context.fillText(name, 0, 0, room);
    context.restore();
  }
}
