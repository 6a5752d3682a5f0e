/**
 * Special and added tokens of a folder's files, in the order and with the flags that transformers gives them.
 */
import { type AddedToken, addedToken } from './added-vocabulary.ts';
import { Fields, isObject, isTokenId, type Json, shown } from './json-fields.ts';
import { TOKEN_NAMES, type TokenName } from './tokenizer-class.ts';

/** An id that a file gives to a token, and the place that says so. */
export interface StatedId {
  content: string;
  id: number;
  fields: Fields;
  key: string;
}

export interface SpecialTokens {
  named: Partial<Record<TokenName, string>>;
  /** Names that no file and no class says anything of. */
  unnamed: ReadonlySet<TokenName>;
  /** All special tokens: named, further named ones, and extra ones. */
  all: string[];
  /** To be added to the vocabulary, in this order. */
  toAdd: AddedToken[];
  stated: StatedId[];
}

/** A folder's files as far as they name tokens; absent ones are null. */
export interface TokenFiles {
  config: Fields;
  specialMap: Fields | null;
  addedTokens: Fields | null;
  tokenizer: Fields | null;
}

type Token = string | AddedToken;
const contentOf = (token: Token): string => (typeof token === 'string' ? token : token.content);
const FLAGS = ['single_word', 'lstrip', 'rstrip', 'normalized', 'special'] as const;

/** A token as the files write it: a text, or an object of content and flags. */
export function readToken(fields: Fields): AddedToken {
  const flags: Partial<AddedToken> = {};
  for (const flag of FLAGS) if (fields.get(flag) !== undefined) flags[flag] = fields.boolean(flag, false);
  return addedToken(fields.string('content'), flags);
}

function tokenAt(fields: Fields, key: string, special: boolean): Token | null {
  const value = fields.get(key);
  if (value === undefined) return null;
  if (typeof value === 'string') return value;
  if (!isObject(value)) fields.fail(key, `is ${shown(value)}, not a token`);
  const object = fields.object(key);
  return readToken(
    special ? new Fields({ ...object.json, special: true }, object.file, object.path) : object,
  );
}

/** Reads the tokens' files. `usual` are the class's own special tokens. */
export function readSpecialTokens(
  files: TokenFiles,
  usual: Partial<Record<TokenName, Token>>,
  usualExtra: readonly string[],
  /** Whether the tokenizer starts with tokenizer.json's added tokens. */
  fromFile: boolean,
): SpecialTokens {
  const { named, extra, special } = gather(files);
  for (const name of TOKEN_NAMES) {
    const key = `${name}_token`;
    if (!named.has(key) && usual[name] !== undefined) named.set(key, usual[name]);
  }
  const decoder = addedDecoder(files, special);
  const byContent = new Map(decoder.map(({ token }) => [token.content, token]));
  for (const [key, token] of named) {
    const added = token === null ? undefined : byContent.get(contentOf(token));
    if (added !== undefined) named.set(key, added);
  }
  const extras = extra ?? usualExtra;
  const inOrder = [...TOKEN_NAMES.map((name) => `${name}_token`), ...named.keys()];
  const specials = [...new Set(inOrder)].flatMap((key) => named.get(key) ?? []);
  return {
    named: Object.fromEntries(
      TOKEN_NAMES.flatMap((name) => {
        const token = named.get(`${name}_token`) ?? null;
        return token === null ? [] : [[name, contentOf(token)]];
      }),
    ),
    unnamed: new Set(TOKEN_NAMES.filter((name) => !named.has(`${name}_token`))),
    all: [...new Set([...specials, ...extras].map(contentOf))],
    toAdd: inOrderOfPython(
      decoder.map(({ token }) => token),
      specials,
      extras,
      fromFile ? tokenizerTokens(files.tokenizer).map((token) => token.string('content')) : [],
    ),
    stated: decoder.flatMap(({ stated }) => stated ?? []),
  };
}

interface Gathered {
  named: Map<string, Token | null>;
  /** `extra_special_tokens`, or what stands for it; null where no file has any. */
  extra: Token[] | null;
  /** Tokens that make those of added_tokens.json special. */
  special: Set<string>;
}

/** The special tokens of tokenizer_config.json and special_tokens_map.json. */
function gather(files: TokenFiles): Gathered {
  const named = new Map<string, Token | null>();
  /** Those that tokenizer_config.json gives flags to do not make a token of added_tokens.json special. */
  const plain = (token: Token | null, isMap: boolean): token is Token =>
    token !== null && (isMap || typeof token === 'string');
  const marks = new Map<string, string | null>();
  const lists: ExtraTokens = { extra: null, older: null };
  const extraMarks: string[] = [];
  for (const [fields, isMap] of sources(files)) {
    for (const key of Object.keys(fields.json)) {
      if (!holdsToken(fields, key)) continue;
      const token = tokenAt(fields, key, isMap);
      named.set(key, token);
      if (isStandard(key)) marks.set(key, plain(token, isMap) ? contentOf(token) : null);
    }
    for (const token of gatherExtra(fields, isMap, named, lists))
      if (plain(token, isMap)) extraMarks.push(contentOf(token));
  }
  const special = new Set([...[...marks.values()].filter((content) => content !== null), ...extraMarks]);
  return { named, extra: lists.extra ?? lists.older, special };
}

interface ExtraTokens {
  extra: Token[] | null;
  /** `additional_special_tokens`, the older name, which counts where the other has no list. */
  older: Token[] | null;
}

