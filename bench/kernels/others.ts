/** Attention, and the kernels bound by memory. */

import { unary } from '../../src/kernels/pointwise.ts';
import { Adafactor } from '../../src/optim/adafactor.ts';
import { AdamW } from '../../src/optim/adamw.ts';
import { clipFactor, clipGradNorm } from '../../src/optim/clip.ts';
import { Lion } from '../../src/optim/lion.ts';
import type { Device } from '../../src/tensor/device.ts';
import { attention, selfAttention } from '../../src/tensor/ops/attention.ts';
import { gelu } from '../../src/tensor/ops/elementwise.ts';
import { embedding } from '../../src/tensor/ops/embedding.ts';
import { crossEntropy } from '../../src/tensor/ops/loss.ts';
import { addLayerNorm, layerNorm, softmax } from '../../src/tensor/ops/normalize.ts';
import { sum } from '../../src/tensor/ops/reduction.ts';
import { gradientMemory, layParameters } from '../../src/tensor/parameters.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { type JobSize, jobSizes } from '../jobs.ts';
import { bytesOf, type KernelCase } from './cases.ts';

/** Runs an op and releases its result, so that the pool lends the same buffer each time. */
function forward(device: Device, run: () => Tensor): () => void {
  return () => {
    const scope = device.scope();
    noGrad(run);
    scope.close();
  };
}

/** Records forward and backward of `run` together and drops the gradients. */
function both(device: Device, leaves: readonly Tensor[], run: () => Tensor, dy: Tensor): () => void {
  for (const leaf of leaves) leaf.requiresGrad = true;
  return () => {
    const scope = device.scope();
    run().backward(dy.size === 1 ? undefined : dy);
    for (const leaf of leaves) {
      leaf.grad?.dispose();
      leaf.grad = null;
    }
    scope.close();
  };
}

function attentionCase(
  batch: number,
  heads: number,
  length: number,
  size: number,
  backward: boolean,
): KernelCase {
  const width = heads * size;
  const products = 2 * batch * heads * length * length * size;
  return {
    family: 'attention',
    name: `${backward ? 'forward + backward' : 'forward'} ${batch}×${heads}×${length}×${size}`,
    // Forward q·k and p·v; backward q·k again, do·v, dv, dq, dk.
    work: { flops: products * (backward ? 7 : 2) },
    quick: length === 128 && size === 64,
    prepare: (device) => {
      const [q, k, v, dy] = [0, 1, 2, 3].map(() => device.randn([batch, length, width])) as [
        Tensor,
        Tensor,
        Tensor,
        Tensor,
      ];
      const run = () => attention(q, k, v, { heads });
      return backward ? both(device, [q, k, v], run, dy) : forward(device, run);
    },
  };
}

/** Sequences that would be half padding: masked, or packed without padding. */
function raggedCase(batch: number, heads: number, length: number, size: number, padded: boolean): KernelCase {
  const width = heads * size;
  // Lengths in even steps from 0 to `length`.
  const own = Array.from({ length: batch }, (_, b) => Math.round(((b + 0.5) / batch) * length));
  const products = own.reduce((sum, count) => sum + 2 * heads * count * count * size, 0);
  return {
    family: 'attention',
    name: `forward + backward ${batch}×${heads}×≤${length}×${size}, ${padded ? 'padded' : 'ragged'}`,
    // Counts only the work without padding.
    work: { flops: 7 * products },
    prepare: (device) => {
      const tokens = own.reduce((sum, count) => sum + count, 0);
      const shape = padded ? [batch, length] : [tokens];
      const qkv = device.randn([...shape, 3 * width]);
      const dy = device.randn([...shape, width]);
      const seen = own.flatMap((count) => Array.from({ length }, (_, i) => (i < count ? 1 : 0)));
      const ends = own.map((_, b) => own.slice(0, b + 1).reduce((sum, count) => sum + count, 0));
      const options = padded
        ? { heads, mask: device.tensor(Int32Array.from(seen), [batch, length]) }
        : { heads, starts: device.tensor(Int32Array.of(0, ...ends)), length };
      return both(device, [qkv], () => selfAttention(qkv, options), dy);
    },
  };
}

