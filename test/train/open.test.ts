/** The Trainer trains and evaluates any model: question answering, custom models, custom batches. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  type Batch,
  dataCollatorForTokenClassification,
  dataCollatorWithPadding,
  type PaddedBatch,
} from '../../src/data/collate.ts';
import { ArrayDataset, type Example } from '../../src/data/dataset.ts';
import { DataLoader } from '../../src/data/loader.ts';
import { ConfigError, DataError } from '../../src/errors.ts';
import {
  AutoConfig,
  AutoModelForMaskedLM,
  AutoModelForQuestionAnswering,
  AutoModelForTokenClassification,
} from '../../src/models/auto.ts';
import { BertModel } from '../../src/models/bert.ts';
import type { BaseModel } from '../../src/models/common/base-model.ts';
import type { PretrainedConfig } from '../../src/models/common/config.ts';
import { PreTrainedModel } from '../../src/models/common/pretrained.ts';
import { AdamW } from '../../src/optim/adamw.ts';
import { clipFactor } from '../../src/optim/clip.ts';
import { getLinearScheduleWithWarmup } from '../../src/optim/schedule.ts';
import type { Device } from '../../src/tensor/device.ts';
import { mul } from '../../src/tensor/ops/elementwise.ts';
import { mseLoss } from '../../src/tensor/ops/loss.ts';
import { sum } from '../../src/tensor/ops/reduction.ts';
import { noGrad } from '../../src/tensor/tape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { joinBatches } from '../../src/train/arrays.ts';
import type { EvalPrediction } from '../../src/train/evaluate.ts';
import { toTensors } from '../../src/train/inputs.ts';
import { argmaxRows } from '../../src/train/metrics.ts';
import { predictBatches } from '../../src/train/predict.ts';
import { Trainer, type TrainerOptions } from '../../src/train/trainer.ts';
import { useDevice } from '../support/device.ts';
import { models, readTensors } from '../support/fixtures.ts';
import { toyDataset } from '../support/toy.ts';
import { losses, useFolders } from '../support/trainer.ts';
import { weightsOf } from '../support/weights.ts';

const device = useDevice();
const freshFolder = useFolders();
const collate = dataCollatorWithPadding({ padTokenId: 0 });

/** Texts of several lengths; the first token decides where the answer is. */
function questions(count: number, seed: number): ArrayDataset {
  const texts = toyDataset(count, 3, seed);
  return new ArrayDataset(
    Array.from({ length: count }, (_, index): Example => {
      const { inputIds } = texts.get(index);
      const startPositions = inputIds[1]! % inputIds.length;
      return { inputIds, startPositions, endPositions: Math.min(startPositions + 1, inputIds.length - 1) };
    }),
  );
}

const answering = (dropout = 0.1) =>
  AutoModelForQuestionAnswering.fromPretrained(`${models}bert-qa`, {
    device: device.current,
    hiddenDropoutProb: dropout,
    attentionProbsDropoutProb: dropout,
  });

/** Evaluates in batches of two; returns what `computeMetrics` got. */
async function predictionOf(options: Omit<TrainerOptions, 'args' | 'computeMetrics'>) {
  let seen: EvalPrediction | undefined;
  const trainer = new Trainer({
    ...options,
    args: { outputDir: freshFolder(), perDeviceEvalBatchSize: 2 },
    computeMetrics: (prediction) => {
      seen = prediction;
      return { one: 1 };
    },
  });
  const { metrics } = await trainer.evaluate();
  return { metrics, seen };
}

