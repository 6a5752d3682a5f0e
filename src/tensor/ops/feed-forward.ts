/** The feed-forward block of a transformer's layer: two linear layers with an activation between them. */
import { ShapeError } from '../../errors.ts';
import type { Activation } from '../../kernels/activations.ts';
import { withAutocast, withAutocastOperand } from '../autocast.ts';
import { defineOp } from '../op.ts';
import { formatShape, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { asRead, gradientA, LINEAR, linearForward, planOf, productGradients } from './matmul.ts';

/** What a linear layer multiplies by and adds: weight [out, in], bias [out]; both may be computed. */
export interface LinearParameters {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
}

interface Inputs {
  x: Tensor;
  innerWeight: Tensor;
  innerBias?: Tensor | undefined;
  outerWeight: Tensor;
  outerBias?: Tensor | undefined;
}

function shapeOf(inputs: Inputs): number[] {
  const { x, innerWeight, innerBias, outerWeight, outerBias } = inputs;
  const [middle] = innerWeight.shape;
  const [out] = outerWeight.shape;
  const fits =
    x.rank >= 2 &&
    sameShape(innerWeight.shape, [middle!, x.shape.at(-1)!]) &&
    sameShape(outerWeight.shape, [out!, middle!]) &&
    (innerBias === undefined || sameShape(innerBias.shape, [middle!])) &&
    (outerBias === undefined || sameShape(outerBias.shape, [out!]));
  if (fits) return [...x.shape.slice(0, -1), out!];
  const shapes = Object.entries(inputs).flatMap(([name, tensor]) =>
    tensor === undefined ? [] : [`${name} ${formatShape(tensor.shape)}`],
  );
  throw new ShapeError(`feedForward: shapes do not fit: ${shapes.join(' · ')}`, {
    remedy:
      'x [.., in], inner weight [middle, in] and bias [middle], outer weight [out, middle] and bias [out]',
  });
}

const feedForwardOp = defineOp({
  name: 'feedForward',
  inputs: {
    x: 'float',
    innerWeight: 'any',
    innerBias: 'float32?',
    outerWeight: 'any',
    outerBias: 'float32?',
  },
  shape: (inputs, _activation: Activation) => ({ shape: shapeOf(inputs), dtype: inputs.x.dtype }),
  forward: ({ x, innerWeight, innerBias, outerWeight, outerBias }, y, activation, recorded) => {
    const hidden = x.device.raw([...x.shape.slice(0, -1), innerWeight.shape[0]!], x.dtype);
    let first: ReturnType<typeof linearForward> | undefined;
    try {
      first = linearForward({ x, weight: innerWeight, bias: innerBias }, hidden, activation, recorded);
      const second = linearForward({ x: hidden, weight: outerWeight, bias: outerBias }, y, 'none', false);
      const { operand: innerOperand, preactivation } = first;
      return { hidden, innerOperand, outerOperand: second.operand, preactivation };
    } catch (error) {
      // A product has refused its types.
      for (const tensor of [hidden, ...Object.values(first ?? {})]) tensor.dispose();
      throw error;
    }
  },
  saves: ['x', 'innerOperand', 'outerOperand', 'hidden', 'preactivation'],
  backward: (context) => {
    const { dy, saved, needs, options: activation } = context;
    const { x, innerOperand, outerOperand, hidden, preactivation } = saved;
    const outer = productGradients(context, {
      dy,
      a: hidden,
      operand: outerOperand,
      options: LINEAR,
      names: { b: 'outerWeight', bias: 'outerBias' },
    });
    let inner: Partial<ReturnType<typeof productGradients>> = {};
    if (needs.x || needs.innerWeight || needs.innerBias) {
      // The epilogue of the product that gives the gradient of `hidden` applies the activation's derivative.
      const plan = planOf({ a: hidden, b: outerOperand }, LINEAR);
      const between = asRead(outerOperand, hidden.dtype, (read) =>
        gradientA(dy, read, hidden.shape, plan, {
          activation,
          preactivation: { slot: preactivation!.slot, use: 'slope' },
        }),
      );
      inner = productGradients(context, {
        dy: between,
        a: x,
        operand: innerOperand,
        options: LINEAR,
        names: { a: 'x', b: 'innerWeight', bias: 'innerBias' },
      });
      between.dispose();
    }
    return {
      x: inner.a,
      innerWeight: inner.b,
      innerBias: inner.bias,
      outerWeight: outer.b,
      outerBias: outer.bias,
    };
  },
});

/**
 * outer(activation(inner(x))): x [..., in], inner in → middle, outer middle → out; gives [..., out]. The
 * products' kernels apply the activation and its derivative. x may be float16 beside float32 weights, or float32
 * beside frozen float16 ones; the result has the type of x. Throws `ShapeError`.
 */
export function feedForward(
  x: Tensor,
  inner: LinearParameters,
  outer: LinearParameters,
  activation: Activation,
): Tensor {
  return withAutocast(x, (input) =>
    withAutocastOperand(inner.weight, (innerWeight) =>
      withAutocastOperand(outer.weight, (outerWeight) => {
        const [innerBias, outerBias] = [inner.bias ?? undefined, outer.bias ?? undefined];
        return feedForwardOp({ x: input, innerWeight, innerBias, outerWeight, outerBias }, activation);
      }),
    ),
  );
}
