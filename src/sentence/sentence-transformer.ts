/** `SentenceTransformer`: vectors of texts, as in Python's sentence-transformers. */
import { platform } from '#platform';
import type { PaddedBatch } from '../data/collate.ts';
import { ConfigError, DataError } from '../errors.ts';
import { AutoModel } from '../models/auto.ts';
import type { BaseModel } from '../models/common/base-model.ts';
import type { PretrainedConfig } from '../models/common/config.ts';
import { checkInputs, type ModelInputs, modelInputNames } from '../models/common/inputs.ts';
import { KeptTables } from '../models/common/length-tables.ts';
import { PreTrainedModel } from '../models/common/pretrained.ts';
import { baseInputs } from '../models/common/tasks.ts';
import { hubOptionNames, resolveModel } from '../models/files/hub.ts';
import type { LoadOptions } from '../models/files/load.ts';
import { type Pushed, type PushOptions, pushWritten } from '../models/files/push.ts';
import { type SaveOptions, writeModel } from '../models/files/save.ts';
import type { FileWeight } from '../models/files/weight-names.ts';
import type { ModelAdapters } from '../models/peft/adapters.ts';
import type { LoraConfig } from '../models/peft/config.ts';
import { DEFAULT_ADAPTER } from '../models/peft/names.ts';
import { declarePure } from '../nn/module.ts';
import { check, checkOptions, type OptionNames } from '../options.ts';
import type { FolderWriter } from '../platform/contract.ts';
import type { Device } from '../tensor/device.ts';
import { normalize } from '../tensor/ops/text-vectors.ts';
import { reshape } from '../tensor/ops/view.ts';
import { Tensor } from '../tensor/tensor.ts';
import { AutoTokenizer } from '../text/auto.ts';
import type { PreTrainedTokenizer } from '../text/tokenizer.ts';
import { predictBatches } from '../train/predict.ts';
import { batchesByLength, checkBatchSize, type EncodedText } from './batches.ts';
import {
  defaultSettings,
  readSettings,
  SENTENCE_FILES,
  type SentenceSettings,
  settingsFiles,
} from './folder.ts';
import { pool } from './pooling.ts';
import { pairwiseSimilarity, similarityMatrix, unit } from './similarity.ts';

export interface SentenceInputs extends Omit<ModelInputs, 'inputsEmbeds'> {
  inputIds: Tensor;
  /** int32, as `attentionMask`: 1 for the tokens that are pooled. Default: all tokens. */
  poolingMask?: Tensor | undefined;
}

const { inputsEmbeds: _, ...tokenInputNames } = modelInputNames;
const inputNames: OptionNames<SentenceInputs> = { ...tokenInputNames, poolingMask: true };

export interface SentenceOutput {
  /** [texts, width], or [batch, columns, width] for inputs [batch, columns, length]. */
  sentenceEmbedding: Tensor;
  /** Losses are classes of their own. */
  loss?: undefined;
}

export interface EncodeTextsOptions {
  /** Texts in a batch. Default 32. */
  batchSize?: number;
  /** Put before each text. Default: that of `promptName`, else the model's default prompt. */
  prompt?: string;
  /** A name among the model's `prompts`. */
  promptName?: string;
  /** Give vectors unit length. Default false; some models do so anyway. */
  normalizeEmbeddings?: boolean;
  /** Keep the first so many numbers of each vector, before it is normalized. */
  truncateDim?: number;
  /** Only `sentence_embedding` is built. */
  outputValue?: 'sentence_embedding';
}

const encodeOptionNames: OptionNames<EncodeTextsOptions> = {
  batchSize: true,
  prompt: true,
  promptName: true,
  normalizeEmbeddings: true,
  truncateDim: true,
  outputValue: true,
};

const encodeAdvice = {
  convertToNumpy: 'leave it out: vectors are Float32Arrays',
  convertToTensor: 'leave it out: vectors are Float32Arrays; device.tensor() makes tensors',
  showProgressBar: 'leave it out',
  precision: 'leave it out: vectors are float32',
  device: 'pass it to fromPretrained',
};

export interface SentenceOptions extends Partial<SentenceSettings> {
  tokenizer?: PreTrainedTokenizer | null;
}

const settingNames: OptionNames<SentenceSettings> = {
  poolingMode: true,
  includePrompt: true,
  normalize: true,
  maxSeqLength: true,
  doLowerCase: true,
  prompts: true,
  defaultPromptName: true,
  similarityFnName: true,
};

/** Lengths of texts whose pooling is kept: a few numbers each. */
const MOST_LENGTHS = 64;

