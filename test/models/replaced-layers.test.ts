/**
 * A replaced layer changes what a model computes, in fused kernels too. Each `Linear` in turn gets a low-rank
 * addition to its weight, once by `operands` and once by `forward`, and must agree with a plain layer that has
 * the sum as its weight; each LayerNorm and dropout of a layer halves its result.
 */
import { expect, it } from 'vitest';
import {
  AutoConfig,
  AutoModelForMaskedLM,
  AutoModelForSequenceClassification,
} from '../../src/models/auto.ts';
import type { PreTrainedModel } from '../../src/models/common/pretrained.ts';
import { Dropout, Embedding, LayerNorm, Linear, parameter } from '../../src/nn/layers.ts';
import { autocast } from '../../src/tensor/autocast.ts';
import { add, mul, scale, to } from '../../src/tensor/ops/elementwise.ts';
import type { LinearParameters } from '../../src/tensor/ops/feed-forward.ts';
import { linear, matmul } from '../../src/tensor/ops/matmul.ts';
import { sum } from '../../src/tensor/ops/reduction.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { useDevice } from '../support/device.ts';
import { randomArray } from '../support/ndarray.ts';

const device = useDevice();
const RANK = 2;

/** Adds up · down to the weight of another layer. */
class LowRank extends Linear {
  readonly up: Tensor;
  readonly down: Tensor;

  constructor({ weight, bias }: Linear) {
    const [rows, cols] = weight.shape as [number, number];
    super(weight.device, cols, rows, { memory: { weight, bias: bias! } });
    this.up = parameter(weight.device, [rows, RANK]);
    this.down = parameter(weight.device, [RANK, cols]);
    for (const [seed, tensor] of [this.up, this.down].entries())
      tensor.write(Float32Array.from(randomArray(tensor.shape, 5 + seed).data));
  }

  /** Leaves the weight that it shares as it is. */
  override resetParameters(): void {}
}

class ByOperands extends LowRank {
  override operands(): LinearParameters {
    const { weight, bias } = super.operands();
    return { weight: add(weight, to(matmul(this.up, this.down), 'float32')), bias };
  }
}

/** Knows no activation. */
class ByForward extends LowRank {
  override forward(x: Tensor): Tensor {
    return add(super.forward(x), linear(linear(x, this.down), this.up));
  }
}

class Halving extends Dropout {
  override forward(x: Tensor): Tensor {
    return scale(x, 0.5);
  }
}

class HalvingEmbedding extends Embedding {
  override forward(ids: Tensor): Tensor {
    return scale(super.forward(ids), 0.5);
  }
}

class HalvingNorm extends LayerNorm {
  override forward(x: Tensor): Tensor {
    return scale(super.forward(x), 0.5);
  }
}

const sizes = {
  vocabSize: 40,
  hiddenSize: 24,
  numHiddenLayers: 2,
  numAttentionHeads: 2,
  intermediateSize: 40,
  maxPositionEmbeddings: 16,
  numLabels: 3,
  initializerRange: 0.2,
};

const models = {
  classifier: () =>
    AutoModelForSequenceClassification.fromConfig(AutoConfig.forModel('bert', sizes), {
      device: device.current,
    }),
  'masked LM': () =>
    AutoModelForMaskedLM.fromConfig(AutoConfig.forModel('bert', { ...sizes, tieWordEmbeddings: false }), {
      device: device.current,
    }),
  'RoBERTa’s classifier': () =>
    AutoModelForSequenceClassification.fromConfig(
      AutoConfig.forModel('roberta', { ...sizes, maxPositionEmbeddings: 20 }),
      { device: device.current },
    ),
} satisfies Record<string, () => Promise<PreTrainedModel>>;

