/**
 * Builds a tokenizer from a folder's files: tokenizer.json or vocabulary files, with the settings of
 * tokenizer_config.json and related files.
 */
import { TokenizerError } from '../errors.ts';
import { AddedVocabulary } from './added-vocabulary.ts';
import { type Decoder, readDecoder } from './decoders.ts';
import { Fields, type Json, parseObject } from './json-fields.ts';
import { type Model, type ModelKind, modelKind, readModel } from './models.ts';
import { readNormalizer } from './normalizers.ts';
import { PieceEncoder } from './pieces.ts';
import { readPreTokenizer } from './pre-tokenizers.ts';
import { readSpecialTokens, readToken, type SpecialTokens, tokenizerTokens } from './special-tokens.ts';
import { readTemplate, type Template } from './template.ts';
import {
  type ClassName,
  chooseClass,
  classParts,
  classTemplate,
  type Parts,
  usualTokens,
} from './tokenizer-class.ts';
import type { Side } from './truncation.ts';

/** The text of each file in a folder. */
export type FileTexts = Readonly<Record<string, string | undefined>>;

/** A tokenizer's parts, ready to use, and its settings. */
export interface LoadedTokenizer {
  /** An equivalent tokenizer.json; the folder's own if the class uses it unchanged. */
  json: Json;
  className: ClassName;
  pieces: PieceEncoder;
  model: Model;
  modelKind: ModelKind;
  added: AddedVocabulary;
  template: Template;
  decoder: Decoder | null;
  special: SpecialTokens;
  settings: Settings;
}

export interface Settings {
  /** Infinity if there is no limit. */
  modelMaxLength: number;
  paddingSide: Side;
  truncationSide: Side;
  /** Whether the model gets token types; if not, they are all 0. */
  tokenTypes: boolean;
  cleanUpTokenizationSpaces: boolean;
  /** Whether to tidy the output of byte pair encoding too. */
  cleanUpBpe: boolean;
}

/** What a folder's files say. */
interface Folder {
  texts: FileTexts;
  /** A file's path, for messages. */
  path(name: string): string;
  className: ClassName;
  /** tokenizer.json; null if absent. */
  file: Fields | null;
  /** tokenizer_config.json. */
  config: Fields;
  special: SpecialTokens;
}

/** transformers writes a larger number than this for "no limit". */
const VERY_LARGE = 1e12;
const NOTHING_USED = ['<s>NOTUSED', '</s>NOTUSED', '<unk>NOTUSED'];

/**
 * Builds the tokenizer. `path` gives a file's path, for messages. Throws `TokenizerError` naming the file and
 * the key that cannot be used.
 */
export function loadTokenizer(texts: FileTexts, path: (name: string) => string): LoadedTokenizer {
  const fieldsOf = (name: string): Fields | null => {
    const text = texts[name];
    return text === undefined ? null : new Fields(parseObject(text, path(name)), path(name));
  };
  const config = fieldsOf('tokenizer_config.json') ?? new Fields({}, path('tokenizer_config.json'));
  const modelConfig = fieldsOf('config.json') ?? new Fields({}, path('config.json'));
  const file = fieldsOf('tokenizer.json');
  refuseUnknown(config, file);
  const named = chooseClass(config, modelConfig);
  const className = named ?? guessedClass(texts, file);
  const special = readSpecialTokens(
    {
      config,
      specialMap: fieldsOf('special_tokens_map.json'),
      addedTokens: fieldsOf('added_tokens.json'),
      tokenizer: file,
    },
    usualTokens(className, named === null),
    className === 'CamembertTokenizer' ? NOTHING_USED : [],
    className === 'TokenizersBackend',
    className === 'MPNetTokenizer',
  );
  const folder: Folder = { texts, path, className, file, config, special };
  return assemble(folder, readParts(folder));
}