export class SentenceTransformer extends PreTrainedModel {
  readonly tokenizer: PreTrainedTokenizer | null;
  settings: SentenceSettings;
  private readonly pooling = new KeptTables<string>(MOST_LENGTHS);

  /** Around a model without a head. Throws `ConfigError` for an unknown option or prompt. */
  constructor(
    readonly transformer: BaseModel,
    options: SentenceOptions = {},
  ) {
    super(transformer.config, transformer.device);
    checkOptions<SentenceOptions>('SentenceTransformer', options, { ...settingNames, tokenizer: true });
    const { tokenizer = null, ...settings } = options;
    this.tokenizer = tokenizer;
    this.settings = { ...defaultSettings, ...settings };
    if (this.settings.defaultPromptName !== null) this.promptOf({});
  }

  /**
   * Loads a folder or hub id of sentence-transformers; one of transformers gets mean pooling, as in Python.
   * Options of the folder's settings win. Throws as `AutoModel.fromPretrained` does, and `ConfigError` for a
   * module that is not built.
   */
  static async fromPretrained(
    idOrFolder: string,
    options: LoadOptions & Partial<SentenceSettings> = {},
  ): Promise<SentenceTransformer> {
    const hub = Object.entries(options).filter(([name]) => Object.hasOwn(hubOptionNames, name));
    const folder = await resolveModel(idOrFolder, Object.fromEntries(hub), 'all', SENTENCE_FILES);
    const { dense } = await readSettings(folder);
    if (dense !== null)
      throw new ConfigError(`'${folder}' is a few-shot classifier`, {
        remedy: 'load it with SetFitModel, whose body is the SentenceTransformer',
      });
    return SentenceTransformer.withoutDense(folder, options, idOrFolder);
  }

  /** @internal As `fromPretrained` of a folder, without the head of a few-shot classifier. */
  static async withoutDense(
    folder: string,
    options: LoadOptions & Partial<SentenceSettings>,
    idOrFolder = folder,
  ): Promise<SentenceTransformer> {
    const { settings, transformer: path } = await readSettings(folder);
    const entries = Object.entries(options);
    const own = Object.fromEntries(entries.filter(([name]) => Object.hasOwn(settingNames, name)));
    const load = Object.fromEntries(entries.filter(([name]) => !Object.hasOwn(settingNames, name)));
    const hub = entries.filter(([name]) => Object.hasOwn(hubOptionNames, name));
    const tokenizer = await AutoTokenizer.fromPretrained(path, Object.fromEntries(hub));
    const transformer = await AutoModel.fromPretrained(path, load);
    // An adapter's base is found by the name that people gave.
    if (path === folder && transformer.adapters === null) transformer.nameOrPath = idOrFolder;
    const model = new SentenceTransformer(transformer, { ...settings, ...own, tokenizer });
    return model.eval();
  }

  /** Around a model with freshly drawn weights, in training mode, without a tokenizer. */
  static async fromConfig(
    config: PretrainedConfig,
    options: { device?: Device } = {},
  ): Promise<SentenceTransformer> {
    return new SentenceTransformer(await AutoModel.fromConfig(config, options));
  }

  override get base(): BaseModel {
    return this.transformer;
  }

  override get architecture(): string {
    return this.transformer.architecture;
  }

  override ownTables(): readonly Tensor[] {
    return this.pooling.all;
  }

  override get adapters(): ModelAdapters | null {
    return this.transformer.adapters;
  }

  /**
   * Makes an adapter of the transformer, which learns in its place; `savePretrained` then writes the adapter with
   * the modules' files, as Python does. Throws `ConfigError` for a name that is taken, or modules that are not
   * there. `new PeftModel(model.transformer)` has all else that concerns adapters.
   */
  async addAdapter(config: LoraConfig, adapterName = DEFAULT_ADAPTER): Promise<void> {
    // Code that few pages need is loaded apart.
    const { adaptersOf } = await import('../models/peft/inject.ts');
    const adapters = adaptersOf(this.transformer);
    adapters.add(adapterName, config);
    adapters.choose(adapterName);
  }

  override namedParameters(prefix = ''): [string, Tensor][] {
    return this.transformer.namedParameters(prefix);
  }

  override stateDict(): Map<string, Tensor> {
    return this.transformer.stateDict();
  }

  /** @internal */
  override fileWeights(): Map<string, FileWeight> {
    return this.transformer.fileWeights();
  }

  override dispose(): void {
    super.dispose();
    this.transformer.dispose();
  }

