/** Fused multi-head attention. */
import { ShapeError } from '../../errors.ts';
import { attentionGradient, attention as attentionKernel, MAX_HEAD_SIZE } from '../../kernels/attention.ts';
import type { DropoutKey } from '../../kernels/pointwise.ts';
import { defineOp } from '../op.ts';
import { formatShape, type Shape, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkDropout } from './elementwise.ts';

interface Inputs extends Readonly<Record<string, Tensor | undefined>> {
  q: Tensor;
  k: Tensor;
  v: Tensor;
  mask?: Tensor | undefined;
}

interface Options {
  heads: number;
  dropout: DropoutKey | undefined;
}

function dimsOf(shape: Shape, heads: number) {
  const [batch, length, width] = shape as [number, number, number];
  return { batch, length, heads, size: width / heads };
}

function check({ q, k, v, mask }: Inputs, heads: number): void {
  const given = `q ${formatShape(q.shape)} · k ${formatShape(k.shape)} · v ${formatShape(v.shape)}`;
  if (q.rank !== 3 || !sameShape(q.shape, k.shape) || !sameShape(q.shape, v.shape)) {
    throw new ShapeError(`attention: q, k and v must all be [batch, length, width]: ${given}`);
  }
  const size = q.shape[2]! / heads;
  if (!Number.isInteger(size) || size < 1 || size > MAX_HEAD_SIZE) {
    throw new ShapeError(`attention: ${given} does not divide into ${heads} heads`, {
      remedy: `the width must be a multiple of the heads, at most ${MAX_HEAD_SIZE} each`,
    });
  }
  if (mask !== undefined && !sameShape(mask.shape, q.shape.slice(0, 2))) {
    throw new ShapeError(`attention: mask ${formatShape(mask.shape)} does not fit ${given}`, {
      remedy: 'it must be [batch, length]',
    });
  }
}

const attentionOp = defineOp<Inputs, Options>({
  name: 'attention',
  dtypes: { mask: 'int32' },
  shape: (inputs, { heads }) => {
    check(inputs, heads);
    return { shape: inputs.q.shape, dtype: 'float32' };
  },
  forward: ({ q, k, v, mask }, y, { heads, dropout }) => {
    const dims = dimsOf(q.shape, heads);
    const lse = q.device.raw([dims.batch, heads, dims.length]);
    const optional = { ...(mask && { mask: mask.slot }), ...(dropout && { dropout }) };
    attentionKernel(q.device.gpu, {
      q: q.slot,
      k: k.slot,
      v: v.slot,
      ...optional,
      ...dims,
      o: y.slot,
      lse: lse.slot,
    });
    return { lse };
  },
  saves: ['q', 'k', 'v', 'mask', 'y', 'lse'],
  backward: (dy, { q, k, v, mask, y, lse }, _needs, { heads, dropout }) => {
    const { device } = dy;
    const dims = dimsOf(dy.shape, heads);
    const [dq, dk, dv] = [device.raw(dy.shape), device.raw(dy.shape), device.raw(dy.shape)];
    const rows = device.raw([dims.batch, heads, dims.length, 2]);
    const inputs = {
      q: q!.slot,
      k: k!.slot,
      v: v!.slot,
      ...(mask && { mask: mask.slot }),
      o: y!.slot,
      lse: lse!.slot,
    };
    const outputs = { dq: dq.slot, dk: dk.slot, dv: dv.slot, rows: rows.slot };
    attentionGradient(device.gpu, {
      ...inputs,
      ...outputs,
      dy: dy.slot,
      ...dims,
      ...(dropout && { dropout }),
    });
    rows.dispose();
    return { q: dq, k: dk, v: dv };
  },
});

export interface AttentionOptions {
  heads: number;
  /** int32 [batch, length], 0 where a key is padding. A row with every key masked gives zeros. */
  mask?: Tensor | undefined;
  /** Probability of dropping an attention weight. */
  dropout?: number;
}

/**
 * softmax(q·kᵀ / √size) · v for each head (Vaswani et al., 2017), fused: memory is linear in the length.
 * q, k, v: [batch, length, heads · size], as is the result.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const p = options.dropout ?? 0;
  checkDropout(p);
  const dropout = p === 0 ? undefined : q.device.nextDropoutKey(p);
  return attentionOp({ q, k, v, mask: options.mask }, { heads: options.heads, dropout });
}