/** Rejects keys that would change the tokens of a text in an unsupported way. */
function refuseUnknown(config: Fields, file: Fields | null): void {
  if (config.optionalList('fast_tokenizer_files')?.some((name) => name !== 'tokenizer.json'))
    config.fail(
      'fast_tokenizer_files',
      'names files for versions of the library',
      'keep tokenizer.json alone',
    );
  const inputs = config.optionalList('model_input_names');
  for (const name of ['input_ids', 'attention_mask'])
    if (inputs?.includes(name) === false)
      config.fail('model_input_names', `lacks '${name}', which every model here gets`);
  const version = file?.get('version');
  if (file !== null && version !== undefined && version !== '1.0')
    file.fail('version', `is ${JSON.stringify(version)}, and only '1.0' is known`);
}

function guessedClass(texts: FileTexts, file: Fields | null): ClassName {
  if (file !== null) return 'TokenizersBackend';
  return texts['vocab.txt'] === undefined ? 'RobertaTokenizer' : 'BertTokenizer';
}

function readParts(folder: Folder): Parts {
  const { className, file, config, special } = folder;
  const part = (key: string): Json | null => file?.optionalObject(key)?.json ?? null;
  if (className !== 'TokenizersBackend') {
    const model = file?.object('model') ?? vocabularyModel(folder);
    const unknown = special.named.unk;
    if (unknown === undefined) return config.fail('unk_token', 'is null, and the class needs one');
    const parts = classParts(className, model, part('normalizer'), config, unknown);
    // ALBERT's class alone takes the file's template.
    return className === 'AlbertTokenizer' ? { ...parts, post_processor: part('post_processor') } : parts;
  }
  if (file === null) {
    return config.fail(
      'tokenizer_class',
      `'${config.string('tokenizer_class', 'TokenizersBackend')}' cannot be made from a vocabulary alone`,
      'save the tokenizer as tokenizer.json (in Python: a fast tokenizer’s save_pretrained)',
    );
  }
  return {
    normalizer: part('normalizer'),
    pre_tokenizer: part('pre_tokenizer'),
    post_processor: part('post_processor'),
    decoder: part('decoder'),
    model: file.object('model').json,
  };
}

/** The `model` part, built from vocabulary files. */
function vocabularyModel({ className, texts, path }: Folder): Fields {
  const { 'vocab.txt': words, 'vocab.json': bpe, 'merges.txt': merges } = texts;
  if (['BertTokenizer', 'MPNetTokenizer'].includes(className) && words !== undefined)
    return new Fields({ vocab: parseVocabTxt(words) }, path('vocab.txt'));
  if (className === 'RobertaTokenizer' && bpe !== undefined && merges !== undefined) {
    return new Fields(
      { vocab: parseObject(bpe, path('vocab.json')), merges: parseMerges(merges, path('merges.txt')) },
      path('vocab.json'),
    );
  }
  const wanted: Partial<Record<ClassName, string>> = {
    BertTokenizer: 'no tokenizer.json and no vocab.txt',
    MPNetTokenizer: 'no tokenizer.json and no vocab.txt',
    RobertaTokenizer: 'no tokenizer.json, and no vocab.json with merges.txt beside it',
  };
  throw new TokenizerError(
    `'${path('')}' has ${wanted[className] ?? 'no tokenizer.json'}, which ${className} needs`,
    { remedy: 'copy the tokenizer files that came with the model into the folder' },
  );
}

/** One token per line without trailing white space; a repeated token keeps its last line, as in Python. */
function parseVocabTxt(text: string): Record<string, number> {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return Object.fromEntries(lines.map((line, id) => [line.replace(/\p{White_Space}+$/u, ''), id]));
}

function parseMerges(text: string, file: string): string[] {
  const merges: string[] = [];
  for (const [at, raw] of text.split('\n').entries()) {
    const line = raw.replace(/\r$/, '');
    if (line === '' || line.startsWith('#version')) continue;
    if (line.split(' ').length !== 2)
      throw new TokenizerError(
        `${file}: line ${at + 1} has ${JSON.stringify(line.slice(0, 40))}, not two tokens`,
      );
    merges.push(line);
  }
  return merges;
}

