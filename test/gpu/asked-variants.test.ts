/**
 * The test that compiles every variant knows all that models ask for: steps of models run on a device that
 * computes nothing, and each variant they ask for must be known.
 */
import { beforeAll, beforeEach, expect, it, vi } from 'vitest';
import type { Pipeline } from '../../src/gpu/pipelines.ts';
import type { SubgroupMatrix } from '../../src/gpu/subgroup-matrix.ts';
import {
  AutoConfig,
  AutoModelForMaskedLM,
  AutoModelForMultipleChoice,
  AutoModelForPreTraining,
  AutoModelForQuestionAnswering,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
} from '../../src/models/auto.ts';
import { hiddenActivations } from '../../src/models/common/activations.ts';
import type { ConfigOverrides } from '../../src/models/config.ts';
import { type ModelType, modelTypes } from '../../src/models/registry.ts';
import { AdamW } from '../../src/optim/adamw.ts';
import { clipFactor } from '../../src/optim/clip.ts';
import { GradScaler } from '../../src/optim/grad-scaler.ts';
import { autocast } from '../../src/tensor/autocast.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import { useDevice } from '../support/device.ts';
import { tinySizes } from '../support/toy.ts';
import { everyVariant } from '../support/variants.ts';

const device = useDevice({ adapter: 'null' });
const known = new Set(everyVariant());
const asked = new Set<string>();
const missed = new Set<string>();

beforeAll(() => {
  const { gpu } = device.current;
  vi.spyOn(gpu.recorder, 'dispatch').mockImplementation(() => {});
  vi.spyOn(gpu.pipelines, 'get').mockImplementation((variant) => {
    asked.add(variant.shader);
    if (!known.has(variant)) missed.add(variant.key);
    return {} as Pipeline;
  });
});
beforeEach(() => {
  asked.clear();
  missed.clear();
});

function matrix(component: 'f16' | 'f32', size: number): SubgroupMatrix {
  return { component, M: size, N: size, K: size, lanes: 32, maxLanes: 32 };
}

/** What a context knows of an adapter. */
const adapters = {
  'kernels for GPUs': { kernels: 'gpu', subgroupSize: 0, subgroupMatrices: [] },
  'matrices of float16': { kernels: 'gpu', subgroupSize: 32, subgroupMatrices: [matrix('f16', 16)] },
  'matrices of float32': { kernels: 'gpu', subgroupSize: 32, subgroupMatrices: [matrix('f32', 8)] },
  'kernels for CPUs': { kernels: 'cpu', subgroupSize: 0, subgroupMatrices: [] },
  'subgroups of 4': { kernels: 'cpu', subgroupSize: 4, subgroupMatrices: [] },
  'subgroups of 8': { kernels: 'cpu', subgroupSize: 8, subgroupMatrices: [] },
  'subgroups of 16': { kernels: 'cpu', subgroupSize: 16, subgroupMatrices: [] },
} as const;

const [BATCH, LENGTH] = [3, 7];
const ints = (count: number, shape: number[]) => device.current.tensor(new Int32Array(count).fill(1), shape);
const perText = (count = 1) => ints(BATCH * count, count === 1 ? [BATCH] : [BATCH, count]);
const floats = (count: number) => device.current.tensor(new Float32Array(BATCH * count), [BATCH, count]);

/** The name of the second label that a family's pre-training takes. */
const pairLabels: Partial<Record<ModelType, string>> = {
  albert: 'sentenceOrderLabel',
  bert: 'nextSentenceLabel',
};

/** Each task's model, and the labels of a batch by their names. */
const tasks = {
  classification: [AutoModelForSequenceClassification, () => ({ labels: perText() })],
  'several labels': [AutoModelForSequenceClassification, () => ({ labels: floats(3) })],
  tokens: [AutoModelForTokenClassification, () => ({ labels: perText(LENGTH) })],
  answers: [AutoModelForQuestionAnswering, () => ({ startPositions: perText(), endPositions: perText() })],
  'masked tokens': [AutoModelForMaskedLM, () => ({ labels: perText(LENGTH) })],
  'pre-training': [
    AutoModelForPreTraining,
    (type: ModelType) => {
      const pair = pairLabels[type];
      return { labels: perText(LENGTH), ...(pair !== undefined && { [pair]: perText() }) };
    },
  ],
  choices: [AutoModelForMultipleChoice, () => ({ labels: ints(1, [1]) })],
} as const;
type Task = keyof typeof tasks;

interface Case {
  type: ModelType;
  task: Task;
  values?: ConfigOverrides;
}

/** Widths of heads around the limits of each technique, and some that are not multiples of four. */
const headSizes = [5, 6, 8, 32, 64, 68, 128, 132, 256];
const cases: Case[] = [
  ...modelTypes.flatMap((type) => (Object.keys(tasks) as Task[]).map((task) => ({ type, task }))),
  ...headSizes.map((size): Case => {
    return {
      type: 'bert',
      task: 'classification',
      values: { hiddenSize: 2 * size, intermediateSize: 3 * size },
    };
  }),
  ...(['relative_key', 'relative_key_query'] as const).map((positionEmbeddingType): Case => {
    return { type: 'bert', task: 'classification', values: { positionEmbeddingType } };
  }),
  ...hiddenActivations.map((hiddenAct): Case => {
    return { type: 'bert', task: 'masked tokens', values: { hiddenAct } };
  }),
];

/** Padding left out, or computed; and the plain way of attention. */
const ways = [{ skipPadding: true }, { skipPadding: false }, { outputAttentions: true }];

/** Training steps and a prediction, in every way. */
async function run({ type, task, values }: Case, fp16: boolean): Promise<void> {
  const { current } = device;
  using _scope = current.scope();
  const config = AutoConfig.forModel(type, {
    ...tinySizes,
    numLabels: task === 'answers' ? 2 : 3,
    ...values,
  });
  const [Auto, labels] = tasks[task];
  const model = await Auto.fromConfig(config, { device: current });
  const optimizer = new AdamW(model.parameters());
  const scaler = new GradScaler(current);
  const attentionMask = new Int32Array(BATCH * LENGTH).fill(1).fill(0, -2);
  const shape = task === 'choices' ? [1, BATCH, LENGTH] : [BATCH, LENGTH];
  const inputs = {
    inputIds: ints(BATCH * LENGTH, shape),
    attentionMask: current.tensor(attentionMask, shape),
    ...labels(type),
  };
  for (const way of ways) {
    const forward = () => model.forward({ ...inputs, ...way });
    const { loss } = fp16 ? autocast(forward) : forward();
    loss!.backward(scaler.scale);
    const gradScale = clipFactor(model.parameters(), 1, { lossScale: scaler });
    optimizer.step({ gradScale, skipNonFinite: true });
    scaler.update(gradScale);
    optimizer.zeroGrad();
    noGrad(() => (fp16 ? autocast(forward) : forward()));
  }
  optimizer.dispose();
  scaler.dispose();
  model.dispose();
}

for (const [name, adapter] of Object.entries(adapters)) {
  for (const fp16 of [false, true]) {
    it(`knows all that models ask for: ${name}${fp16 ? ', fp16' : ''}`, async () => {
      Object.assign(device.current.gpu, adapter);
      for (const one of cases) await run(one, fp16);
      expect([...missed]).toEqual([]);
      expect(asked.size).toBeGreaterThan(12);
    });
  }
}
