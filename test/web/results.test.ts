/** What the views of a finished training decide. */
import { describe, expect, it } from 'vitest';
import type { Token } from '../../web/src/inspect/tokens.ts';
import {
  cellAt,
  headWeights,
  largestSide,
  MOST_NAMED,
  mapLayout,
  mostSeen,
} from '../../web/src/results/attention-rows.ts';
import { Latest } from '../../web/src/results/loading.ts';
import { matrixCells, mostConfused, ranked } from '../../web/src/results/ranking.ts';
import { plotScale } from '../../web/src/results/scatter.ts';
import { formatSigned, signWords, tintOf, told, weighedPieces } from '../../web/src/results/shares.ts';

const special = (name: string): Token => ({ name, part: null, start: 0, end: 0 });
const token = (name: string, start: number, part: 0 | 1 = 0): Token => ({
  name,
  part,
  start,
  end: start + name.length,
});

describe('shares of the pieces of a text', () => {
  const tokens = [special('[CLS]'), token('not', 0), token('bad', 4), special('[SEP]')];
  const pieces = weighedPieces(tokens, ['not bad'], [0.5, 3, -1.5, 0]);

  it('are parts of all, and of the weightiest', () => {
    expect(pieces.map(({ text, share, strength }) => [text, share, strength])).toEqual([
      ['[CLS]', 0.1, 0.5 / 3],
      ['not', 0.6, 1],
      [' ', null, 0],
      ['bad', -0.3, -0.5],
      ['[SEP]', 0, 0],
    ]);
  });

  it('are told in words', () => {
    expect(told(pieces, signWords(false), 1)).toBe('Most for it: not +60 %; most against it: bad −30 %.');
    expect(told(pieces.slice(0, 2), signWords(true), 9)).toBe('What raises it most: not +60 %, [CLS] +10 %.');
    expect(told(weighedPieces(tokens, ['not bad'], [0, 0, 0, 0]), signWords(false), 3)).toBe(
      'No token stands out.',
    );
  });

  it('are coloured by side, but faint ones', () => {
    expect(pieces.map(tintOf)).toEqual([
      { side: 'plus', percent: 8 },
      { side: 'plus', percent: 45 },
      { side: null, percent: 0 },
      { side: 'minus', percent: 23 },
      { side: null, percent: 0 },
    ]);
    expect(weighedPieces(tokens, ['not bad'], [1, 20, 0, 0]).map(({ share }) => share)).toContain(1 / 21);
    expect(tintOf(weighedPieces(tokens, ['not bad'], [1, 20, 0, 0])[0]!).side).toBeNull();
  });

  it('of tokens that share characters are summed', () => {
    const bytes = [token('é', 0), { ...token('é', 0), name: '©' }];
    expect(weighedPieces(bytes, ['é'], [2, -0.5])).toEqual([
      { text: 'é', tokens: [0, 1], part: 0, share: 1, strength: 1 },
    ]);
  });

  it.each([
    [0.123, '+12 %'],
    [-0.004, '−0 %'],
    [0, '+0 %'],
  ])('%d is %s', (share, text) => expect(formatSigned(share)).toBe(text));
});

describe('rankings', () => {
  it('of outputs', () => {
    expect(ranked(['a', 'b', 'c'], [0.2, 0.5, 0.3], 2)).toEqual([
      { name: 'b', value: 0.5 },
      { name: 'c', value: 0.3 },
    ]);
  });

  const confusion = [
    [8, 2, 0],
    [1, 0, 0],
    [0, 0, 0],
  ];

  it('of what is confused', () => {
    expect(mostConfused(confusion, ['a', 'b', 'c'], 5)).toEqual([
      { label: 'a', predicted: 'b', rows: 2, share: 0.2 },
      { label: 'b', predicted: 'a', rows: 1, share: 1 },
    ]);
    expect(mostConfused(confusion, ['a', 'b', 'c'], 1)).toHaveLength(1);
  });

  it('shade cells by their share of the class', () => {
    const cells = matrixCells(confusion);
    expect(cells[0]).toEqual([
      { rows: 8, right: true, share: 0.8, percent: 36 },
      { rows: 2, right: false, share: 0.2, percent: 9 },
      { rows: 0, right: false, share: 0, percent: 0 },
    ]);
    // A class without rows.
    expect(cells[2]!.map(({ percent }) => percent)).toEqual([0, 0, 0]);
  });
});

describe('attention', () => {
  const weights = Float32Array.of(0.5, 0.5, 0.25, 0.75, 1, 0, 0.75, 0.25);
  const tokens = [special('[CLS]'), token('word', 0)];

  it('of a head, and the mean of all', () => {
    expect([...headWeights(weights, 2, 2, 1)]).toEqual([1, 0, 0.75, 0.25]);
    expect([...headWeights(weights, 2, 2, null)]).toEqual([0.75, 0.25, 0.5, 0.5]);
  });

  it('of a token, the most first', () => {
    const head = headWeights(weights, 2, 2, 0);
    expect(mostSeen(head, tokens, 1, 2)).toEqual([
      { token: 'word', at: 1, weight: 0.75 },
      { token: '[CLS]', at: 0, weight: 0.25 },
    ]);
    expect(mostSeen(head, tokens, 1, 1)).toHaveLength(1);
  });

  it('has a map with names where there is room', () => {
    expect(mapLayout(10, 440, 32)).toEqual({ cell: 40, origin: 40, named: true });
    expect(mapLayout(MOST_NAMED + 1, 4100, 32)).toEqual({ cell: 100, origin: 0, named: false });
    expect(mapLayout(30, 200, 32)).toEqual({ cell: 200 / 30, origin: 0, named: false });
    // Long names are cut.
    expect(mapLayout(4, 300, 999)).toEqual({ cell: 50, origin: 100, named: true });
    expect([largestSide(3), largestSide(100)]).toEqual([252, 520]);
  });

  it('finds the cell of a click', () => {
    const layout = mapLayout(10, 440, 32);
    expect(cellAt(layout, 10, 41, 85)).toEqual({ row: 1, column: 0 });
    expect(cellAt(layout, 10, 39, 85)).toBeNull();
    expect(cellAt(layout, 10, 439, 441)).toBeNull();
  });
});

it('a plot has one scale for both axes, and one for values that are all the same', () => {
  const { low, high, place } = plotScale([
    [1, 2],
    [3, 5],
  ]);
  expect([low, high, place(1), place(3), place(5)]).toEqual([1, 5, 0, 50, 100]);
  expect(plotScale([[2, 2]]).place(2)).toBe(0);
});

it('only the last question counts', () => {
  const latest = new Latest();
  const first = latest.next();
  expect(first()).toBe(true);
  const second = latest.next();
  expect([first(), second()]).toEqual([false, true]);
});
