/** Reads the special and added tokens from a folder's files, in transformers' order and with its flags. */
import { isObject } from '../json.ts';
import { type AddedToken, addedToken, alike, FLAGS } from './added-vocabulary.ts';
import { Fields, isTokenId, type Json, shown } from './json-fields.ts';
import { TOKEN_NAMES, type TokenName } from './tokenizer-class.ts';

/** The id that a file assigns to a token, and the location of that statement. */
export interface StatedId {
  content: string;
  id: number;
  fields: Fields;
  key: string;
}

export interface SpecialTokens {
  named: Partial<Record<TokenName, string>>;
  /** Names that neither a file nor the class mentions. */
  unnamed: ReadonlySet<TokenName>;
  /** All special tokens: the named ones, further named ones, and the extra ones. */
  all: string[];
  /** Tokens to add to the vocabulary, in this order. */
  toAdd: AddedToken[];
  stated: StatedId[];
}

/** The files in a folder that name tokens; null if absent. */
export interface TokenFiles {
  config: Fields;
  specialMap: Fields | null;
  addedTokens: Fields | null;
  tokenizer: Fields | null;
}

type Token = string | AddedToken;
const contentOf = (token: Token): string => (typeof token === 'string' ? token : token.content);

/** A token as in the files: a string, or an object with content and flags. */
export function readToken(fields: Fields): AddedToken {
  const flags: Partial<AddedToken> = {};
  for (const flag of FLAGS) if (fields.get(flag) !== undefined) flags[flag] = fields.boolean(flag, false);
  return addedToken(fields.string('content'), flags);
}

function tokenAt(fields: Fields, key: string, special: boolean): Token | null {
  const value = fields.get(key);
  return value === undefined ? null : tokenFrom(value, fields, key, special);
}

function tokenFrom(value: unknown, fields: Fields, key: string, special: boolean): Token {
  if (typeof value === 'string') return value;
  if (!isObject(value)) return fields.fail(key, `is ${shown(value)}, not a token`);
  const json = special ? { ...value, special: true } : value;
  return readToken(new Fields(json, fields.file, `${fields.path}${key}.`));
}

/** Reads all special and added tokens. `usual` holds the class's own special tokens. */
export function readSpecialTokens(
  files: TokenFiles,
  usual: Partial<Record<TokenName, Token>>,
  usualExtra: readonly string[],
  /** Whether the tokenizer starts with the added tokens of tokenizer.json. */
  fromFile: boolean,
  /** Whether a mask token given as a string includes the white space before it. */
  maskTakesSpace: boolean,
): SpecialTokens {
  const { named, extra, special } = gather(files);
  for (const name of TOKEN_NAMES) {
    const key = `${name}_token`;
    if (!named.has(key) && usual[name] !== undefined) named.set(key, usual[name]);
  }
  const mask = named.get('mask_token');
  if (maskTakesSpace && typeof mask === 'string')
    named.set('mask_token', addedToken(mask, { lstrip: true, special: true }));
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
    stated: decoder.map(({ stated }) => stated),
  };
}

interface Gathered {
  named: Map<string, Token | null>;
  /** `extra_special_tokens` or its older name; null if no file has either. */
  extra: Token[] | null;
  /** Contents that mark tokens of added_tokens.json as special. */
  special: Set<string>;
}

/** Collects the special tokens of tokenizer_config.json and special_tokens_map.json. */
function gather(files: TokenFiles): Gathered {
  const named = new Map<string, Token | null>();
  /** Whether the token marks added tokens as special: tokens with flags in tokenizer_config.json do not. */
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
  /** `additional_special_tokens`, the older name, used if no file has a list under the newer one. */
  older: Token[] | null;
}

/** Collects a file's extra tokens and returns those added to `extra`. An object holds named tokens. */
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
    // In tokenizer_config.json the older name is a synonym, used if the newer one has no tokens.
    if (!isMap && found.length === 0 && !isObject(value)) {
      found = older;
      lists.extra ??= [];
    } else lists.older = older;
  }
  if (found.length > 0) lists.extra = [...(lists.extra ?? []), ...found];
  return found;
}

function tokenList(fields: Fields, key: string, isMap: boolean): Token[] {
  return fields.list(key).map((token, index) => tokenFrom(token, fields, `${key}[${index}]`, isMap));
}

const isStandard = (key: string): boolean => TOKEN_NAMES.some((name) => key === `${name}_token`);

/**
 * Whether a key names a token: `add_bos_token` and the like are switches. Throws `TokenizerError` if a
 * standard name has no token.
 */
function holdsToken(fields: Fields, key: string): boolean {
  if (!key.endsWith('_token')) return false;
  const value = fields.json[key];
  const standard = isStandard(key);
  if (value === null) return standard;
  if (typeof value === 'string' || (isObject(value) && typeof value.content === 'string')) return true;
  return standard ? fields.fail(key, `is ${shown(value)}, not a token`) : false;
}

/**
 * The files in the order in which they apply: tokenizer_config.json, then special_tokens_map.json, which
 * overrides it but counts only without an `added_tokens_decoder`.
 */
function sources({ config, specialMap }: TokenFiles): [Fields, boolean][] {
  const map = specialMap === null || config.get('added_tokens_decoder') !== undefined ? [] : [specialMap];
  return [[config, false], ...map.map((fields): [Fields, boolean] => [fields, true])];
}

interface Added {
  token: AddedToken;
  stated: StatedId;
}

/** Added tokens by id: from `added_tokens_decoder`, else from added_tokens.json and tokenizer.json. */
function addedDecoder({ config, addedTokens, tokenizer }: TokenFiles, special: ReadonlySet<string>): Added[] {
  const byId = new Map<number, Added>();
  const put = (token: AddedToken, id: unknown, fields: Fields, key: string): void => {
    if (!isTokenId(id))
      fields.fail(key, `gives '${token.content}' the id ${shown(id)}, which no vocabulary has`);
    byId.set(id, { token, stated: { content: token.content, id, fields, key } });
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
  return [...byId.values()].sort((a, b) => a.stated.id - b.stated.id);
}

/** The `added_tokens` of tokenizer.json. */
export function tokenizerTokens(tokenizer: Fields | null): Fields[] {
  return tokenizer === null || tokenizer.get('added_tokens') === undefined
    ? []
    : tokenizer.objects('added_tokens');
}

/** The tokens to add, in Python's order: special tokens last, and only those not added yet. */
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
  // Like Python, skips tokens that are alike in every flag; of others with the same content the last one
  // counts.
  for (const token of [...specials, ...extras]) {
    const content = contentOf(token);
    if (known.has(content) || given.some((other) => same(other, token))) continue;
    given.push(token);
    const whole = typeof token === 'string' ? addedToken(token, { special: true }) : token;
    out.push(names.has(content) ? { ...whole, special: true } : whole);
  }
  return out;
}

function same(a: Token, b: Token): boolean {
  return typeof a === 'string' || typeof b === 'string' ? a === b : alike(a, b);
}

/** Named tokens as JSON, for writing a new configuration. */
export function namedJson(named: Partial<Record<TokenName, string>>): Json {
  return Object.fromEntries(Object.entries(named).map(([name, token]) => [`${name}_token`, token]));
}
