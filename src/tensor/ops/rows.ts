/** Selection of rows, which packs the tokens of a padded batch and unpacks them again. */
import { ShapeError } from '../../errors.ts';
import { embedding as gatherRows } from '../../kernels/embedding.ts';
import { defineOp } from '../op.ts';
import { formatShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** y[r] = source[rows[r]]; zeros if rows[r] is −1. */
function gather(source: Tensor, rows: Tensor, y: Tensor): void {
  const cols = source.shape[1]!;
  const slots = { ids: rows.slot, table: source.slot, y: y.slot };
  gatherRows(y.device.gpu, { ...slots, tokens: rows.size, rows: source.shape[0]!, cols, stray: 0 });
}

const takeRowsOp = defineOp({
  name: 'takeRows',
  inputs: { x: 'float', rows: 'int32', back: 'int32' },
  shape: ({ x, rows, back }) => {
    if (x.rank !== 2 || rows.rank !== 1 || back.rank !== 1 || back.size !== x.shape[0]) {
      const shapes = [x, rows, back].map(({ shape }) => formatShape(shape));
      throw new ShapeError(`takeRows: x ${shapes[0]} · rows ${shapes[1]} · back ${shapes[2]}`, {
        remedy: 'x must be [count, width], rows [n], back [count]',
      });
    }
    return { shape: [rows.size, x.shape[1]!], dtype: x.dtype };
  },
  forward: ({ x, rows }, y) => gather(x, rows, y),
  saves: ['back'],
  backward: ({ dy, saved, shape }) => {
    const x = dy.device.raw(shape('x'), dy.dtype);
    gather(dy, saved.back, x);
    return { x };
  },
});

/**
 * y[r] = x[rows[r]], zeros if rows[r] is −1: x [count, width], rows int32 [n] → [n, width]. No row may be
 * taken twice: `back` int32 [count], the inverse of `rows`, has each row's index in y, or −1. Throws
 * `ShapeError`.
 */
export function takeRows(x: Tensor, rows: Tensor, back: Tensor): Tensor {
  return takeRowsOp({ x, rows, back });
}
