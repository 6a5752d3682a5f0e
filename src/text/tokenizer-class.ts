/**
 * Decides which of transformers' tokenizer classes a folder has, and what the class builds from the
 * vocabulary. `BertTokenizer` and similar classes rebuild normalizer, pre-tokenizer and special tokens,
 * whatever tokenizer.json says; `TokenizersBackend` uses tokenizer.json unchanged.
 */

import { TokenizerError } from '../errors.ts';
import { isObject } from '../json.ts';
import { familyOf } from '../models/registry.ts';
import { type AddedToken, addedToken } from './added-vocabulary.ts';
import type { Fields, Json } from './json-fields.ts';

export type ClassName =
  | 'BertTokenizer'
  | 'MPNetTokenizer'
  | 'RobertaTokenizer'
  | 'XLMRobertaTokenizer'
  | 'CamembertTokenizer'
  | 'AlbertTokenizer'
  | 'DebertaV2Tokenizer'
  | 'TokenizersBackend';

/** The parts of a tokenizer, as in tokenizer.json. */
export interface Parts {
  normalizer: Json | null;
  pre_tokenizer: Json | null;
  post_processor: Json | null;
  decoder: Json | null;
  model: Json;
}

export const TOKEN_NAMES = ['bos', 'eos', 'unk', 'sep', 'pad', 'cls', 'mask'] as const;
export type TokenName = (typeof TOKEN_NAMES)[number];

const CLASSES: [RegExp, ClassName][] = [
  [/^(Bert|DistilBert|Electra|ConvBert|SqueezeBert|MobileBert|LayoutLM|Lxmert)Tokenizer$/, 'BertTokenizer'],
  [/^MPNetTokenizer$/, 'MPNetTokenizer'],
  [/^(Roberta|Bart|LED|Mvp)Tokenizer$/, 'RobertaTokenizer'],
  [/^XLMRobertaTokenizer$/, 'XLMRobertaTokenizer'],
  [/^CamembertTokenizer$/, 'CamembertTokenizer'],
  [/^AlbertTokenizer$/, 'AlbertTokenizer'],
  [/^DebertaV2Tokenizer$/, 'DebertaV2Tokenizer'],
  [/^(PreTrainedTokenizer|TokenizersBackend|PythonBackend)$/, 'TokenizersBackend'],
];

/** The class of a model type, if no file names one. */
function usualClass(modelType: string): string | undefined {
  return familyOf(modelType)?.tokenizerDefaults.tokenizer_class;
}

/**
 * Chooses the class. `config` is tokenizer_config.json, `model` the model's config.json. Throws
 * `TokenizerError` for an unknown class.
 */
export function chooseClass(config: Fields, model: Fields): ClassName | null {
  const from = [config, model].find((fields) => fields.get('tokenizer_class') !== undefined);
  const name = from?.string('tokenizer_class') ?? usualClass(String(model.get('model_type')));
  if (name === undefined) return null;
  const known = CLASSES.find(([pattern]) => pattern.test(name.replace(/Fast$/, '')));
  if (known !== undefined) return known[1];
  return (from ?? model).fail(
    'tokenizer_class',
    `is '${name}', which splits text in a way of its own that is not supported`,
    "where tokenizer.json says all of it, set tokenizer_class to 'PreTrainedTokenizerFast'",
  );
}

/**
 * Default special tokens, used if the configuration names none. If the class is not stated either
 * (`guessed`), they are those of the published model: RoBERTa's mask includes the space before it.
 */