const layer = 'bert.encoder.layer.1';
const paths: [keyof typeof models, string][] = [
  ['classifier', `${layer}.attention.self.qkv`],
  ['classifier', `${layer}.attention.output.dense`],
  ['classifier', `${layer}.intermediate.dense`],
  ['classifier', `${layer}.output.dense`],
  ['classifier', 'bert.pooler.dense'],
  ['classifier', 'classifier'],
  ['masked LM', 'lm_head.dense'],
  ['masked LM', 'lm_head.decoder'],
  ['RoBERTa’s classifier', 'classifier.dense'],
  ['RoBERTa’s classifier', 'classifier.out_proj'],
];

function find(model: object, path: string): { parent: object; key: string; found: Linear } {
  const keys = path.split('.');
  const key = keys.pop()!;
  const parent = keys.reduce<object>((part, name) => Reflect.get(part, name) as object, model);
  return { parent, key, found: Reflect.get(parent, key) as Linear };
}

const ids = () => device.current.tensor(Int32Array.from([2, 5, 7, 9, 3, 2, 8, 11, 3, 6]), [2, 5]);

/** Logits, and gradients of a weighted sum of them; in mixed precision if `half`. */
async function run(model: PreTrainedModel, half: boolean): Promise<Float32Array> {
  const forward = () =>
    (model as unknown as { forward(inputs: object): { logits: Tensor } }).forward({ inputIds: ids() }).logits;
  const logits = to(half ? autocast(forward) : forward(), 'float32');
  const weights = device.current.tensor(Float32Array.from(randomArray(logits.shape, 3).data), logits.shape);
  sum(mul(logits, weights)).backward();
  return logits.float32Data();
}

const largest = (values: Float32Array): number => values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);

function expectNear(got: Float32Array, wanted: Float32Array, tolerance: number): void {
  const difference = largest(got.map((value, i) => value - wanted[i]!));
  expect(difference / largest(wanted)).toBeLessThan(tolerance);
}

/** Makes a model and its equal. */
async function twins(kind: keyof typeof models): Promise<[PreTrainedModel, PreTrainedModel]> {
  const [one, other] = [(await models[kind]()).eval(), (await models[kind]()).eval()];
  for (const [name, tensor] of one.stateDict()) {
    const twin = other.stateDict().get(name)!;
    twin.write(await tensor.float32Data());
  }
  return [one, other];
}

/** Expects both models to give the same, which is not what was `before`; disposes of them. */
async function expectSame(
  [changed, plain]: readonly [PreTrainedModel, PreTrainedModel],
  before: Float32Array,
  half: boolean,
  tolerance: number,
): Promise<void> {
  const wanted = await run(plain, half);
  expect(largest(wanted.map((value, i) => value - before[i]!))).toBeGreaterThan(0.01);
  expectNear(await run(changed, half), wanted, tolerance);
  for (const model of [changed, plain]) model.dispose();
}

const precisions = { float32: 2e-5, 'mixed precision': 2e-2 };