  /** @internal */
  override untie(name: string): void {
    this.transformer.untie(name);
  }

  /** @internal */
  override extraFiles(): Record<string, string> {
    return settingsFiles({ ...this.settings, maxSeqLength: this.maxSeqLength }, this.config.hiddenSize);
  }

  /** Saves the folder that Python's SentenceTransformer loads: model, tokenizer and modules. */
  override async savePretrained(folder: string, options: SaveOptions = {}): Promise<void> {
    checkOptions<SaveOptions>('savePretrained', options, { dtype: true, existing: true });
    await platform.writeFolder(folder, options.existing ?? 'merge', (writer) =>
      this.writeAll(writer, options),
    );
  }

  /** As `PreTrainedModel.pushToHub`, with the tokenizer and the modules' files. */
  override async pushToHub(id: string, options: PushOptions = {}): Promise<Pushed> {
    return pushWritten(id, 'SentenceTransformer', (folder) => this.writeAll(folder), options);
  }

  private async writeAll(folder: FolderWriter, options: SaveOptions = {}): Promise<void> {
    await writeModel(folder, this, options);
    await this.tokenizer?.write(folder);
  }

  /** Most tokens of a text. */
  get maxSeqLength(): number {
    const { maxSeqLength: own } = this.settings;
    const most = this.transformer.maxLength;
    return own === null ? Math.min(most, this.tokenizer?.modelMaxLength ?? most) : Math.min(own, most);
  }

  /** Numbers of a vector. */
  get embeddingDimension(): number {
    return this.config.hiddenSize * this.settings.poolingMode.length;
  }

  /**
   * Inputs int32 [texts, length] or [batch, columns, length]. Throws `ShapeError` if they do not fit the
   * model, `ConfigError` for an unknown input.
   */
  forward(inputs: SentenceInputs): SentenceOutput {
    return this.device.tidy(() => {
      const shape = inputs?.inputIds instanceof Tensor ? inputs.inputIds.shape : [];
      const texts = shape.length === 3 ? flattened(inputs) : inputs;
      const { poolingMask: seen, ...model } = texts;
      checkInputs('SentenceTransformer.forward', texts, inputNames);
      const { lastHiddenState } = this.transformer.forward({
        ...baseInputs(model),
        skipPadding: texts.skipPadding ?? true,
      });
      const ones = () => new Int32Array(texts.inputIds.size).fill(1);
      const mask = texts.attentionMask ?? this.device.tensor(ones(), texts.inputIds.shape);
      const { poolingMode, normalize: toUnits } = this.settings;
      const pooled = pool(lastHiddenState, poolingMode, { mask, seen, tables: this.pooling });
      const vectors = toUnits ? normalize(pooled) : pooled;
      return {
        sentenceEmbedding: shape.length === 3 ? reshape(vectors, [shape[0]!, shape[1]!, -1]) : vectors,
      };
    });
  }

  /**
   * The vectors of texts, in their order; of one text, its vector. Texts of similar length are computed
   * together. Throws `ConfigError` for an unknown option or prompt, `DataError` for what is not a text.
   */
  async encode(text: string, options?: EncodeTextsOptions): Promise<Float32Array>;
  async encode(texts: readonly string[], options?: EncodeTextsOptions): Promise<Float32Array[]>;
  async encode(
    texts: string | readonly string[],
    options: EncodeTextsOptions = {},
  ): Promise<Float32Array | Float32Array[]> {
    if (typeof texts === 'string') return (await this.encode([texts], options))[0]!;
    checkOptions('encode', options, encodeOptionNames, encodeAdvice);
    const { batchSize = 32, normalizeEmbeddings = false, truncateDim, outputValue } = options;
    checkBatchSize('encode: batchSize', batchSize);
    check(
      'encode: outputValue',
      outputValue,
      outputValue === undefined || outputValue === 'sentence_embedding',
      "only 'sentence_embedding' is built",
    );
    const prompt = this.promptOf(options);
    const encoded = texts.map((text, at) => this.tokenize(text, prompt, at));
    const vectors: Float32Array[] = new Array<Float32Array>(texts.length);
    const batches = this.batches(encoded, batchSize, prompt);
    for await (const { batch, outputs } of predictBatches(this, batches)) {
      const { values, shape } = outputs.sentenceEmbedding!;
      const width = shape[1]!;
      for (const [row, index] of batch.indices.entries()) {
        const whole = (values as Float32Array).slice(row * width, (row + 1) * width);
        const vector = truncateDim === undefined ? whole : whole.slice(0, truncateDim);
        vectors[index] = normalizeEmbeddings ? unit(vector) : vector;
      }
    }
    return vectors;
  }

