/** Queries, keys and values of self-attention: three linear layers of one input in one product. */
import { ShapeError } from '../../errors.ts';
import { OFFSET_BYTES } from '../../kernels/launch.ts';
import { matmul } from '../../kernels/matmul.ts';
import { withAutocast } from '../autocast.ts';
import { HalfCopy } from '../half-copy.ts';
import { defineOp } from '../op.ts';
import { formatShape, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

interface Inputs {
  x: Tensor;
  queryWeight: Tensor;
  keyWeight: Tensor;
  valueWeight: Tensor;
  queryBias: Tensor;
  keyBias: Tensor;
  valueBias: Tensor;
}

type Three = readonly [Tensor, Tensor, Tensor];

const weightsOf = (i: Inputs): Three => [i.queryWeight, i.keyWeight, i.valueWeight];
const biasesOf = (i: Inputs): Three => [i.queryBias, i.keyBias, i.valueBias];

/**
 * Tensors that lie one after the other in one buffer as one tensor over the same memory, else a copy; whoever
 * asks disposes of it.
 */
function joined(tensors: Three): Tensor {
  const [first] = tensors;
  const shape = [3 * first.shape[0]!, ...first.shape.slice(1)];
  const { buffer, offset: start = 0 } = first.slot;
  const adjacent = tensors.every(
    ({ slot }, at) => slot.buffer === buffer && (slot.offset ?? 0) === start + at * first.size * 4,
  );
  if (adjacent) return first.alias(shape);
  const { device } = first;
  const copy = device.raw(shape);
  for (const [at, { slot }] of tensors.entries()) {
    const target = { buffer: copy.slot.buffer, offset: at * first.size * 4 };
    device.gpu.recorder.copy(slot, target, first.size * 4);
  }
  return copy;
}

/** The three weights as the product with x reads them: in float16 where x is; whoever asks disposes of it. */
function operandOf({ dtype }: Tensor, weights: Three): Tensor {
  return dtype === 'float16' ? HalfCopy.of(weights).tensor.alias() : joined(weights);
}

/**
 * A third of the rows each, in the same memory where bindings may begin there, else copied to what `make`
 * gives; takes over the tensor.
 */
function thirds(whole: Tensor, make: (at: number) => Tensor): readonly Tensor[] {
  const count = whole.shape[0]! / 3;
  const bytes = (whole.size / 3) * 4;
  const apart = bytes % OFFSET_BYTES !== 0;
  const parts = apart ? [0, 1, 2].map(make) : whole.split([count, count, count]);
  if (apart) {
    const { recorder } = whole.device.gpu;
    const { buffer, offset = 0 } = whole.slot;
    for (const [at, part] of parts.entries())
      recorder.copy({ buffer, offset: offset + at * bytes }, part.slot, bytes);
  }
  whole.dispose();
  return parts;
}

const weightNames = ['queryWeight', 'keyWeight', 'valueWeight'] as const;
const biasNames = ['queryBias', 'keyBias', 'valueBias'] as const;

const qkvLinearOp = defineOp({
  name: 'qkvLinear',
  inputs: {
    x: 'float',
    queryWeight: 'float32',
    keyWeight: 'float32',
    valueWeight: 'float32',
    queryBias: 'float32',
    keyBias: 'float32',
    valueBias: 'float32',
  },
  shape: (inputs) => {
    const { x, queryWeight } = inputs;
    const [out, width] = queryWeight.shape;
    const [weights, biases] = [weightsOf(inputs), biasesOf(inputs)];
    const fits =
      x.shape.at(-1) === width &&
      weights.every(({ shape }) => sameShape(shape, [out!, width!])) &&
      biases.every(({ shape }) => sameShape(shape, [out!]));
    if (!fits) {
      const shapes = [x, ...weights, ...biases].map(({ shape }) => formatShape(shape)).join(' · ');
      throw new ShapeError(`qkvLinear: shapes do not fit: ${shapes}`, {
        remedy: 'x [..., in], three weights [out, in], three biases [out]',
      });
    }
    return { shape: [...x.shape.slice(0, -1), 3 * out!], dtype: x.dtype };
  },
  forward: (inputs, y) => {
    const { x, queryWeight } = inputs;
    const [out, k] = queryWeight.shape as [number, number];
    const [operand, bias] = [operandOf(x, weightsOf(inputs)), joined(biasesOf(inputs))];
    matmul(y.device.gpu, {
      a: x.slot,
      b: operand.slot,
      bias: bias.slot,
      c: y.slot,
      m: x.size / k,
      n: 3 * out,
      k,
      transposeA: false,
      transposeB: true,
    });
    bias.dispose();
    return { operand };
  },
  saves: ['x', 'operand'],
  backward: ({ dy, saved, needs, shape, gradient }) => {
    const { device } = dy;
    const [out, inFeatures] = shape('queryWeight') as [number, number];
    const m = dy.size / (3 * out);
    const gradients: { -readonly [N in keyof Inputs]?: Tensor } = {};
    if (needs.x) {
      const dx = device.raw(shape('x'), dy.dtype);
      matmul(device.gpu, {
        a: dy.slot,
        b: saved.operand.slot,
        c: dx.slot,
        m,
        n: inFeatures,
        k: 3 * out,
        transposeA: false,
        transposeB: false,
      });
      gradients.x = dx;
    }
    if ([...weightNames, ...biasNames].some((name) => needs[name])) {
      const [dw, db] = [gradient(...weightNames), gradient(...biasNames)];
      matmul(device.gpu, {
        a: dy.slot,
        b: saved.x.slot,
        c: dw.slot,
        sums: db.slot,
        m: 3 * out,
        n: inFeatures,
        k: m,
        transposeA: true,
        transposeB: false,
      });
      for (const [whole, names] of [
        [dw, weightNames],
        [db, biasNames],
      ] as const) {
        const parts = thirds(whole, (at) => gradient(names[at]!));
        for (const [at, part] of parts.entries()) gradients[names[at]!] = part;
      }
    }
    return gradients;
  },
});

/**
 * x · [Wq; Wk; Wv]ᵀ + [bq; bk; bv]: x [..., in], weights [out, in], biases [out] → [..., 3 · out], queries
 * first. Weights that lie one after the other in memory, and biases that do, are used as they stand (see
 * `Tensor.split`). x may be float16 beside float32 weights; so is the result then. Throws `ShapeError`.
 */
export function qkvLinear(x: Tensor, weights: Three, biases: Three): Tensor {
  const [queryWeight, keyWeight, valueWeight] = weights;
  const [queryBias, keyBias, valueBias] = biases;
  const parameters = { queryWeight, keyWeight, valueWeight, queryBias, keyBias, valueBias };
  return withAutocast(x, (input) => qkvLinearOp({ x: input, ...parameters }));
}
