/** `PreTrainedTokenizer`: encoding with special tokens, truncation and padding, as transformers does it. */
import { platform } from '#platform';
import { ConfigError, TokenizerError } from '../errors.ts';
import type { FolderWriter } from '../platform/contract.ts';
import { checkMultiple, checkTexts } from './checks.ts';
import { PieceEncoder, type Pieces } from './piece-encoder.ts';
import { parseTemplate, type Template, type TemplatePiece } from './template.ts';
import { type TokenizerConfig, type TokenizerJson, tokenContent } from './tokenizer-json.ts';
import { type TruncationStrategy, truncatedLengths } from './truncation.ts';

export interface EncodeOptions {
  /** Put the model's special tokens around the text. Default true. */
  addSpecialTokens?: boolean;
  /** true is 'longest_first'. Cuts to `maxLength` before special tokens are added, so that they survive. Default false. */
  truncation?: boolean | TruncationStrategy;
  /** Tokens, special ones included. `modelMaxLength` where absent. */
  maxLength?: number;
}

export interface BatchOptions extends EncodeOptions {
  /** true and 'longest' pad to the longest text of the batch, 'max_length' to `maxLength`. Default true. */
  padding?: boolean | 'longest' | 'max_length';
  padToMultipleOf?: number;
}

/** One encoded text (or pair). */
export interface Encoding {
  inputIds: number[];
  attentionMask: number[];
  tokenTypeIds: number[];
  /** [start, end) of each token in its text, in UTF-16 units (JavaScript's string index); [0, 0] for special tokens. */
  offsets: [number, number][];
  specialTokensMask: number[];
  /** Number of the word in its text; null for special tokens. */
  wordIds: (number | null)[];
  /** 0 or 1, the text a token comes from; null for special tokens. */
  sequenceIds: (number | null)[];
}

/** A padded batch: flat row-major arrays of `shape` = [batch, length]. */
export interface BatchEncoding {
  inputIds: Int32Array;
  attentionMask: Int32Array;
  tokenTypeIds: Int32Array;
  shape: [number, number];
  encodings: Encoding[];
}

export type TextInput = string | readonly [string, string];

/** The files a tokenizer came from, written back as they were. */
export type TokenizerFiles = Readonly<Record<string, string>>;

/** transformers writes this for "no limit". */
const VERY_LARGE = 1e12;

