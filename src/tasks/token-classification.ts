/** A class for each word: names of people and places, parts of speech. */

import { collected } from '../arrays.ts';
import { charactersAt } from '../data/code-points.ts';
import { dataCollatorForTokenClassification, dataCollatorWithPadding } from '../data/collate.ts';
import { oneLabelColumn } from '../data/columns.ts';
import { isNumber } from '../data/label-checks.ts';
import { labelsOfModel } from '../data/labels.ts';
import { recordOptions } from '../data/records.ts';
import type { TableOptions } from '../data/table.ts';
import { classesOfModel } from '../data/task.ts';
import {
  fromSpans,
  isColumnsFile,
  spanNames,
  type TaggedText,
  taggedTexts,
  tagNames,
} from '../data/tokens.ts';
import { DataError, UsageError } from '../errors.ts';
import { AutoModelForTokenClassification } from '../models/auto.ts';
import { classFinder, namesOf, shownNames } from '../models/common/class-names.ts';
import { defined } from '../options.ts';
import { IGNORED } from '../tensor/ops/loss.ts';
import { accuracy, argmaxRows, checkFinite, precisionRecallF1, softmaxRows } from '../train/metrics.ts';
import { groupEntities, type ScoredToken } from './entity-groups.ts';
import { entityMetrics, entityReport } from './entity-metrics.ts';
import { nameOf } from './file-front.ts';
import { surveyed } from './stream.ts';
import { areTags } from './tags.ts';
import { checkEncoding, type Decision, type Features, featureList, type Row, type Task } from './task.ts';
import { isolatesWords, type TextWindow, windowSettings, windowsOfText } from './text-windows.ts';

interface TokenFeature extends TextWindow {
  /** Number of its text among the examples. */
  example: number;
  /** A class for each token, or −100. */
  label?: number[];
}

const looksLikeTag = (cell: string): boolean => cell === 'O' || /^[BIESLU]-\S/.test(cell);

function textsOf(path: string, options: TableOptions): AsyncGenerator<TaggedText> {
  const { format, ...others } = options;
  const { textColumn, labelColumn, readLabels } = others;
  const columns = format === 'tsv' || format === 'csv';
  return taggedTexts(path, {
    ...recordOptions(columns ? others : options),
    ...defined({ textColumn, labelColumn: oneLabelColumn(path, labelColumn), readLabels }),
  });
}

