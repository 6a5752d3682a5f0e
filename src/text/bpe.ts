/** Byte pair encoding: merges pairs in the order in which they were learned. */
import { TokenizerError } from '../errors.ts';
import { utf8 } from './byte-level.ts';
import { type Fields, shown } from './json-fields.ts';
import type { Model, Token } from './models.ts';

interface Merge {
  rank: number;
  id: number;
}
/** Packs two ids into one number; ids are below 2^24. */
const pairKey = (first: number, second: number): number => first * 2 ** 24 + second;

interface Settings {
  vocab: ReadonlyMap<string, number>;
  names: ReadonlyMap<number, string>;
  merges: ReadonlyMap<number, Merge>;
  unknown: string | null;
  prefix: string;
  suffix: string;
  fuseUnknown: boolean;
  byteFallback: boolean;
  ignoreMerges: boolean;
}

export function readBpe(fields: Fields, vocab: ReadonlyMap<string, number>): Model {
  const dropout = fields.get('dropout');
  if (dropout !== undefined && dropout !== 0)
    fields.fail(
      'dropout',
      `is ${shown(dropout)}: merges left out at random are not supported`,
      'set it to null',
    );
  const prefix = fields.optionalString('continuing_subword_prefix') ?? '';
  const settings: Settings = {
    vocab,
    names: new Map([...vocab].map(([token, id]) => [id, token])),
    merges: readMerges(fields, vocab, prefix),
    unknown: fields.optionalString('unk_token'),
    prefix,
    suffix: fields.optionalString('end_of_word_suffix') ?? '',
    fuseUnknown: fields.boolean('fuse_unk', false),
    byteFallback: fields.boolean('byte_fallback', false),
    ignoreMerges: fields.boolean('ignore_merges', false),
  };
  return {
    vocab,
    tokenize(word) {
      const whole = settings.ignoreMerges ? vocab.get(word) : undefined;
      if (whole !== undefined) return [{ id: whole, value: word, start: 0, end: word.length }];
      const symbols = characters(word, settings, fields);
      mergeAll(symbols, settings.merges);
      return symbols
        .filter(({ gone }) => !gone)
        .map(({ id, start, end }): Token => ({ id, value: settings.names.get(id)!, start, end }));
    },
  };
}

function readMerges(fields: Fields, vocab: ReadonlyMap<string, number>, prefix: string): Map<number, Merge> {
  const merges = new Map<number, Merge>();
  for (const [rank, pair] of fields.list('merges').entries()) {
    const parts = typeof pair === 'string' ? pair.split(' ') : pair;
    const place = `merges[${rank}]`;
    if (!Array.isArray(parts) || parts.length !== 2 || parts.some((part) => typeof part !== 'string'))
      fields.fail(place, `is ${shown(pair)}, not two tokens`);
    const [first, second] = parts as [string, string];
    const joined = first + second.slice(prefix.length);
    const ids = [first, second, joined].map((token) => vocab.get(token));
    const missing = ids.indexOf(undefined);
    if (missing >= 0)
      fields.fail(place, `needs the token '${[first, second, joined][missing]}', which the vocabulary lacks`);
    merges.set(pairKey(ids[0]!, ids[1]!), { rank, id: ids[2]! });
  }
  return merges;
}

interface Symbol {
  id: number;
  start: number;
  end: number;
  previous: number;
  next: number;
  gone: boolean;
}

/**
 * Makes a symbol for each character. As in Python, a character without a token becomes the unknown token, or
 * is dropped if there is none.
 */
function characters(word: string, settings: Settings, fields: Fields): Symbol[] {
  const out: Symbol[] = [];
  let unknown: Symbol | null = null;
  let at = 0;
  const put = (id: number, start: number, end: number): Symbol => {
    const symbol = { id, start, end, previous: out.length - 1, next: -1, gone: false };
    if (out.length > 0) out.at(-1)!.next = out.length;
    out.push(symbol);
    return symbol;
  };
  for (const character of word) {
    const end = at + character.length;
    const text = `${at > 0 ? settings.prefix : ''}${character}${end === word.length ? settings.suffix : ''}`;
    const id = settings.vocab.get(text);
    const bytes = id === undefined && settings.byteFallback ? byteTokens(text, settings.vocab) : null;
    if (id !== undefined) put(id, at, end);
    else if (bytes !== null) for (const byte of bytes) put(byte, at, end);
    else if (settings.unknown !== null) {
      if (unknown !== null && settings.fuseUnknown) unknown.end = end;
      else unknown = put(unknownId(settings, fields), at, end);
    }
    if (id !== undefined) unknown = null;
    at = end;
  }
  return out;
}

function unknownId({ vocab, unknown }: Settings, fields: Fields): number {
  const id = vocab.get(unknown!);
  if (id === undefined)
    throw new TokenizerError(`${fields.place('unk_token')} is '${unknown}', which the vocabulary lacks`);
  return id;
}

/** The byte tokens (`<0x0A>`) of a text; null if one is missing. */
export function byteTokens(text: string, vocab: ReadonlyMap<string, number>): number[] | null {
  const ids = Array.from(utf8(text), (byte) =>
    vocab.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
  );
  return ids.includes(undefined) ? null : (ids as number[]);
}

/** A pair that may be merged, and the result recorded when it was found. */
interface Candidate extends Merge {
  at: number;
}

/** Merges in place: lowest rank first, leftmost first among equal ranks. */
function mergeAll(symbols: Symbol[], merges: ReadonlyMap<number, Merge>): void {
  const heap: Candidate[] = [];
  const consider = (at: number): void => {
    const next = at < 0 ? -1 : symbols[at]!.next;
    const merge = next < 0 ? undefined : merges.get(pairKey(symbols[at]!.id, symbols[next]!.id));
    if (merge !== undefined) push(heap, { ...merge, at });
  };
  for (let at = 0; at < symbols.length - 1; at += 1) consider(at);
  for (let top = pop(heap); top !== undefined; top = pop(heap)) {
    const left = symbols[top.at]!;
    if (left.gone || left.next < 0) continue;
    const right = symbols[left.next]!;
    // The pair may have changed since it was found.
    if (merges.get(pairKey(left.id, right.id))?.id !== top.id) continue;
    left.id = top.id;
    left.end = right.end;
    left.next = right.next;
    right.gone = true;
    if (right.next >= 0) symbols[right.next]!.previous = top.at;
    consider(left.previous);
    consider(top.at);
  }
}

const before = (a: Candidate, b: Candidate): boolean => a.rank < b.rank || (a.rank === b.rank && a.at < b.at);

function push(heap: Candidate[], item: Candidate): void {
  let at = heap.length;
  heap.push(item);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(item, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = item;
}

function pop(heap: Candidate[]): Candidate | undefined {
  const top = heap[0];
  const last = heap.pop();
  if (top === undefined || last === undefined || heap.length === 0) return top;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1;
    if (!before(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return top;
}
