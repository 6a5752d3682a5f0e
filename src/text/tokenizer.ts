/** `PreTrainedTokenizer`: encodes with special tokens, truncation and padding, as transformers does. */

import { platform } from '#platform';
import { ConfigError, TokenizerError } from '../errors.ts';
import { type Pushed, type PushOptions, pushWritten } from '../models/files/push.ts';
import { type Advice, checkOptions, type OptionNames } from '../options.ts';
import type { FolderWriter } from '../platform/contract.ts';
import { assemble, type Encoding } from './assemble.ts';
import { checkedIds, checkMultiple, checkTexts } from './checks.ts';
import { tidied } from './decoders.ts';
import type { TokenName } from './tokenizer-class.ts';
import type { LoadedTokenizer } from './tokenizer-json.ts';
import {
  type Side,
  type TruncationStrategy,
  truncatedLengths,
  truncationStrategy,
  type Window,
  windowsOf,
} from './truncation.ts';

export type { Encoding } from './assemble.ts';

export interface EncodeOptions {
  /** Put the model's special tokens around the text. Default true. */
  addSpecialTokens?: boolean;
  /**
   * Cut to `maxLength` on the side given by `truncationSide`, before special tokens are added, so that they
   * survive. true means 'longest_first'. As in Python, defaults to true if `maxLength` is given and nothing
   * is padded, else to false.
   */
  truncation?: boolean | TruncationStrategy | 'do_not_truncate';
  /** In tokens, including special ones. Default `modelMaxLength`. */
  maxLength?: number;
  /** Return what was cut as further encodings, which overlap by `stride` tokens. Default false. */
  returnOverflowingTokens?: boolean;
  /** Number of tokens that adjacent windows share. Default 0. */
  stride?: number;
  /**
   * The text is a list of words: each is encoded by itself, `wordIds` are the words' numbers, and offsets
   * count from a word's start. Default false.
   */
  isSplitIntoWords?: boolean;
}

export interface BatchOptions extends EncodeOptions {
  /** true and 'longest' pad to the longest text of the batch, 'max_length' to `maxLength`. Default true. */
  padding?: boolean | 'longest' | 'max_length' | 'do_not_pad';
  padToMultipleOf?: number;
  /** Default: the tokenizer's `paddingSide`. */
  paddingSide?: Side;
}

/** A padded batch: flat row-major arrays of `shape` = [batch, length]. */
export interface BatchEncoding {
  inputIds: Int32Array;
  attentionMask: Int32Array;
  tokenTypeIds: Int32Array;
  shape: [number, number];
  encodings: Encoding[];
  /** With `returnOverflowingTokens`: the index of the text that each row comes from. */
  overflowToSampleMapping?: number[];
}

export interface DecodeOptions {
  /** Omit special tokens. Default false. */
  skipSpecialTokens?: boolean;
  /** Remove spaces before punctuation. Default: as in tokenizer_config.json, else false. */
  cleanUpTokenizationSpaces?: boolean;
}

const encodeOptionNames: OptionNames<EncodeOptions> = {
  addSpecialTokens: true,
  truncation: true,
  maxLength: true,
  returnOverflowingTokens: true,
  stride: true,
  isSplitIntoWords: true,
};
const batchOptionNames: OptionNames<BatchOptions> = {
  ...encodeOptionNames,
  padding: true,
  padToMultipleOf: true,
  paddingSide: true,
};
const decodeOptionNames: OptionNames<DecodeOptions> = {
  skipSpecialTokens: true,
  cleanUpTokenizationSpaces: true,
};

/** Remedies for options that only Python has. */
const advice: Advice = {
  padding: 'encodeBatch and pad have it',
  returnTensors: 'leave it out: toTensors(device, batch) makes tensors',
  returnAttentionMask: 'leave it out: it is always there',
  returnTokenTypeIds: 'leave it out: they are always there',
  returnOffsetsMapping: 'leave it out: encode gives offsets',
  returnSpecialTokensMask: 'leave it out: encode gives it',
  textPair: "the pair is encode's second argument",
};

/** A text, or the words of one, with `isSplitIntoWords`. */
export type Text = string | readonly string[];