describe('question answering', () => {
  const args = { perDeviceTrainBatchSize: 4, learningRate: 1e-3, weightDecay: 0.1, seed: 11 };

  it('gives the losses, norms and weights of a loop of one’s own, bit for bit', async () => {
    const trainDataset = questions(21, 1);
    const outputDir = freshFolder();
    const trained = await answering();
    const trainer = new Trainer({
      model: trained,
      trainDataset,
      args: { ...args, outputDir, numTrainEpochs: 2, loggingSteps: 1, saveStrategy: 'no' },
    });
    await trainer.train();

    const model = await answering();
    model.device.manualSeed(args.seed);
    const loader = new DataLoader(trainDataset, { batchSize: 4, shuffle: true, seed: args.seed, collate });
    const undecayed = model.undecayedParameters();
    const group = (decayed: boolean) => model.parameters().filter((one) => undecayed.has(one) !== decayed);
    const optimizer = new AdamW(
      [
        { params: group(true), weightDecay: args.weightDecay },
        { params: group(false), weightDecay: 0 },
      ],
      { lr: args.learningRate },
    );
    const scheduler = getLinearScheduleWithWarmup(optimizer, 0, 2 * loader.length);
    const steps: { loss: number; norm: number }[] = [];
    for (const epoch of [0, 1]) {
      model.train();
      for (const batch of loader.batches(epoch)) {
        using _scope = model.device.scope();
        const { loss } = model.forward(toTensors(model.device, batch));
        loss!.backward();
        const gradScale = clipFactor(model.parameters(), 1)!;
        optimizer.step({ gradScale });
        scheduler.step();
        optimizer.zeroGrad();
        const [norm] = await gradScale.float32Data();
        steps.push({ loss: Number((await loss!.item()).toFixed(6)), norm: norm! });
      }
    }
    expect(steps).toHaveLength(12);
    expect(losses(trainer)).toEqual(steps.map(({ loss }) => loss));
    expect(
      trainer.state.logHistory.flatMap(({ grad_norm }) => (grad_norm === undefined ? [] : [grad_norm])),
    ).toEqual(steps.map(({ norm }) => norm));
    const saved = await readTensors(join(outputDir, 'model.safetensors'));
    for (const [name, { values }] of weightsOf(model)) expect(await values(), name).toEqual(saved.get(name));
    optimizer.dispose();
    trained.dispose();
    model.dispose();
  });

  it('is evaluated by name, batches of other lengths filled up with −100', async () => {
    const model = await answering(0);
    const evalDataset = questions(5, 2);
    const { metrics, seen } = await predictionOf({ model, evalDataset });
    expect(metrics).toMatchObject({ eval_one: 1 });
    const longest = Math.max(...Array.from({ length: 5 }, (_, i) => evalDataset.get(i).inputIds.length));
    const { startLogits, endLogits } = seen!.predictions;
    for (const logits of [startLogits!, endLogits!]) expect(logits.shape).toEqual([5, longest]);
    const { startPositions, endPositions } = seen!.labelIds;
    for (const positions of [startPositions!, endPositions!]) expect(positions.shape).toEqual([5]);
    expect(startPositions!.values).toEqual(
      Int32Array.from({ length: 5 }, (_, i) => evalDataset.get(i).startPositions!),
    );
    // Padding is computed: the loss's softmax sees it, as transformers' does.
    let [loss, row] = [0, 0];
    for (const batch of new DataLoader(evalDataset, { batchSize: 2, collate }).batches()) {
      using _scope = device.current.scope();
      const { skipPadding, ...tensors } = toTensors(device.current, batch);
      expect(skipPadding).toBe(true);
      const output = noGrad(() => model.forward(tensors));
      const [examples, length] = batch.shape;
      loss += (await output.loss!.item()) * examples;
      const logits = await output.startLogits.float32Data();
      for (let i = 0; i < examples; i += 1, row += 1) {
        const values = [...startLogits!.values.subarray(row * longest, (row + 1) * longest)];
        expect(values.slice(0, length)).toEqual([...logits.subarray(i * length, (i + 1) * length)]);
        expect(values.slice(length)).toEqual(Array(longest - length).fill(-100));
        expect(argmaxRows(values, longest)[0]).toBeLessThan(length);
      }
    }
    expect(row).toBe(5);
    expect(metrics.eval_loss).toBeCloseTo(loss / 5, 6);
    expect(() => seen!.logits).toThrow(
      'computeMetrics: there is no predictions.logits · use predictions.startLogits.values, predictions.endLogits.values',
    );
    const plain = new Trainer({ model, evalDataset, args: { outputDir: freshFolder() } });
    expect(Object.keys((await plain.evaluate()).metrics)).toEqual([
      'eval_loss',
      'eval_runtime',
      'eval_samples_per_second',
    ]);
    model.dispose();
  });

  it('counts positions in the padded row, and leaves out an answer past the text', () => {
    const left = dataCollatorWithPadding({ padTokenId: 0, paddingSide: 'left' });
    const examples = [
      { inputIds: [2, 9, 3], startPositions: 1, endPositions: 3 },
      { inputIds: [2, 8, 7, 6, 3], startPositions: 0, endPositions: 4 },
    ];
    expect(left(examples, [0, 1])).toMatchObject({
      startPositions: Int32Array.of(3, 0),
      endPositions: Int32Array.of(5, 4),
      shapes: { startPositions: [2], endPositions: [2] },
    });
    expect(collate(examples, [0, 1]).startPositions).toEqual(Int32Array.of(1, 0));
    for (const odd of [-1, 0.5, '1'])
      expect(() => collate([{ inputIds: [2], startPositions: odd as number }], [4])).toThrow(
        /^example 4: startPositions is '?(-1|0\.5|1)'? · count tokens from 0/,
      );
    expect(() => collate([examples[0]!, { inputIds: [2] }], [0, 1])).toThrow(
      'some examples of a batch have startPositions, others not',
    );
    const python = { inputIds: [2], start_positions: 0 } as Example;
    expect(() => collate([python], [0])).toThrow(
      "has 'start_positions', which is not read · its name is startPositions",
    );
  });
});

