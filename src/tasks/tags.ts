/** Entities in a sequence of tags (`B-LOC`, `I-LOC`, `O`), by the rules of Python's seqeval. */
import { DataError } from '../errors.ts';

/** An entity's type and its tags, [start, end). */
export interface Entity {
  type: string;
  start: number;
  end: number;
}

/**
 * How tags mark entities. In IOB1 an entity begins with I, and with B only right after one of its type; in
 * IOB2 with B; in BIOES it also ends with E, and one of a single word is S. BILOU is BIOES with other letters.
 */
export const schemes = ['IOB1', 'IOB2', 'BIOES', 'BILOU'] as const;
export type Scheme = (typeof schemes)[number];

interface Tag {
  prefix: string;
  type: string;
}

const OUTSIDE: Tag = { prefix: 'O', type: '_' };

/** `B-LOC` is prefix B and type LOC; a prefix alone has the type `_`. */
function parse(tag: string): Tag {
  const rest = tag.slice(1);
  const dash = rest.indexOf('-');
  return { prefix: tag.slice(0, 1), type: (dash < 0 ? rest : rest.slice(dash + 1)) || '_' };
}

/** Whether all names are tags of entities: `O`, or a prefix of some scheme before a type. */
export function areTags(names: readonly string[]): boolean {
  return (
    names.every((name) => name === 'O' || /^[BIESLU](-.*)?$/s.test(name)) &&
    names.some((name) => /^[BIESLU]-./s.test(name))
  );
}

/** Neighboring prefixes (`*`: any), and whether their types must be the same (`=`) or different (`!`). */
type Rule = readonly [before: string, prefix: string, types?: '=' | '!'];

interface Rules {
  prefixes: string;
  start: readonly Rule[];
  inside: readonly Rule[];
  /** What may follow an entity; otherwise it does not count. */
  end: readonly Rule[];
}

/** The rules of BIOES, with the letters for an entity's last word and for a single one. */
const closed = (last: string, single: string): Rules => ({
  prefixes: `BIO${last}${single}`,
  start: [['*', `B${single}`]],
  inside: [['BI', `I${last}`, '=']],
  end: [[`${last}${single}`, '*']],
});

const strict: Record<Scheme, Rules> = {
  IOB1: {
    prefixes: 'IOB',
    start: [
      ['OB', 'I'],
      ['I', 'I', '!'],
      ['IB', 'B', '='],
    ],
    inside: [['BI', 'I', '=']],
    end: [
      ['BI', 'I', '!'],
      ['BI', 'O'],
      ['I', 'B'],
      ['B', 'B', '='],
    ],
  },
  IOB2: {
    prefixes: 'IOB',
    start: [['*', 'B']],
    inside: [['BI', 'I', '=']],
    end: [
      ['BI', 'BO'],
      ['BI', 'I', '!'],
    ],
  },
  BIOES: closed('E', 'S'),
  BILOU: closed('L', 'U'),
};

/** Prefixes that begin an entity whatever their type, and that end one, without a scheme. */
const lenient = {
  start: [
    ['*', 'BS'],
    ['ESO', 'EI'],
  ],
  end: [
    ['ES', '*'],
    ['BI', 'BSO'],
  ],
} as const satisfies Record<string, readonly Rule[]>;

function matches(rules: readonly Rule[], before: Tag, tag: Tag): boolean {
  return rules.some(
    ([first, second, types]) =>
      (first === '*' || first.includes(before.prefix)) &&
      (second === '*' || second.includes(tag.prefix)) &&
      (types === undefined || (before.type === tag.type) === (types === '=')),
  );
}

/**
 * The entities of a sentence. Without a scheme, as seqeval by default and conlleval: any tag of another type
 * than the one before begins an entity, whatever its prefix. With a scheme, as seqeval's mode 'strict': only
 * what the scheme allows counts, and a tag with a foreign prefix throws `DataError`.
 */
export function entitiesOf(tags: readonly string[], scheme?: Scheme): Entity[] {
  const parsed = [...tags.map(parse), OUTSIDE];
  return scheme === undefined ? lenientEntities(parsed) : strictEntities(parsed, scheme);
}

function lenientEntities(tags: readonly Tag[]): Entity[] {
  const out: Entity[] = [];
  let before: Tag = { prefix: 'O', type: '' };
  let start = 0;
  for (const [at, tag] of tags.entries()) {
    const changed = before.type !== tag.type;
    const inside = before.prefix !== 'O' && before.prefix !== '.';
    if (matches(lenient.end, before, tag) || (inside && changed))
      out.push({ type: before.type, start, end: at });
    const begins = tag.prefix !== 'O' && tag.prefix !== '.';
    if (matches(lenient.start, before, tag) || (begins && changed)) start = at;
    before = tag;
  }
  return out;
}

function strictEntities(tags: readonly Tag[], scheme: Scheme): Entity[] {
  const rules = strict[scheme];
  const odd = tags.find(({ prefix }) => !rules.prefixes.includes(prefix));
  if (odd !== undefined)
    throw new DataError(`the tag '${odd.prefix}-${odd.type}' is not one of ${scheme}`, {
      remedy: `its prefixes are ${[...rules.prefixes].join(', ')}`,
    });
  const out: Entity[] = [];
  for (let at = 0; at < tags.length; ) {
    const start = at;
    const { type } = tags[start]!;
    at += 1;
    if (!matches(rules.start, tags[start - 1] ?? OUTSIDE, tags[start]!)) continue;
    while (matches(rules.inside, tags[at - 1]!, tags[at]!)) at += 1;
    if (matches(rules.end, tags[at - 1]!, tags[at]!)) out.push({ type, start, end: at });
  }
  return out;
}
