/** Rotary positions of queries and keys. */
import { ShapeError } from '../../errors.ts';
import { rotary as rotaryKernel } from '../../kernels/rotary.ts';
import { defineOp } from '../op.ts';
import { formatShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

interface Inputs {
  qkv: Tensor;
  positions: Tensor;
  angles: Tensor;
}

function turn(x: Tensor, y: Tensor, { positions, angles }: Omit<Inputs, 'qkv'>, back: boolean): void {
  const size = angles.shape[1]!;
  const columns = x.shape.at(-1)!;
  const slots = { x: x.slot, y: y.slot, positions: positions.slot, angles: angles.slot };
  const dims = { rows: x.size / columns, heads: columns / 3 / size, size };
  rotaryKernel(x.device.gpu, { ...slots, ...dims, positionCount: positions.size, back });
}

const rotaryOp = defineOp({
  name: 'rotary',
  inputs: { qkv: 'float', positions: 'int32', angles: 'float32' },
  shape: ({ qkv, positions, angles }: Inputs) => {
    const [count = 0, size = 1] = angles.shape;
    const columns = qkv.shape.at(-1) ?? 0;
    const rows = qkv.size / columns;
    const fits = angles.rank === 2 && size % 2 === 0 && columns > 0 && columns % (3 * size) === 0;
    if (!fits || positions.size === 0 || rows % positions.size !== 0)
      throw new ShapeError(
        `rotary: qkv ${formatShape(qkv.shape)} · positions ${formatShape(positions.shape)} · angles ${formatShape(angles.shape)}`,
        { remedy: 'they must be [.., 3 · heads · size], a divisor of the rows, and [n, size], size even' },
      );
    const stray = positions.integers?.find((at) => at < 0 || at >= count);
    if (stray !== undefined)
      throw new ShapeError(`rotary: position ${stray} is outside a table of ${count} angles`);
    return { shape: qkv.shape, dtype: qkv.dtype };
  },
  forward: ({ qkv, ...by }, y) => turn(qkv, y, by, false),
  saves: ['positions', 'angles'],
  backward: ({ dy, saved }) => {
    const qkv = dy.device.raw(dy.shape, dy.dtype);
    turn(dy, qkv, saved, true);
    return { qkv };
  },
});

/**
 * Rotary positions (Su et al., 2021): in each head of a query and of a key, numbers d and d + size / 2 are
 * turned by angle d of the row's position; values stay. qkv [.., 3 · heads · size] (float16 or float32),
 * positions int32 (row r has number r modulo their count), angles float32 [n, size]: the cosines of each
 * position, then its sines. Throws `ShapeError`.
 */
export function rotary(qkv: Tensor, positions: Tensor, angles: Tensor): Tensor {
  return rotaryOp({ qkv, positions, angles });
}