describe('evaluation by name', () => {
  it('gives logits and labels of texts as transformers’ EvalPrediction does', async () => {
    const model = await AutoModelForTokenClassification.fromPretrained(`${models}bert-token`, {
      device: device.current,
    });
    const texts = [[5, 9, 20, 31], [7], [8, 40]].map((tokens) => ({
      inputIds: [2, ...tokens, 3],
      label: [-100, ...tokens.map((token) => token % 3), -100],
    }));
    const options = {
      model,
      evalDataset: new ArrayDataset(texts),
      dataCollator: dataCollatorForTokenClassification({ padTokenId: 0 }),
    };
    const { seen } = await predictionOf(options);
    expect(seen!.predictions.logits!.shape).toEqual([3, 6, model.config.numLabels]);
    expect(seen!.logits).toBe(seen!.predictions.logits!.values);
    expect(seen!.labels).toEqual(Float32Array.from(seen!.labelIds.labels!.values));
    expect([...seen!.labels]).toEqual(
      texts.flatMap(({ label }) => [...label, ...Array<number>(6 - label.length).fill(-100)]),
    );
    // The third text is in a batch of four tokens: what it has no logits for is filled up.
    const { numLabels } = model.config;
    expect([...seen!.logits.slice(-2 * numLabels)]).toEqual(Array(2 * numLabels).fill(-100));
    expect([...seen!.logits.slice(0, -2 * numLabels)]).not.toContain(-100);
    model.dispose();
  });

  it('gives scores of masked tokens to computeMetrics alone', async () => {
    const model = await AutoModelForMaskedLM.fromPretrained(`${models}roberta-mlm`, {
      device: device.current,
    });
    /** Masks the second and third token of each text. */
    const dataCollator = (examples: readonly Example[], indices: readonly number[]): PaddedBatch => {
      const batch = collate(
        examples.map(({ inputIds }) => ({ inputIds })),
        indices,
      );
      const positions = Int32Array.from(
        examples.flatMap((_, row) => [1, 2].map((at) => row * batch.shape[1] + at)),
      );
      const shape = [positions.length];
      const labels = Int32Array.from(positions, (at) => batch.inputIds[at]!);
      for (const at of positions) batch.inputIds[at] = 4;
      return { ...batch, positions, labels, shapes: { positions: shape, labels: shape } };
    };
    const options = { model, dataCollator, evalDataset: toyDataset(3, 3, 4) };
    const { metrics, seen } = await predictionOf(options);
    expect(seen!.predictions.logits!.shape).toEqual([6, model.config.vocabSize]);
    expect(seen!.labelIds.labels!.shape).toEqual([6]);
    const plain = await new Trainer({ ...options, args: { outputDir: freshFolder() } }).evaluate();
    expect(plain.metrics.eval_loss).toBeCloseTo(metrics.eval_loss!, 5);
    expect(plain.confusion).toBeUndefined();
    model.dispose();
  });

  it('joins arrays of other lengths, and refuses those of another rank', () => {
    const part = (values: number[], shape: number[]) => ({ values: Float32Array.from(values), shape });
    expect(joinBatches('x', [part([1, 2], [1, 2, 1]), part([3, 4, 5, 6, 7, 8], [2, 1, 3])])).toEqual({
      values: Float32Array.of(
        1,
        -100,
        -100,
        2,
        -100,
        -100,
        3,
        4,
        5,
        -100,
        -100,
        -100,
        6,
        7,
        8,
        -100,
        -100,
        -100,
      ),
      shape: [3, 2, 3],
    });
    expect(joinBatches('x', [part([1], [1]), part([2, 3], [2])])).toEqual(part([1, 2, 3], [3]));
    expect(() => joinBatches('x', [part([1], [1]), part([2], [1, 1])])).toThrow(DataError);
  });
});

