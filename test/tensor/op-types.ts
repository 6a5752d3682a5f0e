/** Misspelt names in an op's definition do not compile: `tsc` checks this file, nothing runs it. */
import { defineOp } from '../../src/tensor/op.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

/** The valid part that the definitions below share. */
const head = { name: 'test', inputs: { x: 'float', weight: 'float32', mask: 'int32?' } } as const;

/** Never called, because each would register an op. */
export const misspelt = [
  () =>
    defineOp({
      ...head,
      shape: ({ x }) => ({ shape: x.shape, dtype: x.dtype }),
      forward: ({ x }) => ({ stats: x.alias() }),
      // @ts-expect-error: neither an input, nor an extra, nor y
      saves: ['x', 'stat'],
      backward: ({ dy }) => ({ x: dy }),
    }),
  () =>
    defineOp({
      ...head,
      shape: ({ x }) => ({ shape: x.shape, dtype: x.dtype }),
      forward: () => {},
      // @ts-expect-error: forward makes no extras
      saves: ['stats'],
      backward: () => ({}),
    }),
  () =>
    defineOp({
      ...head,
      shape: ({ x }) => ({ shape: x.shape, dtype: x.dtype }),
      forward: ({ x }) => ({ stats: x.alias() }),
      saves: ['x', 'stats', 'mask', 'y'],
      backward: (context) => {
        const { dy, saved, needs } = context;
        // @ts-expect-error: not saved
        saved.weight;
        // @ts-expect-error: misspelt
        saved.stat;
        // @ts-expect-error: may be left out
        saved.mask.shape;
        // @ts-expect-error: misspelt
        needs.wieght;
        // @ts-expect-error: not an input
        context.gradient('y');
        // @ts-expect-error: misspelt
        context.shape('wieght');
        // @ts-expect-error: misspelt
        context.dtype('wieght');
        return { x: saved.stats, weight: needs.weight && needs.mask ? saved.y : dy };
      },
    }),
  () =>
    defineOp({
      ...head,
      shape: ({ x }) => ({ shape: x.shape, dtype: x.dtype }),
      forward: () => {},
      saves: [],
      // @ts-expect-error: a gradient's name is misspelt
      backward: ({ dy }) => ({ x: dy, wieght: dy }),
    }),
  () =>
    defineOp({
      ...head,
      shape: ({ x }) => ({ shape: x.shape, dtype: x.dtype }),
      forward: () => {},
      saves: [],
      // @ts-expect-error: a gradient's name is misspelt in one of two results
      backward: ({ dy, needs }) => {
        if (needs.weight) return { x: dy, wieght: dy };
        return { x: dy };
      },
    }),
  () =>
    defineOp({
      name: 'test',
      // @ts-expect-error: no such kind
      inputs: { x: 'float64' },
      shape: () => ({ shape: [], dtype: 'float32' }),
      forward: () => {},
      saves: [],
      backward: () => ({}),
    }),
  (x: Tensor) => {
    const op = defineOp({
      ...head,
      shape: ({ x }, { dim }: { dim: number }) => ({ shape: [dim], dtype: x.dtype }),
      // @ts-expect-error: no such option
      forward: (_inputs, _y, { dims }) => dims,
      nonDifferentiable: 'a test',
    });
    // @ts-expect-error: weight may not be left out
    op({ x }, { dim: 1 });
    // @ts-expect-error: the options are missing
    op({ x, weight: x });
  },
];