export const tokenClassification: Task<TaggedText, TokenFeature> = {
  name: 'token-classification',
  model: 'tokenClassification',
  auto: AutoModelForTokenClassification,
  files: 'words with tags',
  things: 'texts',
  maxLength: null,
  columns: ['textColumn', 'labelColumn', 'delimiter'],

  looks(front) {
    const { kind, lines, text } = front;
    if (isColumnsFile(front.path)) return 'its name is that of columns of words';
    if (kind === 'json') {
      const list = /"(tokens|words)"\s*:\s*\[/.exec(text)?.[1];
      const tags = nameOf(front, tagNames);
      if (list !== undefined && tags !== undefined) return `there are '${list}' and '${tags}'`;
      if (list !== undefined && !/"label"/.test(text)) return `there are '${list}'`;
      const spans = /"(entities|spans|labels?)"\s*:\s*\[\s*[[{]/.exec(text)?.[1];
      return spans !== undefined && spanNames.includes(spans) ? `there are '${spans}'` : null;
    }
    const cells = lines.map((line) => line.split(/[\t ]+/));
    const tagged = cells.every((row) => row.length > 1 && looksLikeTag(row.at(-1)!.trim()));
    return tagged && cells.length > 1 ? 'each line ends with a tag' : null;
  },

  async read(path, options) {
    const examples = await collected(textsOf(path, options));
    const words = examples.reduce((sum, one) => sum + one.words.length, 0);
    return { path, examples, about: [`${path}: ${examples.length} texts of ${words} words`] };
  },

  windows: true,

  async survey(path, options) {
    const seen = new Set<string>();
    const nothing: TaggedText = { text: '', words: [], tags: [], split: true, place: path };
    let words = 0;
    const survey = await surveyed(
      path,
      () => textsOf(path, options),
      (one) => {
        words += one.words.length;
        const tags = (one.tags ?? []).filter((tag) => !seen.has(tag));
        for (const tag of tags) seen.add(tag);
        return tags.length === 0 ? nothing : { ...nothing, tags: [...new Set(tags)] };
      },
    );
    return { ...survey, about: [`${path}: ${survey.examples.length} texts of ${words} words`] };
  },

  example({ text, pair }) {
    if (pair !== undefined)
      throw new UsageError('token-classification takes one text, and gets a pair', {
        remedy: 'leave --pair out',
      });
    return fromSpans(text, null, 'the text');
  },

  decide({ path, examples }, { model, head }) {
    const found = [...new Set(examples.flatMap(({ tags }) => tags ?? []))].sort((a, b) => (a < b ? -1 : 1));
    if (found.every(isNumber)) found.sort((a, b) => Number(a) - Number(b));
    if (found.length < 2)
      throw new DataError(`${path}: every word has the tag '${found[0] ?? ''}'`, {
        remedy: 'token classification needs two tags or more',
      });
    const kept = model === undefined ? null : classesOfModel(path, found, model, { head });
    const names = kept?.keep === true ? namesOf(model!) : found;
    const classifier =
      kept === null
        ? 'drawn anew: the checkpoint has none'
        : `${kept.keep ? "the checkpoint's is kept" : 'drawn anew'}: ${kept.why}`;
    const about = ['task: a tag for each word', `classifier: ${classifier}`];
    if (!areTags(names) && names.some((name) => /^\d+$/.test(name)))
      about.push('note: the tags are numbers: write B-PER and the like, or entities cannot be told');
    return { ...decided(names), keepsHead: kept?.keep ?? null, about };
  },

  ofModel(config) {
    const about = ['task: a tag for each word: as in the checkpoint'];
    return { ...decided(labelsOfModel(config).names), keepsHead: true, about };
  },

  pairs: () => false,

  nextStep: () => ({ what: 'Find the entities of a text', words: '"a text"' }),

  bind(tokenizer, config, options) {
    checkEncoding(options);
    const names = namesOf(config);
    const find = classFinder(names);
    // seqeval knows BILOU only as a scheme.
    const scheme = names.some((name) => /^[LU]-/.test(name)) ? 'BILOU' : undefined;
    const padding = { padTokenId: tokenizer.padTokenId };
    const [labelled, plain] = [dataCollatorForTokenClassification(padding), dataCollatorWithPadding(padding)];
    const isolates = isolatesWords(tokenizer);
    const settings = windowSettings(options);

    const idOf = (tag: string, place: string): number => {
      const id = find(tag);
      if (id !== undefined) return id;
      throw new DataError(`${place} has the tag '${tag}', which training has not seen`, {
        remedy: `known tags: ${shownNames(names, 20)}`,
      });
    };
    const featuresOf = (example: TaggedText, number: number): TokenFeature[] => {
      const ids = example.tags?.map((tag) => idOf(tag, example.place));
      return windowsOfText(example, tokenizer, { ...options, split: example.split && isolates }).map(
        (window) => ({
          ...window,
          example: number,
          ...(ids && {
            label: window.words.map((word, at) => (window.first[at] === true ? ids[word]! : IGNORED)),
          }),
        }),
      );
    };

    return {
      settings: () => settings,
      encode: (examples) => featureList(examples, examples.flatMap(featuresOf), settings),
      collate: (features, indices) =>
        (features[0]?.label === undefined ? plain : labelled)(features, indices),

      computeMetrics({ predictions, dataset }) {
        const features = dataset as Features<TaggedText, TokenFeature>;
        const logits = logitsOf(predictions.logits);
        const tags = predictedTags(logits, features, names);
        // Words that the tokenizer drops have no prediction.
        const known = features.examples.map(({ tags: given }, at) =>
          given!.flatMap((tag, word) =>
            tags[at]![word] === undefined ? [] : [[tag, tags[at]![word]!] as const],
          ),
        );
        if (areTags(names)) {
          const side = (which: 0 | 1): string[][] => known.map((text) => text.map((pair) => pair[which]));
          return entityMetrics(entityReport(side(0), side(1), scheme));
        }
        const [labels, guesses] = ([0, 1] as const).map((side) =>
          known.flat().map((pair) => find(pair[side])!),
        );
        return {
          accuracy: accuracy(guesses!, labels!),
          ...precisionRecallF1(guesses!, labels!, names.length, 'macro'),
        };
      },

      predictions({ predictions }, features) {
        const logits = logitsOf(predictions.logits);
        const tags = predictedTags(logits, features, names);
        const tokens = scoredTokens(logits, features, names.length);
        return features.examples.map((example, at): Row => {
          const entities = groupEntities(tokens[at]!, names, options.aggregation ?? 'first');
          return rowOf(example, tags[at]!, entities, options.aggregation === 'none');
        });
      },
    };
  },
};

function decided(names: readonly string[]): Pick<Decision, 'config' | 'labels' | 'metrics'> {
  const scores = ['precision', 'recall', 'f1'];
  const types = areTags(names)
    ? [...new Set(names.filter((name) => name !== 'O').map((name) => name.slice(2)))]
    : [];
  return {
    config: { id2label: Object.fromEntries(names.map((name, id) => [id, name])) },
    labels: `${names.length} tags (${shownNames(names)})`,
    metrics: ['accuracy', ...scores, ...types.flatMap((type) => scores.map((name) => `${type}_${name}`))],
  };
}

interface Logits {
  values: Float32Array;
  /** [features, longest, classes]. */
  shape: readonly number[];
}

function logitsOf(logits: { values: unknown; shape: readonly number[] } | undefined): Logits {
  const { values, shape } = logits as Logits;
  checkFinite(values, shape[1]! * shape[2]!);
  return { values, shape };
}

/** The tag of each word of each text; undefined for a word without tokens. */
function predictedTags(
  { values, shape: [, longest, classes] }: Logits,
  features: Features<TaggedText, TokenFeature>,
  names: readonly string[],
): (string | undefined)[][] {
  const tags = features.examples.map(({ words }) =>
    new Array<string | undefined>(words.length).fill(undefined),
  );
  for (let row = 0; row < features.length; row += 1) {
    const { example, words, first } = features.get(row);
    for (const [at, word] of words.entries()) {
      if (first[at] !== true) continue;
      const start = (row * longest! + at) * classes!;
      tags[example]![word] = names[argmaxRows(values.subarray(start, start + classes!), classes!)[0]!]!;
    }
  }
  return tags;
}

/** The tokens of each text, each from the window that knows it best. */
function scoredTokens(
  { values, shape: [, longest] }: Logits,
  features: Features<TaggedText, TokenFeature>,
  classes: number,
): ScoredToken[][] {
  const out: ScoredToken[][] = features.examples.map(() => []);
  for (let row = 0; row < features.length; row += 1) {
    const { example, words, first, places } = features.get(row);
    for (const [at, word] of words.entries()) {
      if (word < 0) continue;
      const start = (row * longest! + at) * classes;
      const scores = softmaxRows(values.subarray(start, start + classes), classes);
      const [from, to] = places[at]!;
      out[example]!.push({ scores, start: from, end: to, subword: first[at] !== true });
    }
  }
  // Windows may take turns within a line.
  for (const tokens of out) tokens.sort((a, b) => a.start - b.start);
  return out;
}

function rowOf(
  { text, words, split }: TaggedText,
  tags: readonly (string | undefined)[],
  entities: ReturnType<typeof groupEntities>,
  each: boolean,
): Row {
  const found = entities.map(({ type, score, start, end }) => ({
    [each ? 'entity' : 'entity_group']: type,
    score,
    word: text.slice(start, end),
    start: charactersAt(text, start),
    end: charactersAt(text, end),
  }));
  const shown = entities.map(
    ({ type, score, start, end }) => `${type} ${text.slice(start, end)} ${score.toFixed(4)}`,
  );
  const given = {
    tokens: words.map(([start, end]) => text.slice(start, end)),
    tags: tags.map((tag) => tag ?? 'O'),
  };
  return {
    json: { text, ...(split && given), entities: found },
    text: `${shown.join(', ') || '(none)'}\t${text}`,
  };
}