interface Pair {
  query: readonly number[];
  passage: readonly number[];
  relevance: number;
}

/** Two texts, and how near they are: a batch with two pairs of inputs, and no label by a usual name. */
class TwoTowers extends PreTrainedModel {
  readonly bert: BertModel;

  constructor(config: PretrainedConfig, where: Device) {
    super(config, where);
    this.bert = new BertModel(config, { device: where });
  }

  override get base(): BaseModel {
    return this.bert;
  }

  forward(
    inputs: Record<'queryIds' | 'queryMask' | 'passageIds' | 'passageMask', Tensor> & { relevance?: Tensor },
  ): {
    loss?: Tensor;
    similarity: Tensor;
    queryEmbedding: Tensor;
  } {
    const { queryIds, queryMask, passageIds, passageMask, relevance, ...others } = inputs;
    for (const name of Object.keys(others)) throw new ConfigError(`TwoTowers: there is no input '${name}'`);
    const embed = (inputIds: Tensor, attentionMask: Tensor) =>
      this.bert.forward({ inputIds, attentionMask }).poolerOutput!;
    const queryEmbedding = embed(queryIds, queryMask);
    const similarity = sum(mul(queryEmbedding, embed(passageIds, passageMask)), 1);
    const output = { similarity, queryEmbedding };
    return relevance === undefined ? output : { loss: mseLoss(similarity, relevance), ...output };
  }
}

function padded(rows: readonly (readonly number[])[]) {
  const { inputIds, attentionMask, shape } = collate(
    rows.map((ids) => ({ inputIds: ids })),
    [...rows.keys()],
  );
  return { inputIds, attentionMask, shape };
}

/** Queries and passages of lengths of their own. */
function pairs(examples: readonly Pair[], indices: readonly number[]): Batch {
  const queries = padded(examples.map(({ query }) => query));
  const passages = padded(examples.map(({ passage }) => passage));
  return {
    queryIds: queries.inputIds,
    queryMask: queries.attentionMask,
    passageIds: passages.inputIds,
    passageMask: passages.attentionMask,
    relevance: Float32Array.from(examples, ({ relevance }) => relevance),
    shape: queries.shape,
    shapes: { passageIds: passages.shape, passageMask: passages.shape, relevance: [examples.length] },
    indices,
  };
}

