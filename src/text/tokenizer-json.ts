/** The tokenizer.json that Python's fast tokenizers would give, from vocabulary files alone. */
import { TokenizerError } from '../errors.ts';

/** What the engine reads of a tokenizer.json; the rest passes through to the library. */
export interface TokenizerJson {
  version?: string;
  truncation: unknown;
  padding: unknown;
  added_tokens: AddedTokenJson[];
  normalizer: ComponentJson | null;
  pre_tokenizer: ComponentJson | null;
  post_processor: ComponentJson | null;
  decoder: ComponentJson | null;
  model: ModelJson;
}

export interface ComponentJson {
  type: string;
  [key: string]: unknown;
}

export interface ModelJson {
  type?: string;
  vocab: Record<string, number>;
  unk_token?: string | null;
  continuing_subword_prefix?: string | null;
  [key: string]: unknown;
}

export interface AddedTokenJson {
  id: number;
  content: string;
  single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
  normalized: boolean;
  special: boolean;
}

/** tokenizer_config.json: options of the tokenizer's class. */
export type TokenizerConfig = Record<string, unknown>;

/** A special token as tokenizer_config.json and special_tokens_map.json write it: text, or an object with `content`. */
export function tokenContent(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (typeof value === 'object' && value !== null && 'content' in value && typeof value.content === 'string')
    return value.content;
  return null;
}

/** A token added by its content; what is not said is as `add_tokens` has it in Python. */
export function addedToken(id: number, given: Partial<AddedTokenJson>): AddedTokenJson {
  const special = given.special ?? false;
  const { content = '', single_word = false, lstrip = false, rstrip = false, normalized = !special } = given;
  return { id, content, single_word, lstrip, rstrip, normalized, special };
}

function special(id: number, content: string, lstrip = false): AddedTokenJson {
  return addedToken(id, { content, lstrip, special: true });
}

/** Adds tokens to those there are; one of the same id stays as it is. */
export function withAddedTokens(json: TokenizerJson, more: readonly AddedTokenJson[]): TokenizerJson {
  const ids = new Set(json.added_tokens.map(({ id }) => id));
  const added = [...json.added_tokens, ...more.filter(({ id }) => !ids.has(id))];
  return { ...json, added_tokens: added.sort((a, b) => a.id - b.id) };
}

/** Classes whose tokenizer follows from a vocabulary alone. */
const FROM_VOCABULARY = /^(Bert|DistilBert|Electra|Roberta)Tokenizer(Fast)?$/;

/** Throws `TokenizerError` where a vocabulary belongs to a tokenizer that splits words in a way of its own. */
export function checkTokenizerClass(config: TokenizerConfig, source: string): void {
  const name = config.tokenizer_class;
  if (typeof name !== 'string' || FROM_VOCABULARY.test(name)) return;
  throw new TokenizerError(`${source}: tokenizer_class '${name}' cannot be made from a vocabulary alone`, {
    remedy: 'save the tokenizer as tokenizer.json (in Python: a fast tokenizer’s save_pretrained)',
  });
}

/** transformers takes a BERT tokenizer's casing from tokenizer_config.json, whatever tokenizer.json says; so is it here. */
export function withCasing(json: TokenizerJson, config: TokenizerConfig): TokenizerJson {
  const { normalizer, model } = json;
  const name = config.tokenizer_class ?? 'BertTokenizer';
  const isBert =
    typeof name === 'string' && /^BertTokenizer(Fast)?$/.test(name) && model.type === 'WordPiece';
  return isBert && normalizer?.type === 'BertNormalizer'
    ? { ...json, normalizer: bertNormalizer(config) }
    : json;
}

function bertNormalizer(config: TokenizerConfig): ComponentJson {
  return {
    type: 'BertNormalizer',
    clean_text: true,
    handle_chinese_chars: config.tokenize_chinese_chars !== false,
    strip_accents: config.strip_accents ?? null,
    lowercase: config.do_lower_case !== false,
  };
}