for (const [precision, tolerance] of Object.entries(precisions)) {
  const half = precision !== 'float32';
  for (const Replacement of [ByOperands, ByForward]) {
    for (const [kind, path] of paths) {
      it(`${Replacement.name} in ${precision}, ${kind}: ${path}`, async ({ skip }) => {
        const { current } = device;
        skip(half && !current.gpu.float16, 'the adapter has no float16');
        using _scope = current.scope();
        current.manualSeed(1);
        const [changed, plain] = await twins(kind);
        const before = await run(plain, half);
        plain.zeroGrad();
        const { parent, key, found } = find(changed, path);
        const replacement = new Replacement(found);
        Reflect.set(parent, key, replacement);
        const { up, down } = replacement;
        const summed = find(plain, path).found.weight;
        current.assign(summed, add(summed.detach(), matmul(up, down).detach()));

        const wanted = await run(plain, half);
        expect(largest(wanted.map((value, i) => value - before[i]!))).toBeGreaterThan(0.1);
        expectNear(await run(changed, half), wanted, tolerance);

        const gradient = summed.grad!.detach();
        const wantedUp = matmul(gradient, down.detach(), { transposeB: true });
        const wantedDown = matmul(up.detach(), gradient, { transposeA: true });
        for (const [tensor, gradientOf] of [
          [up, wantedUp],
          [down, wantedDown],
          [found.weight, gradient],
        ] as const)
          expectNear(await tensor.grad!.float32Data(), await gradientOf.float32Data(), tolerance);
        for (const model of [changed, plain]) model.dispose();
      });
    }
  }

  it.for([
    [`${layer}.attention.output`, 'LayerNorm'],
    [`${layer}.output`, 'LayerNorm'],
    [`${layer}.attention.output`, 'dropout'],
    [`${layer}.output`, 'dropout'],
  ] as const)(`a replaced forward in ${precision}: %s.%s`, async ([path, name], { skip }) => {
    const { current } = device;
    skip(half && !current.gpu.float16, 'the adapter has no float16');
    using _scope = current.scope();
    current.manualSeed(1);
    const [changed, plain] = await twins('classifier');
    const before = await run(plain, half);
    const [{ found: parent }, { found: twin }] = [find(changed, path), find(plain, path)];
    const replacement = name === 'dropout' ? new Halving(0) : new HalvingNorm(current, sizes.hiddenSize);
    if (replacement instanceof HalvingNorm)
      for (const key of ['weight', 'bias'] as const)
        current.assign(replacement[key]!, (Reflect.get(parent, name) as LayerNorm)[key]!);
    Reflect.set(parent, name, replacement);
    const halved = Reflect.get(twin, name === 'dropout' ? 'dense' : name) as Linear | LayerNorm;
    for (const tensor of [halved.weight, halved.bias!]) current.assign(tensor, scale(tensor.detach(), 0.5));

    await expectSame([changed, plain], before, half, tolerance);
  });

  it.for(['word', 'position', 'token_type'])(
    `a replaced forward in ${precision}: embeddings of %s`,
    async (kind, { skip }) => {
      const { current } = device;
      skip(half && !current.gpu.float16, 'the adapter has no float16');
      using _scope = current.scope();
      current.manualSeed(1);
      const [changed, plain] = await twins('classifier');
      const before = await run(plain, half);
      const path = `bert.embeddings.${kind}_embeddings`;
      const { parent, key, found } = find(changed, path);
      const [rows, width] = found.weight.shape as [number, number];
      const replacement = new HalvingEmbedding(current, rows, width);
      current.assign(replacement.weight, found.weight);
      Reflect.set(parent, key, replacement);
      const { weight } = find(plain, path).found;
      current.assign(weight, scale(weight.detach(), 0.5));

      await expectSame([changed, plain], before, half, tolerance);
    },
  );

  it(`layers without biases, in ${precision}`, async ({ skip }) => {
    const { current } = device;
    skip(half && !current.gpu.float16, 'the adapter has no float16');
    using _scope = current.scope();
    current.manualSeed(1);
    const [changed, plain] = await twins('masked LM');
    for (const model of [changed, plain]) {
      for (const module of model.modules())
        if ((module instanceof Linear || module instanceof LayerNorm) && module.bias !== null)
          current.fill(module.bias, 0);
    }
    for (const module of [...changed.modules()]) {
      for (const [name, child] of module.namedChildren()) {
        if (!(child instanceof Linear || child instanceof LayerNorm)) continue;
        const made =
          child instanceof LayerNorm
            ? new LayerNorm(current, child.weight.size, { eps: child.eps, bias: false })
            : new Linear(current, child.weight.shape[1]!, child.weight.shape[0]!, { bias: false });
        current.assign(made.weight, child.weight);
        Reflect.set(module, name, made);
        child.dispose();
      }
    }
    expect([...changed.stateDict().keys()].filter((name) => name.endsWith('bias'))).toEqual([
      'cls.predictions.bias',
    ]);
    expect(await run(changed, half)).toEqual(await run(plain, half));
    for (const [name, { grad }] of changed.stateDict())
      expect(await grad?.float32Data(), name).toEqual(await plain.stateDict().get(name)!.grad?.float32Data());
    for (const model of [changed, plain]) model.dispose();
  });
}