const pairDataset = new ArrayDataset<Pair>(
  Array.from({ length: 10 }, (_, i) => ({
    query: [2, 10 + i, 3],
    passage: [2, ...Array.from({ length: 2 + (i % 5) }, (_unused, j) => 20 + i + j), 3],
    relevance: i % 2,
  })),
);

const towers = (): TwoTowers => {
  const config = AutoConfig.forModel('bert', {
    vocabSize: 131,
    hiddenSize: 16,
    numHiddenLayers: 1,
    numAttentionHeads: 2,
    intermediateSize: 16,
    maxPositionEmbeddings: 20,
    initializerRange: 0.2,
  });
  const model = new TwoTowers(config, device.current);
  device.current.manualSeed(3);
  model.initWeights();
  return model;
};

describe('a model and a collator of the user’s own', () => {
  it('train, are evaluated by name and saved', async () => {
    const model = towers();
    const seen: EvalPrediction[] = [];
    const outputDir = freshFolder();
    const trainer = new Trainer({
      model,
      trainDataset: pairDataset,
      evalDataset: pairDataset,
      dataCollator: pairs,
      computeMetrics: (prediction) => {
        seen.push(prediction);
        return { near: prediction.predictions.similarity!.values[0] as number };
      },
      args: {
        outputDir,
        perDeviceTrainBatchSize: 4,
        perDeviceEvalBatchSize: 4,
        numTrainEpochs: 12,
        learningRate: 5e-3,
        loggingSteps: 3,
        evalStrategy: 'epoch',
        saveStrategy: 'no',
        labelNames: ['relevance'],
        gradientAccumulationSteps: 2,
      },
    });
    await trainer.train();
    const logged = losses(trainer);
    expect(logged.at(-1)!).toBeLessThan(logged[0]! / 2);
    const { predictions, labelIds } = seen.at(-1)!;
    expect(predictions.similarity!.shape).toEqual([10]);
    expect(predictions.queryEmbedding!.shape).toEqual([10, 16]);
    expect([...labelIds.relevance!.values]).toEqual([0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
    expect(trainer.state.logHistory.at(-2)).toHaveProperty('eval_near');
    const saved = await readTensors(join(outputDir, 'model.safetensors'));
    expect(saved.has('bert.embeddings.word_embeddings.weight')).toBe(true);
    model.dispose();
  });

  it('have labels only where they are named as such', async () => {
    const model = towers();
    const { metrics, seen } = await predictionOf({ model, evalDataset: pairDataset, dataCollator: pairs });
    expect(seen).toBeUndefined();
    expect(metrics.eval_loss).toBeGreaterThan(0);
    model.dispose();
  });

  it('are told of a name that the model does not take, and of what is no array', async () => {
    const model = towers();
    const attempt = (more: object) =>
      new Trainer({
        model,
        evalDataset: pairDataset,
        dataCollator: (examples: readonly Pair[], indices: readonly number[]) => ({
          ...pairs(examples, indices),
          ...more,
        }),
        args: { outputDir: freshFolder() },
      }).evaluate();
    await expect(attempt({ weight: Float32Array.of(1) })).rejects.toThrow("there is no input 'weight'");
    await expect(attempt({ relevance: [1, 2] })).rejects.toThrow(
      "toTensors: 'relevance' is no Int32Array or Float32Array",
    );
    await expect(attempt({ shapes: { relevance: [3] } })).rejects.toThrow(
      "toTensors: 'relevance' has 8 values for the shape [3]",
    );
    model.dispose();
  });

  it('give what they name', async () => {
    const model = towers();
    const loader = new DataLoader(pairDataset, { batchSize: 10, collate: pairs });
    for await (const { outputs, logits, loss } of predictBatches(model, loader.batches())) {
      expect(Object.keys(outputs)).toEqual(['similarity', 'queryEmbedding']);
      expect(logits).toHaveLength(0);
      expect(loss).toBeGreaterThan(0);
    }
    model.dispose();
  });
});
