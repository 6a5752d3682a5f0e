/** Parameters that lie together: everything about them is as if they did not. */
import { describe, expect, it } from 'vitest';
import { AdamW } from '../../src/optim/adamw.ts';
import { clipFactor } from '../../src/optim/clip.ts';
import { layTogether } from '../../src/tensor/bucket.ts';
import { add, mul, scale } from '../../src/tensor/ops/elementwise.ts';
import { embedding } from '../../src/tensor/ops/embedding.ts';
import { linear, matmul } from '../../src/tensor/ops/matmul.ts';
import { addLayerNorm, layerNorm } from '../../src/tensor/ops/normalize.ts';
import { qkvLinear } from '../../src/tensor/ops/qkv-linear.ts';
import { sum } from '../../src/tensor/ops/reduction.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';
import { randomArray } from '../support/ndarray.ts';

const device = useDevice();
/** Where a buffer of parameters has at most 80 KiB. */
const small = useDevice({ maxBindingBytes: 2 * 5 * 4 * 64 * 64 });

function parameter(shape: readonly number[], seed: number): Tensor {
  const { current } = device;
  const made = current.keep(current.tensor(Float32Array.from(randomArray(shape, seed).data), shape));
  made.requiresGrad = true;
  return made;
}

const bufferOf = ({ memory }: Tensor) => memory.buffer;

async function numbers(tensors: readonly (Tensor | null)[]): Promise<number[][]> {
  return Promise.all(tensors.map(async (tensor) => [...(await tensor!.data())]));
}

/**
 * What every op does that lays gradients beside each other: embedding, layerNorm, qkvLinear, linear with and
 * without a bias.
 */
function parameters(): Record<string, Tensor> {
  const thirds = (whole: Tensor): [Tensor, Tensor, Tensor] => {
    const parts = whole.split([64, 64, 64]) as [Tensor, Tensor, Tensor];
    for (const part of parts) part.requiresGrad = true;
    whole.dispose();
    return parts;
  };
  const [q, k, v] = thirds(parameter([3 * 64, 64], 1));
  const [qBias, kBias, vBias] = thirds(parameter([3 * 64], 3));
  return {
    table: parameter([70, 64], 2),
    q,
    qBias,
    k,
    kBias,
    v,
    vBias,
    gain: parameter([64], 6),
    shift: parameter([64], 7),
    narrow: parameter([10, 192], 8),
    narrowBias: parameter([10], 9),
    wide: parameter([64, 10], 10),
  };
}

/** The table is used twice, as a language model's is. */
function lossOf(p: Record<string, Tensor>): Tensor {
  const ids = device.current.tensor(Int32Array.from([3, 1, 4, 1, 5, 69]));
  const x = layerNorm(embedding(p.table!, ids), p.gain!, p.shift!);
  const qkv = qkvLinear(x, [p.q!, p.k!, p.v!], [p.qBias!, p.kBias!, p.vBias!]);
  const y = linear(linear(qkv, p.narrow!, p.narrowBias!, 'gelu'), p.wide!);
  const logits = linear(addLayerNorm(y, x, p.gain!, p.shift!), p.table!);
  return sum(mul(logits, logits));
}