/** Returns what it adds to `extra`. Tokens with a name of their own (an object) are named ones. */
function gatherExtra(
  fields: Fields,
  isMap: boolean,
  named: Map<string, Token | null>,
  lists: ExtraTokens,
): Token[] {
  const [key, olderKey] = ['extra_special_tokens', 'additional_special_tokens'];
  const value = fields.get(key);
  let found: Token[] = [];
  if (isObject(value)) {
    const object = fields.object(key);
    for (const name of Object.keys(value)) named.set(name, tokenAt(object, name, true));
  } else if (value !== undefined) {
    found = tokenList(fields, key, isMap);
    lists.extra ??= [];
  }
  if (fields.get(olderKey) !== undefined) {
    const older = tokenList(fields, olderKey, isMap);
    // In the configuration it is the same as the other name, where that says nothing.
    if (!isMap && found.length === 0 && !isObject(value)) {
      found = older;
      lists.extra ??= [];
    } else lists.older = older;
  }
  if (found.length > 0) lists.extra = [...(lists.extra ?? []), ...found];
  return found;
}

function tokenList(fields: Fields, key: string, isMap: boolean): Token[] {
  return fields.list(key).map((token, index) => {
    if (typeof token === 'string') return token;
    if (!isObject(token)) return fields.fail(`${key}[${index}]`, `is ${shown(token)}, not a token`);
    const flags = isMap ? { ...token, special: true } : token;
    return readToken(new Fields(flags, fields.file, `${fields.path}${key}[${index}].`));
  });
}

const isStandard = (key: string): boolean => TOKEN_NAMES.some((name) => key === `${name}_token`);

/** `add_bos_token` and the like are switches. Throws `TokenizerError` where a standard name has no token. */
function holdsToken(fields: Fields, key: string): boolean {
  if (!key.endsWith('_token')) return false;
  const value = fields.json[key];
  const standard = isStandard(key);
  if (value === null) return standard;
  if (typeof value === 'string' || (isObject(value) && typeof value.content === 'string')) return true;
  return standard ? fields.fail(key, `is ${shown(value)}, not a token`) : false;
}

/**
 * tokenizer_config.json, then, where that has no `added_tokens_decoder`, special_tokens_map.json, which has
 * the last word.
 */
function sources({ config, specialMap }: TokenFiles): [Fields, boolean][] {
  const map = specialMap === null || config.get('added_tokens_decoder') !== undefined ? [] : [specialMap];
  return [[config, false], ...map.map((fields): [Fields, boolean] => [fields, true])];
}

interface Added {
  token: AddedToken;
  id: number;
  stated: StatedId | null;
}

/**
 * Added tokens by id: `added_tokens_decoder` alone where there is one, else added_tokens.json and
 * tokenizer.json's.
 */
function addedDecoder({ config, addedTokens, tokenizer }: TokenFiles, special: ReadonlySet<string>): Added[] {
  const byId = new Map<number, Added>();
  const put = (token: AddedToken, id: unknown, fields: Fields, key: string): void => {
    if (!isTokenId(id))
      fields.fail(key, `gives '${token.content}' the id ${shown(id)}, which no vocabulary has`);
    byId.set(id, { token, id, stated: { content: token.content, id, fields, key } });
  };
  const decoder = config.optionalObject('added_tokens_decoder');
  if (decoder !== null) {
    for (const key of Object.keys(decoder.json))
      put(readToken(decoder.object(key)), Number(key === '' ? Number.NaN : key), decoder, key);
  } else {
    for (const [content, id] of Object.entries(addedTokens?.json ?? {}))
      put(addedToken(content, { special: special.has(content) }), id, addedTokens!, content);
    for (const token of tokenizerTokens(tokenizer)) put(readToken(token), token.json.id, token, 'id');
  }
  return [...byId.values()].sort((a, b) => a.id - b.id);
}

/** tokenizer.json's `added_tokens`. */
export function tokenizerTokens(tokenizer: Fields | null): Fields[] {
  return tokenizer === null || tokenizer.get('added_tokens') === undefined
    ? []
    : tokenizer.objects('added_tokens');
}

/** Special tokens come last, and only those that are not there already. */
function inOrderOfPython(
  added: AddedToken[],
  specials: readonly Token[],
  extras: readonly Token[],
  there: readonly string[],
): AddedToken[] {
  const names = new Set(specials.map(contentOf));
  const out: AddedToken[] = added.map((token) =>
    names.has(token.content) ? { ...token, special: true } : token,
  );
  const known = new Set([...there, ...added.map(({ content }) => content)]);
  const given: Token[] = [];
  // Python leaves out what is alike in every flag; of others with one content the last counts.
  for (const token of [...specials, ...extras]) {
    const content = contentOf(token);
    if (known.has(content) || given.some((other) => alike(other, token))) continue;
    given.push(token);
    const whole = typeof token === 'string' ? addedToken(token, { special: true }) : token;
    out.push(names.has(content) ? { ...whole, special: true } : whole);
  }
  return out;
}

function alike(a: Token, b: Token): boolean {
  if (typeof a === 'string' || typeof b === 'string') return a === b;
  return a.content === b.content && FLAGS.every((flag) => a[flag] === b[flag]);
}

/** Named tokens as JSON, for a configuration that is written anew. */
export function namedJson(named: Partial<Record<TokenName, string>>): Json {
  return Object.fromEntries(Object.entries(named).map(([name, token]) => [`${name}_token`, token]));
}