function rows(
  family: string,
  count: number,
  width: number,
  passes: number,
  run: (x: Tensor, device: Device) => () => Tensor,
): KernelCase {
  return {
    family,
    name: `${count}×${width}`,
    work: { bytes: bytesOf(count * width * passes) },
    quick: width === 768,
    prepare: (device) => {
      const x = device.randn([count, width]);
      return forward(device, run(x, device));
    },
  };
}

/** A copy with the engine's own kernel and launcher, to compare with the benchmark's copy ceiling. */
function ownCopy(count: number, width: number): KernelCase {
  return {
    family: "copy by the engine's own kernel",
    name: `${count}×${width}`,
    work: { bytes: bytesOf(count * width * 2) },
    quick: width === 768,
    prepare: (device) => {
      const [x, y] = [device.randn([count, width]), device.empty([count, width])];
      return () => unary(device.gpu, { x: x.slot, y: y.slot, count: count * width, activation: 'none' });
    },
  };
}

/** The shapes of a BERT's weights: a few large ones, and five times as many small ones. */
function parameterShapes({ layers, hidden, vocabulary }: JobSize): number[][] {
  const linear = (from: number, to: number): number[][] => [[to, from], [to]];
  const norm = [[hidden], [hidden]];
  const layer = [
    ...Array.from({ length: 4 }, () => linear(hidden, hidden)).flat(),
    ...norm,
    ...linear(hidden, 4 * hidden),
    ...linear(4 * hidden, hidden),
    ...norm,
  ];
  return [
    ...[vocabulary, 512, 2].map((rows) => [rows, hidden]),
    ...norm,
    ...Array.from({ length: layers }, () => layer).flat(),
    ...linear(hidden, hidden),
    ...linear(hidden, 2),
  ];
}

/** The optimizers and the clipping before them, over all weights of a model. */
function optimizerCases(software: boolean): KernelCase[] {
  const size = jobSizes.find(({ name }) => name === (software ? 'MiniLM' : 'bert-base'))!;
  const shapes = parameterShapes(size);
  const count = shapes.reduce((sum, shape) => sum + shape.reduce((product, n) => product * n, 1), 0);
  const work = (passes: number) => ({ bytes: bytesOf(passes * count) });
  const name = `${size.name}, ${(count / 1e6).toFixed(0)} M in ${shapes.length} tensors`;
  // Arranged as in training, where the optimizer lays out the parameters before backward.
  const weights = (device: Device): Tensor[] => {
    const made = shapes.map((shape) => device.zeros(shape));
    layParameters(made);
    for (const weight of made) {
      weight.requiresGrad = true;
      weight.grad = gradientMemory(weight);
      device.fill(weight.grad, 0.01);
    }
    return made;
  };
  const updates = (
    family: string,
    passes: number,
    make: (params: readonly Tensor[]) => AdamW | Lion | Adafactor,
  ): KernelCase => ({
    family,
    name,
    work: work(passes),
    quick: family === 'AdamW',
    prepare: (device) => {
      const params = weights(device);
      const optimizer = make(params);
      const gradScale = clipFactor(params, 1);
      return { record: () => optimizer.step({ gradScale }), dispose: () => optimizer.dispose() };
    },
  });
  return [
    updates('AdamW', 7, (params) => new AdamW(params)),
    updates('Lion', 5, (params) => new Lion(params)),
    // The gradient for the means, for the norm of the update, and for the update.
    updates('Adafactor', 5, (params) => new Adafactor(params)),
    {
      family: 'clipFactor',
      name,
      work: work(1),
      quick: true,
      prepare: (device) => {
        const params = weights(device);
        const out = device.empty([2]);
        return () => clipFactor(params, 1, { out });
      },
    },
    {
      family: 'clipGradNorm',
      name,
      work: work(3),
      prepare: (device) => {
        const params = weights(device);
        return () => clipGradNorm(params, 1)?.dispose();
      },
    },
  ];
}

/** Forward and backward of an op over rows, with gradients of all its inputs. */
function trained(
  family: string,
  count: number,
  width: number,
  passes: number,
  run: (inputs: Record<'x' | 'residual' | 'weight' | 'bias', Tensor>) => Tensor,
): KernelCase {
  return {
    family,
    name: `${count}×${width}, forward + backward`,
    work: { bytes: bytesOf(count * width * passes) },
    quick: width === 768,
    prepare: (device) => {
      const draw = () => device.randn([count, width]);
      const inputs = {
        x: draw(),
        residual: draw(),
        weight: device.ones([width]),
        bias: device.zeros([width]),
      };
      return both(device, Object.values(inputs), () => run(inputs), draw());
    },
  };
}

