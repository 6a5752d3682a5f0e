/**
 * Writes the text on which the example's model is pre-trained: sentences of the grammar, and the training
 * sentences (never those of dev and test).
 *
 *     npx tsx tools/example/make-corpus.ts corpus.txt [lines]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { Random } from '../../src/data/random.ts';
import {
  feelings,
  general,
  lists,
  patterns,
  plainPatterns,
  type Topic,
  topics,
  verdicts,
} from './grammar.ts';

const folder = new URL('../../examples/sentiment/', import.meta.url);
const random = new Random(2026);
const pick = <T>(list: readonly T[]): T => list[random.integer(list.length)]!;

type Polarity = 'good' | 'bad';
const other = (polarity: Polarity): Polarity => (polarity === 'good' ? 'bad' : 'good');

/** A word of one polarity that fits the topic, or anything. */
function judgement(topic: Topic, polarity: Polarity): string {
  return pick(random.uniform() < 0.6 ? general[polarity] : topic[polarity]);
}

function judged(topic: Topic, polarity: Polarity): string {
  if (random.uniform() < 0.2) return pick(feelings[polarity]).replace('{the}', `the ${pick(topic.things)}`);
  return pick(random.uniform() < 0.8 ? lists : patterns)
    .replaceAll('{n}', () => pick(topic.things))
    .replaceAll('{m}', () => pick(topic.things))
    .replaceAll('{a}', () => judgement(topic, polarity))
    .replaceAll('{b}', () => judgement(topic, polarity))
    .replaceAll('{c}', () => judgement(topic, polarity))
    .replaceAll('{d}', () => judgement(topic, polarity))
    .replaceAll('{x}', () => judgement(topic, other(polarity)));
}

function plain(topic: Topic): string {
  return pick(plainPatterns)
    .replaceAll('{n}', () => pick(topic.things))
    .replaceAll('{m}', () => pick(topic.things))
    .replaceAll('{p}', () => pick(topic.plain));
}

/**
 * One to three sentences of one polarity, each on its own topic, usually with a verdict before or after that
 * agrees with the others.
 */
function passage(): string {
  const polarity: Polarity = random.uniform() < 0.5 ? 'good' : 'bad';
  const sentences = Array.from({ length: 1 + random.integer(3) }, () => {
    const on = pick(topics);
    const draw = random.uniform();
    if (draw < 0.04) return plain(on);
    if (draw < 0.05) return `${judged(on, other(polarity))}, but ${judged(on, polarity)}`;
    return judged(on, polarity);
  });
  const place = random.uniform();
  if (place < 0.45) sentences.unshift(pick(verdicts[polarity]));
  else if (place < 0.9) sentences.push(pick(verdicts[polarity]));
  return sentences.map((sentence) => `${sentence} .`).join(' ');
}

/** The sentences of a split, in the corpus's spelling. */
function split(name: string): string[] {
  const rows = readFileSync(new URL(`${name}.tsv`, folder), 'utf8')
    .trim()
    .split('\n')
    .slice(1);
  return rows.map((row) => row.split('\t')[0]!.toLowerCase());
}

const [path, count = '60000'] = process.argv.slice(2);
if (path === undefined) throw new Error('give the file to write');
const withheld = new Set(
  [...split('dev'), ...split('test')].map((sentence) => sentence.replace(/\W+/g, ' ').trim()),
);
const train = split('train');
const lines: string[] = [];
while (lines.length < Number(count)) {
  const line = random.uniform() < 0.05 ? pick(train) : passage();
  if (line.split(' . ').every((sentence) => !withheld.has(sentence.replace(/\W+/g, ' ').trim())))
    lines.push(line);
}
writeFileSync(path, `${lines.join('\n')}\n`);
