/** Parameters in chunks: everything about them is as if each had its own memory. */
import { describe, expect, it } from 'vitest';
import { AdamW } from '../../src/optim/adamw.ts';
import { clipFactor } from '../../src/optim/clip.ts';
import { flatGradients } from '../../src/optim/gradients.ts';
import { add, mul, scale } from '../../src/tensor/ops/elementwise.ts';
import { embedding } from '../../src/tensor/ops/embedding.ts';
import { linear, matmul } from '../../src/tensor/ops/matmul.ts';
import { addLayerNorm, layerNorm } from '../../src/tensor/ops/normalize.ts';
import { sum } from '../../src/tensor/ops/reduction.ts';
import { float16Copy, gatherGradients, layParameters } from '../../src/tensor/parameters.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';
import { randomArray } from '../support/ndarray.ts';

const device = useDevice();
/** With chunks of at most 80 KiB. */
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

/** For every op that writes gradients in place: embedding, layerNorm, linear with and without a bias. */
function parameters(): Record<string, Tensor> {
  return {
    table: parameter([70, 64], 2),
    qkv: parameter([3 * 64, 64], 1),
    qkvBias: parameter([3 * 64], 3),
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
  const qkv = linear(x, p.qkv!, p.qkvBias!);
  const y = linear(linear(qkv, p.narrow!, p.narrowBias!, 'gelu'), p.wide!);
  const logits = linear(addLayerNorm(y, x, p.gain!, p.shift!), p.table!);
  return sum(mul(logits, logits));
}

describe('parameters in chunks', () => {
  it('keep their values, share buffers, and get the gradients that each gets by itself', async () => {
    using _scope = device.current.scope();
    const [apart, together] = [parameters(), parameters()];
    layParameters(Object.values(together));
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

  it('are updated as each is by itself, also those that freeze and thaw between them', async () => {
    const train = async (together: boolean): Promise<number[][]> => {
      const p = parameters();
      const all = Object.values(p);
      p.qkv!.requiresGrad = false;
      p.wide!.requiresGrad = false;
      // One optimizer for each leaves every tensor where it is.
      const optimizers = together ? [new AdamW(all)] : all.map((tensor) => new AdamW([tensor]));
      for (let step = 0; step < 4; step += 1) {
        using _scope = device.current.scope();
        p.qkvBias!.requiresGrad = step !== 1;
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
    expect(together[1]).toEqual((await numbers([before.qkv!]))[0]);
    for (const tensor of Object.values(before)) tensor.dispose();
  });

  it('leave a gradient alone that somebody still holds', async () => {
    using _scope = device.current.scope();
    const [a, b] = [parameter([64, 64], 1), parameter([64, 64], 2)];
    layParameters([a, b]);
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
    const doubled = first.map((all) => all.map((value) => 2 * value));
    expect(await numbers([held, a.grad, b.grad])).toEqual([first[0], ...doubled]);
    gatherGradients([a, b]);
    expect(new Set([a.grad!, b.grad!].map(bufferOf)).size).toBe(1);
    expect(await numbers([held, a.grad, b.grad])).toEqual([first[0], ...doubled]);
    for (const tensor of [a, b]) tensor.dispose();
  });

  it('take in gradients that were assigned, from whatever parameter', async () => {
    using _scope = device.current.scope();
    const all = [1, 2, 3, 4, 5].map((seed) => parameter([64, 64], seed));
    const [a, b, c, d, e] = all as [Tensor, Tensor, Tensor, Tensor, Tensor];
    const optimizer = new AdamW(all);
    const x = device.current.tensor(Float32Array.from(randomArray([5, 64], 3).data), [5, 64]);
    for (const [at, tensor] of all.entries()) sum(scale(linear(x, tensor), at + 1)).backward();
    const own = device.current.keep(device.current.full([64, 64], 0.5));
    [a.grad, b.grad] = [b.grad, a.grad];
    d.grad!.dispose();
    [d.grad, e.grad, c.grad] = [c.grad, c.grad, own];
    const wanted = await numbers([a.grad, b.grad, own, d.grad, e.grad]);
    // A part of them first: the others keep their values.
    gatherGradients([b, d, d]);
    expect(await numbers(all.map(({ grad }) => grad))).toEqual(wanted);
    const apart = await Promise.all(
      all.map(async (tensor, at) => {
        const copy = device.current.copy(tensor);
        copy.requiresGrad = true;
        copy.grad = device.current.keep(device.current.tensor(Float32Array.from(wanted[at]!), [64, 64]));
        return copy;
      }),
    );
    optimizer.step();
    expect(await numbers(all.map(({ grad }) => grad))).toEqual(wanted);
    expect(new Set(all.map(({ grad }) => bufferOf(grad!))).size).toBe(1);
    const others = apart.map((copy) => new AdamW([copy]));
    for (const other of others) other.step();
    expect(await numbers(all)).toEqual(await numbers(apart));
    a.grad!.dispose();
    a.grad = device.current.zeros([64]);
    expect(() => optimizer.step()).toThrow('assign: float32 [64] does not fit float32 [64,64]');
    for (const part of [optimizer, ...others, ...all, ...apart]) part.dispose();
  });

  it('show their gradients as few flat tensors, to be read and written before clipping', async () => {
    using _scope = device.current.scope();
    const [p, q] = [parameters(), parameters()];
    const all = Object.values(p);
    const optimizer = new AdamW(all);
    lossOf(p).backward();
    p.narrow!.grad = device.current.copy(p.narrow!.grad!);
    const before = await numbers(all.map(({ grad }) => grad));
    const flat = flatGradients(all);
    expect(flat.length).toBeLessThan(all.length);
    expect(flat.reduce((total, { size }) => total + size, 0)).toBe(
      all.reduce((total, { size }) => total + size, 0),
    );
    // The mean over two processes, of which the other has gradients that are three times as large.
    for (const gradient of flat) {
      const values = await gradient.float32Data();
      gradient.write(values.map((value) => (value + 3 * value) / 2));
    }
    const mean = before.map((values) => values.map((value) => 2 * value));
    expect(await numbers(all.map(({ grad }) => grad))).toEqual(mean);
    for (const [at, tensor] of Object.values(q).entries()) {
      tensor.grad = device.current.raw(tensor.shape);
      tensor.grad.write(Float32Array.from(mean[at]!));
    }
    // In the same order each time; without an optimizer each is its own.
    expect(flatGradients(all).map(({ size }) => size)).toEqual(flat.map(({ size }) => size));
    expect(flatGradients(Object.values(q))).toHaveLength(all.length);
    const [norm, other] = [clipFactor(all, 1)!, clipFactor(Object.values(q), 1)!];
    expect((await norm.float32Data())[0]! / (await other.float32Data())[0]!).toBeCloseTo(1, 6);
    const apart = Object.values(q).map((tensor) => new AdamW([tensor]));
    for (const one of [optimizer, ...apart]) one.step({ gradScale: norm });
    expect(await numbers(all)).toEqual(await numbers(Object.values(q)));
    for (const part of [optimizer, ...apart, ...all, ...Object.values(q)]) part.dispose();
  });

  it('may thaw while others have gradients', async () => {
    const run = async (frozen: boolean): Promise<number[][]> => {
      using _scope = device.current.scope();
      const all = [1, 2, 3].map((seed) => parameter([64, 64], seed));
      const optimizer = new AdamW(all);
      const x = device.current.tensor(Float32Array.from(randomArray([5, 64], 3).data), [5, 64]);
      for (const at of [1, 0, 2]) {
        for (const [other, tensor] of all.entries()) tensor.requiresGrad = !frozen || other === at;
        sum(linear(x, all[at]!)).backward();
      }
      for (const tensor of all) tensor.requiresGrad = true;
      expect(new Set(all.map(({ grad }) => bufferOf(grad!))).size).toBe(1);
      optimizer.step();
      const result = await numbers([...all, ...all.map(({ grad }) => grad)]);
      for (const part of [optimizer, ...all]) part.dispose();
      return result;
    };
    expect(await run(true)).toEqual(await run(false));
  });

  it('keep float16 copies in chunks too, which live as long as they do', async ({ skip }) => {
    const { current } = device;
    skip(!current.gpu.float16, 'the adapter has no float16');
    const all = [1, 2].map((seed) => parameter([64, 64], seed));
    const early = all.map((tensor) => float16Copy(tensor));
    expect(new Set(early.map(bufferOf)).size).toBe(2);
    layParameters(all);
    expect(early.every(({ disposed }) => disposed)).toBe(true);
    const before = current.statistics();
    const copies = all.map((tensor) => float16Copy(tensor));
    expect(new Set(copies.map(bufferOf)).size).toBe(1);
    expect(float16Copy(all[0]!)).toBe(copies[0]);
    expect(current.statistics().dispatches).toBe(before.dispatches + 2);
    all[0]!.dispose();
    expect(current.statistics().live).toBe(before.live + 1);
    all[1]!.dispose();
    expect(current.statistics().live).toBe(before.live - 1);
  });

  it('may have gradients from gradients', async () => {
    using _scope = device.current.scope();
    const run = async (together: boolean): Promise<number[][]> => {
      const [a, b, c] = [parameter([64, 64], 1), parameter([64, 64], 2), parameter([64, 64], 4)];
      if (together) layParameters([a, b, c]);
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
    layParameters([a, b]);
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
    layParameters([a, b]);
    layParameters([same]);
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
