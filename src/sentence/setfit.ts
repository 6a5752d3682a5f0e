/** `SetFitModel`: a class for a text from a few examples of each, as in Python's setfit. */
import { platform } from '#platform';
import { CheckpointError, ConfigError, DataError } from '../errors.ts';
import type { BaseModel } from '../models/common/base-model.ts';
import { namesOf } from '../models/common/class-names.ts';
import { PreTrainedModel } from '../models/common/pretrained.ts';
import { openCheckpoint, WEIGHTS_NAME } from '../models/files/checkpoint-files.ts';
import { hubOptionNames, resolveModel } from '../models/files/hub.ts';
import type { LoadOptions } from '../models/files/load.ts';
import { writeSafetensors } from '../models/files/safetensors-writer.ts';
import { type SaveOptions, writeModel } from '../models/files/save.ts';
import type { FileWeight } from '../models/files/weight-names.ts';
import type { ModelAdapters } from '../models/peft/adapters.ts';
import { Linear } from '../nn/layers.ts';
import type { Module } from '../nn/module.ts';
import { checkOptions } from '../options.ts';
import { crossEntropy } from '../tensor/ops/loss.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { argmaxRows, softmaxRows } from '../train/metrics.ts';
import { predictBatches } from '../train/predict.ts';
import type { TrainOutput } from '../train/trainer.ts';
import { batchesByLength } from './batches.ts';
import { contrastivePairs, type PairOptions } from './contrastive-pairs.ts';
import { denseFiles, labelsFile, readLabels, readSettings, SENTENCE_FILES } from './folder.ts';
import { fitLogisticRegression } from './logistic-regression.ts';
import { CosineSimilarityLoss } from './losses/scored-pairs.ts';
import { type SentenceInputs, SentenceTransformer } from './sentence-transformer.ts';
import { type SentenceTrainerOptions, SentenceTransformerTrainer } from './trainer.ts';

export interface SetFitInputs extends SentenceInputs {
  /** int32 [texts] */
  labels?: Tensor | undefined;
}

/** A text and the number of its class. */
export interface LabelledText {
  text: string;
  label: number;
}

export class SetFitModel extends PreTrainedModel {
  /** Vectors to logits; zeros until it is fitted. */
  readonly head: Linear;

  /** A new head, with a row for each class of the config. */
  constructor(readonly body: SentenceTransformer) {
    super(body.config, body.device);
    const { config, embeddingDimension, device } = body;
    if (config.numLabels < 2)
      throw new ConfigError('SetFitModel: there are fewer than two classes', {
        remedy: 'pass numLabels or id2label',
      });
    this.head = new Linear(device, embeddingDimension, config.numLabels);
    for (const tensor of this.head.parameters()) device.fill(tensor, 0);
  }

  /**
   * Loads a folder that this class saved, or any model that `SentenceTransformer` loads, with a head that is
   * to be fitted: name its classes (`id2label`). Throws as `SentenceTransformer.fromPretrained` does, and
   * `CheckpointError` for a head that does not fit.
   */
  static async fromPretrained(idOrFolder: string, options: LoadOptions = {}): Promise<SetFitModel> {
    const hub = Object.entries(options).filter(([name]) => Object.hasOwn(hubOptionNames, name));
    const folder = await resolveModel(idOrFolder, Object.fromEntries(hub), 'all', SENTENCE_FILES);
    const { dense } = await readSettings(folder);
    const labels = options.id2label === undefined && dense !== null ? await readLabels(folder) : null;
    const classes = labels === null ? {} : { id2label: Object.fromEntries(labels.entries()) };
    const given = { ...options, ...classes };
    const model = new SetFitModel(await SentenceTransformer.withoutDense(folder, given, idOrFolder));
    if (dense !== null && options.id2label === undefined) await model.loadHead(dense);
    return model.eval();
  }

  private async loadHead(folder: string): Promise<void> {
    const checkpoint = await openCheckpoint(folder);
    try {
      for (const [name, tensor] of this.headWeights()) {
        const { shape } = checkpoint.entry(name);
        if (shape.join() !== tensor.shape.join())
          throw new CheckpointError(`${folder}: '${name}' is [${shape}], the model's [${tensor.shape}]`, {
            remedy: 'check id2label of config.json',
          });
        for await (const { elementOffset, values } of checkpoint.float32Chunks(name))
          tensor.write(values, elementOffset);
      }
    } finally {
      await checkpoint.close();
    }
  }

  private headWeights(): [string, Tensor][] {
    return [
      ['linear.weight', this.head.weight],
      ['linear.bias', this.head.bias!],
    ];
  }

  override get base(): BaseModel {
    return this.body.base;
  }

  override get architecture(): string {
    return this.body.architecture;
  }

  override get adapters(): ModelAdapters | null {
    return this.body.adapters;
  }

  override dispose(): void {
    this.body.dispose();
    this.head.dispose();
  }

  override namedParameters(prefix = ''): [string, Tensor][] {
    return this.body.namedParameters(prefix);
  }

  override stateDict(): Map<string, Tensor> {
    return this.body.stateDict();
  }

  /** @internal */
  override fileWeights(): Map<string, FileWeight> {
    return this.body.fileWeights();
  }

  override layerGroups(): Module[][] {
    return this.body.layerGroups();
  }

  /** @internal */
  override extraFiles(): Record<string, string> {
    const { adapters, body, config, head } = this;
    return {
      ...body.extraFiles(),
      ...denseFiles(body.settings, head.weight.shape),
      ...(adapters !== null && labelsFile(namesOf(config))),
    };
  }

