/** Groups the tokens of a text into entities, as transformers' pipeline does by `aggregation_strategy`. */

/**
 * How words get their class: from each token (`none`, `simple`), the first one, the mean of all, or the one
 * that is surest; all but `none` then put adjacent words of one class together.
 */
export const aggregations = ['none', 'simple', 'first', 'average', 'max'] as const;
export type Aggregation = (typeof aggregations)[number];

/** A token with the probability of each class. */
export interface ScoredToken {
  scores: Float64Array;
  /** In the text, in UTF-16 units. */
  start: number;
  end: number;
  /** Whether it continues the word of the token before. */
  subword: boolean;
}

export interface FoundEntity {
  /** The class without its prefix; with `none`, the class. */
  type: string;
  score: number;
  start: number;
  end: number;
}

interface Tagged {
  name: string;
  score: number;
  start: number;
  end: number;
}

function best(scores: Float64Array): number {
  let at = 0;
  for (let i = 1; i < scores.length; i += 1) if (scores[i]! > scores[at]!) at = i;
  return at;
}

/** The scores by which a word's class is chosen. */
function scoresOf(tokens: readonly ScoredToken[], aggregation: Aggregation): Float64Array {
  const all = tokens.map(({ scores }) => scores);
  if (aggregation === 'average')
    return all[0]!.map((_, id) => all.reduce((sum, scores) => sum + scores[id]!, 0) / all.length);
  if (aggregation !== 'max') return all[0]!;
  return all.reduce((top, scores) => (scores[best(scores)]! > top[best(top)]! ? scores : top));
}

function wordsOf(tokens: readonly ScoredToken[], aggregation: Aggregation): (readonly ScoredToken[])[] {
  if (aggregation === 'none' || aggregation === 'simple') return tokens.map((token) => [token]);
  const words: ScoredToken[][] = [];
  for (const token of tokens) {
    const word = words.at(-1);
    if (word !== undefined && token.subword) word.push(token);
    else words.push([token]);
  }
  return words;
}

/** B and S begin an entity, and so does what follows E or S; a name without a prefix goes on. */
function parse(name: string): { type: string; begins: boolean; ends: boolean } {
  const prefix = /^([BIESLU])-/.exec(name)?.[1];
  const type = prefix === undefined ? name : name.slice(2);
  return { type, begins: /[BSU]/.test(prefix ?? ''), ends: /[ESLU]/.test(prefix ?? '') };
}

/** The entities of a text, in order, without the class `O`. `names` are the classes by number. */
export function groupEntities(
  tokens: readonly ScoredToken[],
  names: readonly string[],
  aggregation: Aggregation,
): FoundEntity[] {
  const words = wordsOf(tokens, aggregation).map((word): Tagged => {
    const scores = scoresOf(word, aggregation);
    const id = best(scores);
    return { name: names[id]!, score: scores[id]!, start: word[0]!.start, end: word.at(-1)!.end };
  });
  if (aggregation === 'none')
    return words
      .filter(({ name }) => name !== 'O')
      .map(({ name, score, start, end }) => ({ type: name, score, start, end }));
  const groups: Tagged[][] = [];
  for (const word of words) {
    const group = groups.at(-1);
    const [tag, before] = [parse(word.name), group && parse(group.at(-1)!.name)];
    if (before !== undefined && tag.type === before.type && !tag.begins && !before.ends) group!.push(word);
    else groups.push([word]);
  }
  return groups
    .filter((group) => group[0]!.name !== 'O')
    .map((group) => ({
      type: parse(group[0]!.name).type,
      score: group.reduce((sum, { score }) => sum + score, 0) / group.length,
      start: group[0]!.start,
      end: group.at(-1)!.end,
    }));
}