export function usualTokens(
  name: ClassName,
  guessed: boolean,
): Partial<Record<TokenName, string | AddedToken>> {
  switch (name) {
    case 'TokenizersBackend':
      return {};
    case 'BertTokenizer':
      return { unk: '[UNK]', sep: '[SEP]', pad: '[PAD]', cls: '[CLS]', mask: '[MASK]' };
    case 'DebertaV2Tokenizer':
      return {
        bos: '[CLS]',
        eos: '[SEP]',
        unk: '[UNK]',
        sep: '[SEP]',
        pad: '[PAD]',
        cls: '[CLS]',
        mask: '[MASK]',
      };
    case 'MPNetTokenizer':
      return {
        bos: '<s>',
        eos: '</s>',
        unk: '[UNK]',
        sep: '</s>',
        pad: '<pad>',
        cls: '<s>',
        mask: '<mask>',
      };
    case 'AlbertTokenizer':
      return {
        bos: '[CLS]',
        eos: '[SEP]',
        unk: '<unk>',
        sep: '[SEP]',
        pad: '<pad>',
        cls: '[CLS]',
        mask: '[MASK]',
      };
    default: {
      const takesSpace = guessed || name === 'CamembertTokenizer';
      const mask = takesSpace ? addedToken('<mask>', { lstrip: true, special: true }) : '<mask>';
      return { bos: '<s>', eos: '</s>', unk: '<unk>', sep: '</s>', pad: '<pad>', cls: '<s>', mask };
    }
  }
}

/**
 * The parts that the class builds. `model` comes from tokenizer.json or from vocabulary files; `normalizer`
 * comes from tokenizer.json.
 */
export function classParts(
  name: Exclude<ClassName, 'TokenizersBackend'>,
  model: Fields,
  normalizer: Json | null,
  config: Fields,
  unknown: string,
): Parts {
  switch (name) {
    case 'BertTokenizer':
    case 'MPNetTokenizer':
      return bertParts(model, config, unknown);
    case 'RobertaTokenizer':
      return robertaParts(model, config);
    case 'DebertaV2Tokenizer':
      return debertaParts(model, config, unknown);
    default:
      return sentencePieceParts(name, model, normalizer, config, unknown);
  }
}

function bertParts(model: Fields, config: Fields, unknown: string): Parts {
  return {
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: config.boolean('tokenize_chinese_chars', true),
      strip_accents: config.get('strip_accents') === undefined ? null : config.boolean('strip_accents', true),
      lowercase: config.boolean('do_lower_case', true),
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: null,
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: unknown,
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: vocabularyOf(model),
    },
  };
}

/** The vocabulary as an object; a list of pieces is numbered. */
function vocabularyOf(model: Fields): Json {
  const vocab = model.get('vocab');
  if (!Array.isArray(vocab)) return model.object('vocab').json;
  return Object.fromEntries(vocab.map((piece, id) => [String(Array.isArray(piece) ? piece[0] : piece), id]));
}

function robertaParts(model: Fields, config: Fields): Parts {
  const prefix = config.boolean('add_prefix_space', false);
  return {
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: prefix, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: vocabularyOf(model),
      merges: model.list('merges'),
    },
  };
}

function sentencePieceParts(
  name: 'XLMRobertaTokenizer' | 'CamembertTokenizer' | 'AlbertTokenizer',
  model: Fields,
  normalizer: Json | null,
  config: Fields,
  unknown: string,
): Parts {
  const pieces = model.list('vocab');
  const found = pieces.findIndex((piece) => Array.isArray(piece) && piece[0] === unknown);
  const metaspace = {
    type: 'Metaspace',
    replacement: '▁',
    prepend_scheme: config.boolean('add_prefix_space', true) ? 'always' : 'never',
    split: true,
  };
  return {
    normalizer: name === 'AlbertTokenizer' ? albertNormalizer(normalizer, config) : precompiledOf(normalizer),
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'WhitespaceSplit' }, metaspace] },
    post_processor: null,
    decoder: metaspace,
    model: {
      type: 'Unigram',
      unk_id: { CamembertTokenizer: Math.max(found, 0), AlbertTokenizer: 1, XLMRobertaTokenizer: 3 }[name],
      vocab: pieces,
      byte_fallback: false,
    },
  };
}