function assemble(folder: Folder, parts: Parts): LoadedTokenizer {
  const { texts, path, className, file, config, special } = folder;
  const source = file?.file ?? path(texts['vocab.txt'] === undefined ? 'vocab.json' : 'vocab.txt');
  const fields = new Fields({ ...parts }, source);
  const normalizer = readNormalizer(fields.optionalObject('normalizer'));
  const model = readModel(fields.object('model'));
  const added = new AddedVocabulary(model.vocab, normalizer, config.boolean('split_special_tokens', false));
  const fromFile = className === 'TokenizersBackend' ? tokenizerTokens(file) : [];
  added.add(fromFile.map(readToken));
  if (className !== 'TokenizersBackend') needAroundText(special, added, source);
  added.add(special.toAdd);
  checkIds(special, added);
  if (className !== 'TokenizersBackend')
    parts.post_processor ??= classTemplate(className, special.named, (token) => added.idOf(token), config);
  const whole = new Fields({ ...parts }, source);
  const preTokenizer = readPreTokenizer(whole.optionalObject('pre_tokenizer'));
  return {
    json: savedJson(folder, parts, added),
    className,
    pieces: new PieceEncoder(model, added, preTokenizer),
    model,
    modelKind: modelKind(fields.object('model')),
    added,
    template: readTemplate(whole.optionalObject('post_processor')),
    decoder: readDecoder(whole.optionalObject('decoder')),
    special,
    settings: readSettings(folder),
  };
}

/** Throws if the vocabulary lacks a special token that the class needs: it is another model's. */
function needAroundText(special: SpecialTokens, added: AddedVocabulary, source: string): void {
  const stated = new Set(special.stated.map(({ content }) => content));
  for (const name of ['cls', 'sep', 'unk'] as const) {
    const token = special.named[name];
    if (token !== undefined && added.idOf(token) === undefined && !stated.has(token)) {
      throw new TokenizerError(`${source}: there is no token '${token}'`, {
        remedy: 'is it the model’s own vocabulary?',
      });
    }
  }
}

/** Throws if a file assigns an id other than the one Python would: the file belongs to another vocabulary. */
function checkIds(special: SpecialTokens, added: AddedVocabulary): void {
  for (const { content, id, fields, key } of special.stated) {
    const given = added.idOf(content);
    if (given !== undefined && given !== id)
      fields.fail(
        key,
        `gives '${content}' the id ${id}, where the vocabulary gives it ${given}`,
        'is it the model’s own vocabulary?',
      );
  }
}

function savedJson({ className, file }: Folder, parts: Parts, added: AddedVocabulary): Json {
  if (file !== null && className === 'TokenizersBackend') return file.json;
  const tokens = [...added.entries].sort(([a], [b]) => a - b).map(([id, token]) => ({ id, ...token }));
  return { version: '1.0', truncation: null, padding: null, added_tokens: tokens, ...parts };
}

function readSettings({ className, file, config }: Folder): Settings {
  const sides = ['left', 'right'] as const;
  const side = (key: string, part: string): Side =>
    config.choice(key, sides, file?.optionalObject(part)?.choice('direction', sides, 'right') ?? 'right');
  const usualTypes =
    className === 'DebertaV2Tokenizer' ||
    (className === 'BertTokenizer' && !config.string('tokenizer_class', '').startsWith('DistilBert'));
  return {
    modelMaxLength: readLimit(config),
    paddingSide: side('padding_side', 'padding'),
    truncationSide: side('truncation_side', 'truncation'),
    tokenTypes: config.optionalList('model_input_names')?.includes('token_type_ids') ?? usualTypes,
    cleanUpTokenizationSpaces: config.boolean('clean_up_tokenization_spaces', false),
    cleanUpBpe: config.boolean(
      'clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output',
      false,
    ),
  };
}

/** Reads the maximum length; `max_len` is the older name. */
function readLimit(config: Fields): number {
  const key = ['model_max_length', 'max_len'].find((name) => config.get(name) !== undefined);
  if (key === undefined) return Number.POSITIVE_INFINITY;
  const value = config.get(key);
  if (typeof value === 'number' && value >= VERY_LARGE) return Number.POSITIVE_INFINITY;
  return config.count(key, undefined, 1);
}