export function otherCases(software: boolean): KernelCase[] {
  const tokens = software ? 2048 : 16_384;
  const embeddingWidth = software ? 128 : 768;
  // (batch, heads, length)
  const shapes: [number, number, number][] = software
    ? [
        [8, 2, 32],
        [2, 4, 128],
        [2, 12, 128],
        [1, 4, 512],
      ]
    : [
        [128, 2, 32],
        [32, 12, 128],
        [32, 12, 512],
        [16, 16, 512],
      ];
  return [
    ...shapes.flatMap(([batch, heads, length]) =>
      [32, 64].flatMap((size) => [
        attentionCase(batch, heads, length, size, false),
        attentionCase(batch, heads, length, size, true),
      ]),
    ),
    // A head wide enough that the kernel loops over it.
    attentionCase(2, 2, 40, 256, true),
    ...[true, false].map((padded) => raggedCase(software ? 8 : 64, 12, 128, 32, padded)),
    ...[384, 768, 3072].map((width) => ownCopy(tokens, width)),
    ...[384, 768, 3072].map((width) => rows('softmax', tokens, width, 2, (x) => () => softmax(x))),
    ...[384, 768].map((width) => trained('softmax', tokens, width, 5, ({ x }) => softmax(x))),
    ...[384, 768].map((width) =>
      rows('layerNorm', tokens, width, 2, (x, device) => {
        const [weight, bias] = [device.ones([width]), device.zeros([width])];
        return () => layerNorm(x, weight, bias);
      }),
    ),
    ...[384, 768].map((width) =>
      trained('layerNorm', tokens, width, 5, ({ x, weight, bias }) => layerNorm(x, weight, bias)),
    ),
    ...[384, 768].map((width) =>
      rows('addLayerNorm', tokens, width, 3, (x, device) => {
        const [weight, bias, residual] = [
          device.ones([width]),
          device.zeros([width]),
          device.randn([tokens, width]),
        ];
        return () => addLayerNorm(x, residual, weight, bias);
      }),
    ),
    // Keeps the sum, and writes both its gradient and that of the dropped-out input.
    ...[384, 768].map((width) =>
      trained('addLayerNorm with dropout', tokens, width, 8, ({ x, residual, weight, bias }) =>
        addLayerNorm(x, residual, weight, bias, { dropout: 0.1 }),
      ),
    ),
    ...[768, 3072].map((width) => rows('sum over rows', tokens, width, 1, (x) => () => sum(x, 0))),
    ...[768, 3072].map((width) => rows('gelu', tokens, width, 2, (x) => () => gelu(x))),
    ...[2, 30_522].map((classes): KernelCase => {
      const count = classes === 2 ? 64 : software ? 128 : 1024;
      return {
        family: 'cross-entropy',
        name: `${count}×${classes}, forward + backward`,
        work: { bytes: bytesOf(count * classes * 3) },
        prepare: (device) => {
          const x = device.randn([count, classes]);
          const targets = device.tensor(Int32Array.from({ length: count }, (_, i) => i % classes));
          return both(
            device,
            [x],
            () => crossEntropy(x, targets),
            targets.size === 1 ? targets : device.ones([]),
          );
        },
      };
    }),
    {
      family: 'embedding',
      name: `forward + backward of ${tokens} tokens, 30,522×${embeddingWidth}`,
      // The gradient's zeros and its rows, the result and its gradient.
      work: { bytes: bytesOf(30_522 * embeddingWidth + 4 * tokens * embeddingWidth) },
      prepare: (device) => {
        const width = embeddingWidth;
        const table = device.randn([30_522, width]);
        const ids = device.tensor(Int32Array.from({ length: tokens }, (_, i) => (i * 7919) % 30_522));
        const dy = device.randn([tokens, width]);
        return both(device, [table], () => embedding(table, ids), dy);
      },
    },
    ...optimizerCases(software),
  ];
}