/** A text or a pair; with `isSplitIntoWords`, the words of a text, or of each. */
export type TextInput = string | readonly [string, string] | readonly string[] | readonly [Text, Text];

/** The files that the tokenizer was loaded from, written back unchanged. */
export type TokenizerFiles = Readonly<Record<string, string>>;

const USUAL: Record<TokenName, readonly string[]> = {
  pad: ['[PAD]', '<pad>'],
  unk: ['[UNK]', '<unk>'],
  cls: ['[CLS]', '<s>'],
  sep: ['[SEP]', '</s>'],
  mask: ['[MASK]', '<mask>'],
  bos: ['<s>'],
  eos: ['</s>'],
};

export class PreTrainedTokenizer {
  /** Number of tokens that the model was made for; only texts without truncation may be longer. */
  readonly modelMaxLength: number;
  /** The side that padding goes to; from `padding_side` in tokenizer_config.json. */
  paddingSide: Side;
  /** The side that is cut; from `truncation_side` in tokenizer_config.json. */
  truncationSide: Side;
  private readonly names: ReadonlyMap<number, string>;

  /** @internal Use `AutoTokenizer.fromPretrained`. */
  constructor(
    private readonly loaded: LoadedTokenizer,
    private readonly files: TokenizerFiles,
  ) {
    this.modelMaxLength = loaded.settings.modelMaxLength;
    this.paddingSide = loaded.settings.paddingSide;
    this.truncationSide = loaded.settings.truncationSide;
    const names = new Map([...loaded.model.vocab].map(([token, id]) => [id, token]));
    for (const id of loaded.added.entries.keys()) names.set(id, loaded.added.nameOf(id)!);
    this.names = names;
  }

  /** Number of tokens including added ones: the rows that an embedding needs. */
  get vocabSize(): number {
    return this.names.size;
  }

  /** Throws `TokenizerError` if there is no padding token. */
  get padTokenId(): number {
    const id = this.idOf('pad');
    if (id !== null) return id;
    throw new TokenizerError('the tokenizer has no padding token', {
      remedy: "name one as 'pad_token' in tokenizer_config.json",
    });
  }
  get unkTokenId(): number | null {
    return this.idOf('unk');
  }
  get clsTokenId(): number | null {
    return this.idOf('cls');
  }
  get sepTokenId(): number | null {
    return this.idOf('sep');
  }
  get maskTokenId(): number | null {
    return this.idOf('mask');
  }
  get bosTokenId(): number | null {
    return this.idOf('bos');
  }
  get eosTokenId(): number | null {
    return this.idOf('eos');
  }

  /** Ids of all special tokens, ascending. */
  get allSpecialIds(): number[] {
    const names = Object.keys(USUAL) as TokenName[];
    const ids = [
      ...names.map((name) => this.idOf(name)),
      ...this.loaded.special.all.map((token) => this.loaded.added.idOf(token)),
    ];
    return [...new Set(ids.filter((id) => typeof id === 'number'))].sort((a, b) => a - b);
  }

  /** The id of a named token. If no file names it, the id of its usual text, if the vocabulary has that. */
  private idOf(name: TokenName): number | null {
    const { added, special } = this.loaded;
    const usual = (): string | undefined =>
      special.unnamed.has(name)
        ? USUAL[name].find((candidate) => added.idOf(candidate) !== undefined)
        : undefined;
    const token = special.named[name] ?? usual();
    return token === undefined ? null : (added.idOf(token) ?? null);
  }

  /** Number of special tokens put around one text, or a pair. */
  numSpecialTokensToAdd(pair = false): number {
    const { template } = this.loaded;
    return (pair ? template.pair : template.single).filter(({ kind }) => kind === 'special').length;
  }

  /**
   * Encodes a text or a pair. `overflowing` holds what was cut, if `returnOverflowingTokens` is set. Throws
   * `TokenizerError` if truncation cannot reach `maxLength`, and `ConfigError` for invalid options.
   */
  encode(text: Text, pair?: Text, options: EncodeOptions = {}): Encoding {
    checkOptions('encode', options, encodeOptionNames, advice);
    const [first, ...overflowing] = this.encodeWindows(text, pair, options);
    return options.returnOverflowingTokens === true ? { ...first!, overflowing } : first!;
  }