  /** `encode` with the prompt `query`, if the model has one. */
  encodeQuery(texts: readonly string[], options: EncodeTextsOptions = {}): Promise<Float32Array[]> {
    return this.encode(texts, this.withPrompt(options, ['query']));
  }

  /** `encode` with the prompt `document`, `passage` or `corpus`, if the model has one. */
  encodeDocument(texts: readonly string[], options: EncodeTextsOptions = {}): Promise<Float32Array[]> {
    return this.encode(texts, this.withPrompt(options, ['document', 'passage', 'corpus']));
  }

  private withPrompt(options: EncodeTextsOptions, names: readonly string[]): EncodeTextsOptions {
    if (options.prompt !== undefined || options.promptName !== undefined) return options;
    const promptName = names.find((name) => Object.hasOwn(this.settings.prompts, name));
    return promptName === undefined ? { ...options, prompt: '' } : { ...options, promptName };
  }

  /** A row for each of `a`, a number for each of `b`: by the model's `similarityFnName`. */
  similarity(a: readonly Float32Array[], b: readonly Float32Array[]): Float32Array[] {
    return similarityMatrix(a, b, this.settings.similarityFnName);
  }

  similarityPairwise(a: readonly Float32Array[], b: readonly Float32Array[]): Float32Array {
    return pairwiseSimilarity(a, b, this.settings.similarityFnName);
  }

  /** A text's tokens, cut to `maxSeqLength`. Throws `DataError` for what is not a text. */
  tokenize(text: string, prompt = '', index = 0): EncodedText {
    if (typeof text !== 'string')
      throw new DataError(`encode: text ${index} is ${text === null ? 'null' : `a ${typeof text}`}`, {
        remedy: 'pass strings',
      });
    const whole = prompt + text;
    return this.requireTokenizer().encode(
      this.settings.doLowerCase ? whole.toLowerCase() : whole,
      undefined,
      {
        truncation: true,
        maxLength: this.maxSeqLength,
      },
    );
  }

  private requireTokenizer(): PreTrainedTokenizer {
    if (this.tokenizer !== null) return this.tokenizer;
    throw new ConfigError('SentenceTransformer: there is no tokenizer', {
      remedy: 'pass one to the constructor, or load a folder that has one',
    });
  }

  /** What `encode` puts before a text unless told otherwise. */
  get defaultPrompt(): string {
    return this.promptOf({});
  }

  private promptOf({ prompt, promptName }: Pick<EncodeTextsOptions, 'prompt' | 'promptName'>): string {
    const name = promptName ?? this.settings.defaultPromptName;
    if (prompt !== undefined) return prompt;
    if (name === null) return '';
    if (Object.hasOwn(this.settings.prompts, name)) return this.settings.prompts[name]!;
    const names = Object.keys(this.settings.prompts);
    throw new ConfigError(`there is no prompt '${name}'`, {
      remedy: names.length > 0 ? `use ${names.join(', ')}` : 'the model has no prompts: pass prompt',
    });
  }

  private *batches(
    encoded: readonly EncodedText[],
    batchSize: number,
    prompt: string,
  ): Generator<PaddedBatch> {
    // As Python counts it: the prompt's tokens without the last special one.
    const skipped =
      this.settings.includePrompt || prompt === '' ? 0 : this.tokenize(prompt).inputIds.length - 1;
    for (const batch of batchesByLength(encoded, this.requireTokenizer(), batchSize))
      yield skipped === 0 ? batch : { ...batch, poolingMask: withoutPrompt(batch, skipped) };
  }
}

/** The mask without the first tokens of each text. */
function withoutPrompt({ attentionMask, shape: [texts, length] }: PaddedBatch, skipped: number): Int32Array {
  const mask = attentionMask.slice();
  for (let text = 0; text < texts; text += 1) {
    const row = mask.subarray(text * length, (text + 1) * length);
    row.fill(0, 0, row.indexOf(1) + skipped);
  }
  return mask;
}

/** [batch, columns, length] → [batch · columns, length], of every tensor. */
function flattened(inputs: SentenceInputs): SentenceInputs {
  const entries = Object.entries(inputs).map(([name, value]: [string, unknown]) => [
    name,
    value instanceof Tensor ? reshape(value, [-1, value.shape.at(-1)!]) : value,
  ]);
  return Object.fromEntries(entries) as unknown as SentenceInputs;
}

declarePure(SentenceTransformer);