type TokenName = 'pad' | 'unk' | 'cls' | 'sep' | 'mask' | 'bos' | 'eos';
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
  /** Tokens the model was made for; texts may be longer only without truncation. */
  readonly modelMaxLength: number;
  private readonly pieces: PieceEncoder;
  private readonly template: Template;
  private readonly files: TokenizerFiles;
  private readonly tokens: Record<TokenName, string | null>;
  private readonly vocab: ReadonlyMap<string, number>;

  /** @internal Use `AutoTokenizer.fromPretrained`. */
  constructor(json: TokenizerJson, config: TokenizerConfig, files: TokenizerFiles, source: string) {
    this.template = parseTemplate(json.post_processor, source);
    this.pieces = new PieceEncoder(json, config, this.template.trimOffsets, source);
    this.files = files;
    this.vocab = this.pieces.library.get_vocab(true);
    const named = (name: TokenName): string | null =>
      tokenContent(config[`${name}_token`]) ?? USUAL[name].find((token) => this.vocab.has(token)) ?? null;
    const names: TokenName[] = ['pad', 'unk', 'cls', 'sep', 'mask', 'bos', 'eos'];
    this.tokens = Object.fromEntries(names.map((name) => [name, named(name)])) as Record<
      TokenName,
      string | null
    >;
    const limit = config.model_max_length;
    this.modelMaxLength = typeof limit === 'number' && limit < VERY_LARGE ? limit : Number.POSITIVE_INFINITY;
  }

  get vocabSize(): number {
    return this.vocab.size;
  }

  get padTokenId(): number {
    return this.idOf('pad') ?? 0;
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
    const ids = Object.values(this.tokens).map((token) =>
      token === null ? undefined : this.vocab.get(token),
    );
    return [...new Set(ids.filter((id) => id !== undefined))].sort((a, b) => a - b);
  }

  private idOf(name: TokenName): number | null {
    const token = this.tokens[name];
    return token === null ? null : (this.vocab.get(token) ?? null);
  }

  /** Special tokens put around one text, or two. */
  numSpecialTokensToAdd(pair = false): number {
    return (pair ? this.template.pair : this.template.single).filter(({ kind }) => kind === 'special').length;
  }

  /** Throws `TokenizerError` for a text that is no string, and where truncation cannot reach `maxLength`. */
  encode(text: string, pair?: string, options: EncodeOptions = {}): Encoding {
    checkTexts(text, pair);
    const parts = [this.pieces.encode(text), ...(pair === undefined ? [] : [this.pieces.encode(pair)])];
    const addSpecial = options.addSpecialTokens ?? true;
    const lengths = this.lengths(parts, addSpecial, options);
    const full = parts.length === 2 ? this.template.pair : this.template.single;
    const layout = addSpecial ? full : full.filter(({ kind }) => kind === 'text');
    return assemble(parts, lengths, layout);
  }

  private lengths(
    parts: readonly Pieces[],
    addSpecial: boolean,
    { truncation = false, maxLength }: EncodeOptions,
  ): [number, number] {
    const [first, second] = [parts[0]!.ids.length, parts[1]?.ids.length ?? 0];
    if (truncation === false) return [first, second];
    const limit = maxLength ?? this.modelMaxLength;
    if (!(limit > 0))
      throw new ConfigError(`maxLength is ${limit}`, { remedy: 'use a positive number of tokens' });
    const room = limit - (addSpecial ? this.numSpecialTokensToAdd(parts.length === 2) : 0);
    if (room < 0) throw new TokenizerError(`maxLength ${limit} leaves no room beside the special tokens`);
    return truncatedLengths(first, second, room, truncation === true ? 'longest_first' : truncation);
  }

  /** Encodes and pads. Throws `TokenizerError` as `encode`. */
  encodeBatch(texts: readonly TextInput[], options: BatchOptions = {}): BatchEncoding {
    const encodings = texts.map((text) =>
      Array.isArray(text)
        ? this.encode(text[0], text[1], options)
        : this.encode(text as string, undefined, options),
    );
    return this.pad(encodings, options);
  }

  /** Pads encodings to one length. */
  pad(
    encodings: Encoding[],
    { padding = true, maxLength, padToMultipleOf = 1 }: BatchOptions = {},
  ): BatchEncoding {
    checkMultiple(padToMultipleOf);
    const longest = encodings.reduce((most, { inputIds }) => Math.max(most, inputIds.length), 0);
    if (padding === false && encodings.some(({ inputIds }) => inputIds.length !== longest)) {
      throw new TokenizerError('texts of different lengths make no batch', { remedy: 'pass padding: true' });
    }
    const wanted = padding === 'max_length' ? Math.max(maxLength ?? this.modelMaxLength, longest) : longest;
    if (!Number.isFinite(wanted))
      throw new ConfigError("padding 'max_length' needs maxLength: this tokenizer has no limit of its own");
    const length = Math.ceil(wanted / padToMultipleOf) * padToMultipleOf;
    const size = encodings.length * length;
    const batch = {
      inputIds: new Int32Array(size).fill(this.padTokenId),
      attentionMask: new Int32Array(size),
      tokenTypeIds: new Int32Array(size),
    };
    for (const [row, encoding] of encodings.entries()) {
      batch.inputIds.set(encoding.inputIds, row * length);
      batch.attentionMask.set(encoding.attentionMask, row * length);
      batch.tokenTypeIds.set(encoding.tokenTypeIds, row * length);
    }
    return { ...batch, shape: [encodings.length, length], encodings };
  }

  decode(
    ids: readonly number[],
    { skipSpecialTokens = false }: { skipSpecialTokens?: boolean } = {},
  ): string {
    return this.pieces.library.decode([...ids], { skip_special_tokens: skipSpecialTokens });
  }

  batchDecode(rows: readonly (readonly number[])[], options: { skipSpecialTokens?: boolean } = {}): string[] {
    return rows.map((ids) => this.decode(ids, options));
  }

  /** Unknown tokens give the unknown token's id. */
  convertTokensToIds(tokens: readonly string[]): (number | null)[] {
    return tokens.map((token) => this.vocab.get(token) ?? this.unkTokenId);
  }

  convertIdsToTokens(ids: readonly number[]): (string | null)[] {
    return ids.map((id) => this.pieces.library.id_to_token(id) ?? null);
  }

  /** Saves the tokenizer's files beside what is in the folder; Python's `AutoTokenizer` reads them. Files appear whole or not at all. */
  async savePretrained(folder: string): Promise<void> {
    await platform.writeFolder(folder, 'merge', (writer) => this.write(writer));
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

function assemble(
  parts: readonly Pieces[],
  lengths: readonly number[],
  layout: readonly TemplatePiece[],
): Encoding {
  const out: Encoding = {
    inputIds: [],
    attentionMask: [],
    tokenTypeIds: [],
    offsets: [],
    specialTokensMask: [],
    wordIds: [],
    sequenceIds: [],
  };
  for (const piece of layout) {
    if (piece.kind === 'special') {
      out.inputIds.push(piece.id);
      out.tokenTypeIds.push(piece.type);
      out.offsets.push([0, 0]);
      out.specialTokensMask.push(1);
      out.wordIds.push(null);
      out.sequenceIds.push(null);
      continue;
    }
    const { ids, offsets, words } = parts[piece.which]!;
    for (let i = 0; i < lengths[piece.which]!; i += 1) {
      out.inputIds.push(ids[i]!);
      out.tokenTypeIds.push(piece.type);
      out.offsets.push(offsets[i]!);
      out.specialTokensMask.push(0);
      out.wordIds.push(words[i]!);
      out.sequenceIds.push(piece.which);
    }
  }
  out.attentionMask = out.inputIds.map(() => 1);
  return out;
}