  private encodeWindows(text: Text, pair: Text | undefined, options: EncodeOptions): Encoding[] {
    checkTexts(text, pair, options.isSplitIntoWords ?? false);
    const { pieces, template, settings } = this.loaded;
    const parts = [text, ...(pair === undefined || pair === null ? [] : [pair])].map((one) =>
      typeof one === 'string' ? pieces.encode(one) : pieces.encodeWords(one),
    );
    const around = options.addSpecialTokens ?? true;
    const full = parts.length === 2 ? template.pair : template.single;
    const layout = around ? full : full.filter(({ kind }) => kind === 'text');
    const windows = this.windows(
      parts.map(({ ids }) => ids.length),
      around,
      options,
    );
    return combinations(windows, options.returnOverflowingTokens ?? false).map((chosen) =>
      assemble(parts, chosen, layout, template.trims, settings.tokenTypes),
    );
  }

  /** The windows of each text; the first is what truncation keeps. */
  private windows(lengths: number[], around: boolean, options: EncodeOptions): Window[][] {
    const { maxLength, truncation = maxLength !== undefined, stride = 0 } = options;
    const strategy = truncationStrategy(truncation);
    if (!Number.isInteger(stride) || stride < 0)
      throw new ConfigError(`stride is ${stride}`, { remedy: 'use a whole number of tokens' });
    const limit = maxLength ?? this.modelMaxLength;
    if (strategy === null || limit === Number.POSITIVE_INFINITY)
      return lengths.map((length) => [[0, length]]);
    if (!Number.isInteger(limit) || limit <= 0)
      throw new ConfigError(`maxLength is ${limit}`, { remedy: 'use a positive number of tokens' });
    const room = limit - (around ? this.numSpecialTokensToAdd(lengths.length === 2) : 0);
    if (room < 0) throw new TokenizerError(`maxLength ${limit} leaves no room beside the special tokens`);
    if (room === 0 && options.returnOverflowingTokens === true && lengths.some((length) => length > 0))
      throw new TokenizerError(`maxLength ${limit} leaves no room for windows beside the special tokens`);
    const kept = truncatedLengths(lengths, room, strategy);
    return lengths.map((length, index) => windowsOf(length, kept[index]!, stride, this.truncationSide));
  }

  /** Encodes and pads; overflow gives a text several rows. Throws like `encode` and `pad`. */
  encodeBatch(texts: readonly TextInput[], options: BatchOptions = {}): BatchEncoding {
    checkOptions('encodeBatch', options, batchOptionNames, advice);
    const padded = pads(options);
    // As in Python, `maxLength` alone does not truncate when padding.
    const encoding = {
      ...options,
      truncation: options.truncation ?? (options.maxLength !== undefined && !padded),
    };
    const samples: number[] = [];
    const split = options.isSplitIntoWords ?? false;
    const encodings = texts.flatMap((text, sample) => {
      const isPair = Array.isArray(text) && (!split || Array.isArray(text[0]));
      const [first, second] = (isPair ? text : [text]) as [Text, Text?];
      const rows = this.encodeWindows(first, second, encoding);
      for (const _ of rows) samples.push(sample);
      return rows;
    });
    const batch = this.pad(encodings, options);
    return options.returnOverflowingTokens === true ? { ...batch, overflowToSampleMapping: samples } : batch;
  }