describe('parameters laid together', () => {
  it('keep their values, share buffers, and get the gradients that they get apart', async () => {
    using _scope = device.current.scope();
    const [apart, together] = [parameters(), parameters()];
    layTogether(Object.values(together));
    expect(await numbers(Object.values(together))).toEqual(await numbers(Object.values(apart)));
    expect(new Set(Object.values(together).map(bufferOf)).size).toBe(1);
    for (const p of [apart, together]) {
      // Twice, so that gradients add up.
      for (let i = 0; i < 2; i += 1) lossOf(p).backward();
    }
    const gradients = Object.values(together).map(({ grad }) => grad);
    expect(new Set(gradients.map((grad) => bufferOf(grad!))).size).toBe(1);
    expect(await numbers(gradients)).toEqual(await numbers(Object.values(apart).map(({ grad }) => grad)));
    for (const p of [apart, together]) for (const tensor of Object.values(p)) tensor.dispose();
  });

  it('are updated as they are apart, also those that freeze and thaw between them', async () => {
    const train = async (together: boolean): Promise<number[][]> => {
      const p = parameters();
      const all = Object.values(p);
      p.k!.requiresGrad = false;
      p.wide!.requiresGrad = false;
      // One optimizer for each leaves every tensor where it is.
      const optimizers = together ? [new AdamW(all)] : all.map((tensor) => new AdamW([tensor]));
      for (let step = 0; step < 4; step += 1) {
        using _scope = device.current.scope();
        p.kBias!.requiresGrad = step !== 1;
        p.gain!.requiresGrad = step !== 2;
        p.wide!.requiresGrad = step > 1;
        lossOf(p).backward();
        const gradScale = clipFactor(all, 1);
        for (const optimizer of optimizers) {
          optimizer.step({ gradScale });
          optimizer.zeroGrad();
        }
      }
      const result = await numbers(all);
      for (const part of [...optimizers, ...all]) part.dispose();
      return result;
    };
    const [apart, together] = [await train(false), await train(true)];
    for (const [at, values] of together.entries())
      for (const [i, value] of values.entries()) expect(Math.abs(value - apart[at]![i]!)).toBeLessThan(1e-6);
    const before = parameters();
    expect(together[3]).toEqual((await numbers([before.k!]))[0]);
    for (const tensor of Object.values(before)) tensor.dispose();
  });

  it('leave a gradient alone that somebody still holds', async () => {
    using _scope = device.current.scope();
    const [a, b] = [parameter([64, 64], 1), parameter([64, 64], 2)];
    layTogether([a, b]);
    const x = device.current.tensor(Float32Array.from(randomArray([5, 64], 3).data), [5, 64]);
    const backward = (factor: number): void => sum(scale(add(linear(x, a), linear(x, b)), factor)).backward();
    backward(1);
    const held = a.grad!.detach();
    const first = await numbers([a.grad, b.grad]);
    for (const tensor of [a, b]) {
      tensor.grad!.dispose();
      tensor.grad = null;
    }
    backward(2);
    expect(await numbers([held])).toEqual([first[0]]);
    expect(await numbers([a.grad, b.grad])).toEqual(first.map((all) => all.map((value) => 2 * value)));
    for (const tensor of [a, b]) tensor.dispose();
  });

  it('may have gradients from gradients', async () => {
    using _scope = device.current.scope();
    const run = async (together: boolean): Promise<number[][]> => {
      const [a, b, c] = [parameter([64, 64], 1), parameter([64, 64], 2), parameter([64, 64], 4)];
      if (together) layTogether([a, b, c]);
      const x = device.current.tensor(Float32Array.from(randomArray([5, 64], 3).data), [5, 64]);
      sum(linear(x, b)).backward();
      // One that was moved from another parameter is added to.
      [a.grad, b.grad] = [b.grad, null];
      sum(linear(x, a)).backward();
      // a's gradient is what b's is computed from, and where backward begins.
      sum(matmul(a.grad!, b)).backward();
      matmul(x, c, { transposeB: true }).backward(matmul(x, a.grad!).detach());
      matmul(device.current.tensor(await x.float32Data(), [5, 64]), c).backward(linear(x, b.grad!).detach());
      linear(a.grad!, c).backward(a.grad!);
      const result = await numbers([a.grad, b.grad, c.grad]);
      for (const tensor of [a, b, c]) tensor.dispose();
      return result;
    };
    expect(await run(true)).toEqual(await run(false));
  });

  it('can be assigned to one another', async () => {
    const [a, b] = [parameter([64, 64], 1), parameter([64, 64], 2)];
    layTogether([a, b]);
    const values = await numbers([a]);
    device.current.assign(b, a);
    device.current.assign(a, a);
    expect(await numbers([a, b])).toEqual([...values, ...values]);
    for (const tensor of [a, b]) tensor.dispose();
  });

  it('may have tensors over the same memory beside them', async () => {
    using _scope = device.current.scope();
    const [a, b] = [parameter([64, 64], 1), parameter([64, 64], 2)];
    const same = a.detach();
    same.requiresGrad = true;
    layTogether([a, b]);
    layTogether([same]);
    expect(bufferOf(same)).toBe(bufferOf(a));
    expect(same.place).toBe(a.place);
    const x = device.current.tensor(Float32Array.from(randomArray([5, 64], 3).data), [5, 64]);
    sum(add(linear(x, a), linear(scale(x, 2), same))).backward();
    const [first, second] = await numbers([a.grad, same.grad]);
    expect(second).toEqual(first!.map((value) => 2 * value));
    for (const tensor of [a, b]) tensor.dispose();
  });

  it('take buffers of a limited size, and need memory for gradients and moments of those alone that learn', () => {
    const { current } = small;
    const parameters = Array.from({ length: 12 }, () => {
      const made = current.keep(current.zeros([64, 64]));
      made.requiresGrad = true;
      return made;
    });
    const bytes = 4 * 64 * 64;
    const { liveBytes } = current.statistics();
    const optimizer = new AdamW(parameters);
    // Five, five and two in a buffer, and nothing kept of those they left.
    expect(new Set(parameters.map(bufferOf)).size).toBe(3);
    expect(current.statistics().idle).toBe(0);
    expect(current.statistics().liveBytes).toBe(liveBytes);
    for (const frozen of parameters.slice(3)) frozen.requiresGrad = false;
    using _scope = current.scope();
    const x = current.zeros([2, 64]);
    const before = current.statistics().liveBytes;
    for (const tensor of parameters.slice(0, 3)) sum(linear(x, tensor)).backward();
    expect(current.statistics().liveBytes - before).toBeGreaterThanOrEqual(3 * bytes);
    for (const tensor of parameters.slice(0, 3)) expect(bufferOf(tensor.grad!).size).toBe(3 * bytes);
    optimizer.step();
    expect(bufferOf(parameters[1]!.grad!)).toBe(bufferOf(parameters[2]!.grad!));
    const moments = current.statistics().liveBytes;
    optimizer.dispose();
    // Of the factor without clipping 256 bytes.
    expect(moments - current.statistics().liveBytes).toBe(3 * 2 * bytes + 256);
    for (const tensor of parameters) tensor.dispose();
  });

  it('give all memory back', () => {
    const before = device.current.statistics();
    const p = parameters();
    const optimizer = new AdamW(Object.values(p));
    const scope = device.current.scope();
    lossOf(p).backward();
    optimizer.step();
    optimizer.zeroGrad();
    scope.close();
    // All values in one buffer, and all moments; and the factor of steps without clipping.
    expect(device.current.statistics().live).toBe(before.live + 3);
    optimizer.dispose();
    for (const tensor of Object.values(p)) tensor.dispose();
    expect(device.current.statistics().live).toBe(before.live);
    expect(device.current.statistics().liveBytes).toBe(before.liveBytes);
  });
});