function debertaParts(model: Fields, config: Fields, unknown: string): Parts {
  const pieces = model.list('vocab');
  const found = pieces.findIndex((piece) => Array.isArray(piece) && piece[0] === unknown && piece[1] === 0);
  const metaspace = {
    type: 'Metaspace',
    replacement: '▁',
    prepend_scheme: config.boolean('add_prefix_space', true) ? 'always' : 'first',
    split: true,
  };
  const punctuation = { type: 'Punctuation', behavior: 'Isolated' };
  return {
    normalizer: {
      type: 'Sequence',
      normalizers: [
        ...(config.boolean('do_lower_case', false) ? [{ type: 'Lowercase' }] : []),
        { type: 'Replace', pattern: { Regex: '\\s{2,}|[\\n\\r\\t]' }, content: ' ' },
        { type: 'NFC' },
        { type: 'Strip', strip_left: false, strip_right: true },
      ],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [...(config.boolean('split_by_punct', false) ? [punctuation] : []), metaspace],
    },
    post_processor: null,
    decoder: metaspace,
    model: {
      type: 'Unigram',
      unk_id: found < 0 ? config.count('unk_id', 1, 0) : found,
      vocab: pieces,
      byte_fallback: false,
    },
  };
}

/** ALBERT's: straight quotes, no accents, lower case, then SentencePiece's table. */
function albertNormalizer(normalizer: Json | null, config: Fields): Json {
  const quotes = (pattern: string): Json => ({ type: 'Replace', pattern: { String: pattern }, content: '"' });
  const table = precompiledOf(normalizer);
  return {
    type: 'Sequence',
    normalizers: [
      quotes('``'),
      quotes("''"),
      ...(config.boolean('keep_accents', false) ? [] : [{ type: 'NFKD' }, { type: 'StripAccents' }]),
      ...(config.boolean('do_lower_case', true) ? [{ type: 'Lowercase' }] : []),
      ...(table === null ? [] : [table]),
    ],
  };
}

/** Finds SentencePiece's table, the only part of a normalizer that these classes keep. */
function precompiledOf(normalizer: Json | null): Json | null {
  if (normalizer === null) return null;
  const parts =
    normalizer.type === 'Sequence' && Array.isArray(normalizer.normalizers)
      ? normalizer.normalizers
      : [normalizer];
  return parts.filter(isObject).find(({ type }) => type === 'Precompiled') ?? null;
}

/**
 * The template that puts the class's special tokens around a text. Throws `TokenizerError` naming a token
 * that is missing from the vocabulary.
 */
export function classTemplate(
  name: Exclude<ClassName, 'TokenizersBackend'>,
  tokens: Partial<Record<TokenName, string>>,
  idOf: (token: string) => number | undefined,
  config: Fields,
): Json {
  const need = (key: TokenName): [string, number] => {
    const token = tokens[key];
    const id = token === undefined ? undefined : idOf(token);
    if (token === undefined || id === undefined)
      throw new TokenizerError(`${config.file}: '${key}_token' is missing`);
    return [token, id];
  };
  if (name === 'RobertaTokenizer' || name === 'MPNetTokenizer') {
    const flag = (key: string, usual: boolean) =>
      name === 'RobertaTokenizer' ? config.boolean(key, usual) : usual;
    return {
      type: 'RobertaProcessing',
      sep: need('sep'),
      cls: need('cls'),
      trim_offsets: flag('trim_offsets', true),
      add_prefix_space: flag('add_prefix_space', false),
    };
  }
  const bert = ['BertTokenizer', 'AlbertTokenizer', 'DebertaV2Tokenizer'].includes(name);
  const [first, last] = bert ? [need('cls'), need('sep')] : [need('bos'), need('eos')];
  const special = ([id]: [string, number], type_id: number) => ({ SpecialToken: { id, type_id } });
  const text = (id: string, type_id: number) => ({ Sequence: { id, type_id } });
  const second = bert ? 1 : 0;
  const single = [special(first, 0), text('A', 0), special(last, 0)];
  const between = bert ? [] : [special(last, 0)];
  return {
    type: 'TemplateProcessing',
    single,
    pair: [...single, ...between, text('B', second), special(last, second)],
    special_tokens: Object.fromEntries(
      [first, last].map(([token, id]) => [token, { id: token, ids: [id], tokens: [token] }]),
    ),
  };
}