  /** Pads encodings to the same length. Throws `TokenizerError` if there is no padding token for it. */
  pad(encodings: Encoding[], options: BatchOptions = {}): BatchEncoding {
    checkOptions('pad', options, batchOptionNames, advice);
    const { padding = true, maxLength, padToMultipleOf = 1, paddingSide = this.paddingSide } = options;
    checkMultiple(padToMultipleOf);
    const longest = encodings.reduce((most, { inputIds }) => Math.max(most, inputIds.length), 0);
    const padded = pads(options);
    if (!padded && encodings.some(({ inputIds }) => inputIds.length !== longest))
      throw new TokenizerError('texts of different lengths make no batch', { remedy: 'pass padding: true' });
    const wanted = padding === 'max_length' ? Math.max(maxLength ?? this.modelMaxLength, longest) : longest;
    if (!Number.isFinite(wanted))
      throw new ConfigError("padding 'max_length' needs maxLength: this tokenizer has no limit of its own");
    const length = padded ? Math.ceil(wanted / padToMultipleOf) * padToMultipleOf : longest;
    const size = encodings.length * length;
    const full = encodings.every(({ inputIds }) => inputIds.length === length);
    const batch = {
      inputIds: full ? new Int32Array(size) : new Int32Array(size).fill(this.padTokenId),
      attentionMask: new Int32Array(size),
      tokenTypeIds: new Int32Array(size),
    };
    for (const [row, encoding] of encodings.entries()) {
      const at = row * length + (paddingSide === 'left' ? length - encoding.inputIds.length : 0);
      batch.inputIds.set(encoding.inputIds, at);
      batch.attentionMask.set(encoding.attentionMask, at);
      batch.tokenTypeIds.set(encoding.tokenTypeIds, at);
    }
    return { ...batch, shape: [encodings.length, length], encodings };
  }

  /** Decodes ids to text, skipping ids that have no token. */
  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    checkOptions('decode', options, decodeOptionNames);
    const { added, decoder, settings, modelKind } = this.loaded;
    const tokens = checkedIds('decode', ids).flatMap((id) => this.names.get(id) ?? []);
    const kept =
      options.skipSpecialTokens === true ? tokens.filter((token) => !added.isSpecial(token)) : tokens;
    const text = decoder === null ? kept.join(' ') : decoder(kept).join('');
    // transformers does not tidy the output of byte pair encoding: its spaces belong to the text.
    const tidies = options.cleanUpTokenizationSpaces ?? settings.cleanUpTokenizationSpaces;
    return tidies && (modelKind !== 'BPE' || settings.cleanUpBpe) ? tidied(text) : text;
  }

  batchDecode(rows: readonly (readonly number[])[], options: DecodeOptions = {}): string[] {
    return rows.map((ids) => this.decode(ids, options));
  }

  /** Unknown tokens give the unknown token's id. */
  convertTokensToIds(tokens: readonly string[]): (number | null)[] {
    return tokens.map((token) => this.loaded.added.idOf(token) ?? this.unkTokenId);
  }

  convertIdsToTokens(ids: readonly number[]): (string | null)[] {
    return ids.map((id) => this.names.get(id) ?? null);
  }

  /**
   * Saves the tokenizer's files into a folder, keeping its other files, for Python's `AutoTokenizer` to read.
   * Each file appears whole or not at all.
   */
  async savePretrained(folder: string): Promise<void> {
    await platform.writeFolder(folder, 'merge', (writer) => this.write(writer));
  }

  /** Pushes the tokenizer's files to the hub. Throws as `PreTrainedModel.pushToHub` does. */
  async pushToHub(id: string, options: PushOptions = {}): Promise<Pushed> {
    return pushWritten(id, 'tokenizer', (folder) => this.write(folder), options);
  }

  /** Names of the files that saving writes. */
  get fileNames(): string[] {
    return Object.keys(this.files);
  }

  /** @internal Writes the tokenizer's files into a folder under construction. */
  async write(folder: FolderWriter): Promise<void> {
    for (const [name, text] of Object.entries(this.files)) await folder.writeText(name, text);
  }
}

function pads({ padding }: BatchOptions): boolean {
  return padding !== false && padding !== 'do_not_pad';
}

/**
 * The windows to encode. Without overflow, the first of each text; with overflow, the first pair, then the
 * other windows of the first text with all of the second, then the rest.
 */
function combinations([first, second]: readonly Window[][], overflow: boolean): Window[][] {
  if (first === undefined) return [];
  const pairs = (window: Window, others: readonly Window[] | undefined): Window[][] =>
    others === undefined ? [[window]] : others.map((other) => [window, other]);
  if (!overflow) return pairs(first[0]!, second?.slice(0, 1));
  const [main, ...rest] = pairs(first[0]!, second);
  return [main!, ...first.slice(1).flatMap((window) => pairs(window, second)), ...rest];
}