/** Throws `TokenizerError` naming the file and the token. */
function idOf(vocab: Record<string, number>, token: string, source: string): number {
  const id = Object.hasOwn(vocab, token) ? vocab[token] : undefined;
  if (id === undefined)
    throw new TokenizerError(`${source}: there is no token '${token}'`, {
      remedy: 'is it the model’s own vocabulary?',
    });
  return id;
}

/** One token a line, as BERT's vocab.txt. */
export function parseVocabTxt(text: string): Record<string, number> {
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
  if (lines.at(-1) === '') lines.pop();
  // A repeated token keeps its last line, as in Python.
  return Object.fromEntries(lines.map((token, id) => [token, id]));
}

/** BERT: WordPiece over lower-cased words, unless `do_lower_case` is false. */
export function bertTokenizerJson(vocabText: string, config: TokenizerConfig, source: string): TokenizerJson {
  const vocab = parseVocabTxt(vocabText);
  const name = (key: string, usual: string): string => tokenContent(config[key]) ?? usual;
  const [pad, unk, cls, sep, mask] = [
    name('pad_token', '[PAD]'),
    name('unk_token', '[UNK]'),
    name('cls_token', '[CLS]'),
    name('sep_token', '[SEP]'),
    name('mask_token', '[MASK]'),
  ] as const;
  const [clsId, sepId] = [idOf(vocab, cls, source), idOf(vocab, sep, source)];
  const specials = [pad, unk, cls, sep, mask].map((token) => special(idOf(vocab, token, source), token));
  const one = (id: string, type: number) => ({ SpecialToken: { id, type_id: type } });
  const text = (id: string, type: number) => ({ Sequence: { id, type_id: type } });
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specials.sort((a, b) => a.id - b.id),
    normalizer: bertNormalizer(config),
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [one(cls, 0), text('A', 0), one(sep, 0)],
      pair: [one(cls, 0), text('A', 0), one(sep, 0), text('B', 1), one(sep, 1)],
      special_tokens: {
        [cls]: { id: cls, ids: [clsId], tokens: [cls] },
        [sep]: { id: sep, ids: [sepId], tokens: [sep] },
      },
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: unk,
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab,
    },
  };
}

/** RoBERTa: byte-level BPE. */
export function robertaTokenizerJson(
  vocabText: string,
  mergesText: string,
  config: TokenizerConfig,
  source: string,
): TokenizerJson {
  let vocab: Record<string, number>;
  try {
    vocab = JSON.parse(vocabText) as Record<string, number>;
  } catch (cause) {
    throw new TokenizerError(`${source}: not JSON`, { cause });
  }
  const merges = mergesText
    .split('\n')
    .map((line) => line.replace(/\r$/, ''))
    .filter((line, at) => line !== '' && !(at === 0 && line.startsWith('#version')));
  const name = (key: string, usual: string): string => tokenContent(config[key]) ?? usual;
  const [bos, pad, eos, unk, mask] = [
    name('bos_token', '<s>'),
    name('pad_token', '<pad>'),
    name('eos_token', '</s>'),
    name('unk_token', '<unk>'),
    name('mask_token', '<mask>'),
  ] as const;
  const [cls, sep] = [name('cls_token', bos), name('sep_token', eos)];
  const specials = [...new Set([bos, pad, eos, unk, mask, cls, sep])].map((token) =>
    special(idOf(vocab, token, source), token, token === mask),
  );
  const prefix = config.add_prefix_space === true;
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specials.sort((a, b) => a.id - b.id),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: prefix, trim_offsets: true, use_regex: true },
    post_processor: {
      type: 'RobertaProcessing',
      sep: [sep, idOf(vocab, sep, source)],
      cls: [cls, idOf(vocab, cls, source)],
      trim_offsets: true,
      add_prefix_space: prefix,
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      vocab,
      merges,
    },
  };
}
