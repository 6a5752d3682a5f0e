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
  const named = new Map<string, Token | null>();
  let extra: Token[] | null = null;
  for (const [fields, isMap] of sources(files)) {
    for (const key of Object.keys(fields.json)) {
      if (key === 'extra_special_tokens' || key === 'additional_special_tokens') continue;
      if (holdsToken(fields, key)) named.set(key, tokenAt(fields, key, isMap));
    }
    const found = extraTokens(fields, named);
    if (found !== null)
      extra =
        isMap && extra !== null && fields.get('extra_special_tokens') !== undefined
          ? [...extra, ...found]
          : (extra ?? found);
  }
  for (const name of TOKEN_NAMES) {
    const key = `${name}_token`;
    if (!named.has(key) && usual[name] !== undefined) named.set(key, usual[name]);
  }
  const known = new Set(
    [...named.values(), ...(extra ?? [])].flatMap((token) => (token === null ? [] : [contentOf(token)])),
  );
  const decoder = addedDecoder(files, known);
  const byContent = new Map(decoder.map(({ token }) => [token.content, token]));
  for (const [key, token] of named) {
    const added = token === null ? undefined : byContent.get(contentOf(token));
    if (added !== undefined) named.set(key, added);
  }
  const extras = extra ?? [...usualExtra];
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

/** `add_bos_token` and the like are switches. Throws `TokenizerError` where a standard name has no token. */
function holdsToken(fields: Fields, key: string): boolean {
  if (!key.endsWith('_token')) return false;
  const value = fields.json[key];
  const standard = TOKEN_NAMES.some((name) => key === `${name}_token`);
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

/** Extra special tokens; those with a name of their own (an object) go to `named`. */
function extraTokens(fields: Fields, named: Map<string, Token | null>): Token[] | null {
  const lists = ['extra_special_tokens', 'additional_special_tokens'].filter((key) => {
    const value = fields.get(key);
    return value !== undefined && !(Array.isArray(value) && value.length === 0);
  });
  const key = lists[0];
  if (key === undefined) return null;
  const value = fields.get(key);
  if (isObject(value)) {
    const object = fields.object(key);
    for (const name of Object.keys(value)) named.set(name, tokenAt(object, name, true));
    return null;
  }
  return fields.list(key).map((token, index) => {
    if (typeof token === 'string') return token;
    if (!isObject(token)) return fields.fail(`${key}[${index}]`, `is ${shown(token)}, not a token`);
    return readToken(new Fields({ ...token, special: true }, fields.file, `${fields.path}${key}[${index}].`));
  });
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
  specials: Token[],
  extras: Token[],
  there: readonly string[],
): AddedToken[] {
  const names = new Set(specials.map(contentOf));
  const out: AddedToken[] = added.map((token) =>
    names.has(token.content) ? { ...token, special: true } : token,
  );
  const known = new Set([...there, ...added.map(({ content }) => content)]);
  for (const token of [...specials, ...extras]) {
    const content = contentOf(token);
    if (known.has(content)) continue;
    known.add(content);
    const whole = typeof token === 'string' ? addedToken(token, { special: true }) : token;
    out.push(names.has(content) ? { ...whole, special: true } : whole);
  }
  return out;
}

/** Named tokens as JSON, for a configuration that is written anew. */
export function namedJson(named: Partial<Record<TokenName, string>>): Json {
  return Object.fromEntries(Object.entries(named).map(([name, token]) => [`${name}_token`, token]));
}