  /**
   * Saves a folder of sentence-transformers whose last module, a `Dense`, is the head: Python's
   * `SentenceTransformer(folder).encode(texts)` gives the logits.
   */
  override async savePretrained(folder: string, options: SaveOptions = {}): Promise<void> {
    checkOptions<SaveOptions>('savePretrained', options, { dtype: true, existing: true });
    const weights = this.headWeights().map(([name, tensor]) => ({
      name,
      shape: tensor.shape,
      dtype: options.dtype ?? 'F32',
      read: () => tensor.float32Data(),
    }));
    const [config] = Object.keys(denseFiles(this.body.settings, this.head.weight.shape));
    await platform.writeFolder(folder, options.existing ?? 'merge', async (writer) => {
      await writeModel(writer, this, options);
      await this.body.tokenizer?.write(writer);
      await writer.writeFile(config!.replace(/[^/]+$/, WEIGHTS_NAME), (sink) =>
        writeSafetensors(sink, weights),
      );
    });
  }

  /** Inputs int32 [texts, length]. Throws as `SentenceTransformer.forward` does. */
  forward({ labels, ...inputs }: SetFitInputs): { loss?: Tensor; logits: Tensor } {
    return this.device.tidy(() => {
      const logits = this.head.forward(this.body.forward(inputs).sentenceEmbedding);
      return labels === undefined ? { logits } : { loss: crossEntropy(logits, labels), logits };
    });
  }

  /** Fits the head to texts, on the vectors that the body gives now. Throws `DataError` for an unknown class. */
  async fit(texts: readonly string[], labels: readonly number[]): Promise<void> {
    const { numLabels } = this.config;
    const odd = labels.find((label) => !Number.isInteger(label) || label < 0 || label >= numLabels);
    if (odd !== undefined || labels.length !== texts.length)
      throw new DataError(
        odd === undefined
          ? `fit: ${texts.length} texts have ${labels.length} labels`
          : `fit: the label ${odd} is none of ${numLabels} classes`,
        { remedy: `give each text a number from 0 to ${numLabels - 1}` },
      );
    this.eval();
    const { weight, bias } = fitLogisticRegression(
      await this.body.encode(texts, { prompt: '' }),
      labels,
      numLabels,
    );
    this.head.weight.write(weight);
    this.head.bias!.write(bias);
  }

  /** The probability of each class for each text. */
  async predictProba(texts: readonly string[], batchSize = 32): Promise<Float32Array[]> {
    const { tokenizer } = this.body;
    if (tokenizer === null) throw new ConfigError('SetFitModel: there is no tokenizer');
    const encoded = texts.map((text, at) => this.body.tokenize(text, '', at));
    const found: Float32Array[] = [];
    for await (const { batch, logits } of predictBatches(
      this,
      batchesByLength(encoded, tokenizer, batchSize),
    ))
      for (const [row, index] of batch.indices.entries()) {
        const { numLabels } = this.config;
        found[index] = Float32Array.from(
          softmaxRows(logits.subarray(row * numLabels, (row + 1) * numLabels), numLabels),
        );
      }
    return found;
  }

  /** The name of each text's class. */
  async predict(texts: readonly string[], batchSize = 32): Promise<string[]> {
    const names = namesOf(this.config);
    const found = await this.predictProba(texts, batchSize);
    return found.map((scores) => names[argmaxRows(scores, scores.length)[0]!]!);
  }
}

export interface SetFitTrainerOptions
  extends Omit<SentenceTrainerOptions, 'model' | 'trainDataset' | 'evalDataset'>,
    PairOptions {
  model: SetFitModel;
  trainDataset: readonly LabelledText[];
}

/**
 * Trains the body on pairs of texts, then fits the head, and saves the folder of both. Defaults are setfit's:
 * an epoch of all pairs, 16 in a batch, learning rate 2e-5, a tenth of the steps for warm-up, and
 * `CosineSimilarityLoss`. Throws as `SentenceTransformerTrainer` does.
 */
export class SetFitTrainer extends SentenceTransformerTrainer {
  private readonly few: SetFitTrainerOptions;

  constructor(options: SetFitTrainerOptions) {
    const { model, trainDataset, samplingStrategy, numIterations, seed, args, ...others } = options;
    const classes = trainDataset.map(({ label }) => label);
    const pairs = contrastivePairs(classes, {
      ...(samplingStrategy && { samplingStrategy }),
      ...(numIterations !== undefined && { numIterations }),
      seed: seed ?? args.seed ?? 42,
    });
    super({
      loss: new CosineSimilarityLoss(model.body),
      ...others,
      model: model.body,
      trainDataset: pairs.map(({ pair: [a, b], label }) => ({
        sentence1: trainDataset[a]!.text,
        sentence2: trainDataset[b]!.text,
        label,
      })),
      args: { ...fewShotArguments, ...args },
    });
    this.few = options;
  }

  override async train(options: { resumeFromCheckpoint?: string } = {}): Promise<TrainOutput> {
    const outcome = await super.train(options);
    if (outcome.interruptedAt !== null) return outcome;
    const { model, trainDataset } = this.few;
    await model.fit(
      trainDataset.map(({ text }) => text),
      trainDataset.map(({ label }) => label),
    );
    await model.savePretrained(this.args.outputDir);
    return outcome;
  }
}

/** setfit's defaults where `Trainer` has others. */
export const fewShotArguments = {
  numTrainEpochs: 1,
  perDeviceTrainBatchSize: 16,
  learningRate: 2e-5,
  warmupRatio: 0.1,
} as const;
