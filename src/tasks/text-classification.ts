/** One class, any number of classes, or a value for a text or a pair of texts. */
import { cached } from '../cached.ts';
import { type Collator, dataCollatorWithPadding } from '../data/collate.ts';
import { type Example, encodeTable } from '../data/dataset.ts';
import { encodeLabels, type LabelSet, labelsOfModel } from '../data/labels.ts';
import { readTable, readTableAs, type TextRow, type TextTable, tableRows } from '../data/table.ts';
import { decideTask, type TaskDecision } from '../data/task.ts';
import { DataError } from '../errors.ts';
import { AutoModelForSequenceClassification } from '../models/auto.ts';
import { shownNames } from '../models/common/class-names.ts';
import type { PretrainedConfig } from '../models/common/config.ts';
import { type LabelledText, SetFitModel } from '../sentence/setfit.ts';
import { checkFinite, metricNames, softmaxRows } from '../train/metrics.ts';
import { describeColumns, describeLabels, describeTask, pairWarning } from './describe.ts';
import { checkEncoding, type Decision, featureList, type Row, type Task, type TaskFile } from './task.ts';
import { ThinRows } from './thin-rows.ts';

/** A row, with the table that says how its label is written. */
export interface TextExample {
  row: TextRow;
  table: TextTable;
}

const loose = (row: TextRow): TextExample => ({ row, table: { path: 'the text', rows: [row] } });

/** The rows of some examples as one table. */
function tableOf(examples: readonly TextExample[]): TextTable {
  const paths = [...new Set(examples.map(({ table }) => table.path))];
  return { ...examples[0]!.table, path: paths.join(', '), rows: examples.map(({ row }) => row) };
}

/** A table for each file, so that messages name it. */
function tablesOf(examples: readonly TextExample[]): TextTable[] {
  const tables = new Map<TextTable, TextRow[]>();
  for (const { table, row } of examples) cached(tables, table, () => []).push(row);
  return [...tables].map(([table, rows]) => ({ ...table, rows }));
}

const hasPairs = (examples: readonly TextExample[]): boolean => examples[0]?.row.pair !== undefined;

export const textClassification: Task<TextExample, Example> = {
  name: 'text-classification',
  model: 'sequenceClassification',
  auto: AutoModelForSequenceClassification,
  files: 'rows of a text and a label',
  things: 'texts',
  maxLength: null,

  looks: ({ kind, names }) =>
    kind === 'lines'
      ? null
      : `there are ${shownNames(
          [...names].map((name) => `'${name.slice(0, 40)}'`),
          4,
        )}`,

  async read(path, options) {
    const table = await readTable(path, options);
    return { path, examples: table.rows.map((row) => ({ row, table })), about: [describeColumns(table)] };
  },

  async survey(path, options) {
    const { thin, digest } = new ThinRows();
    const table = await readTableAs(path, options, thin);
    // Rows that are one object are one example.
    const known = new Map<TextRow, TextExample>();
    const examples = table.rows.map((row) => cached(known, row, () => ({ row, table })));
    const part: TextTable = { ...table, rows: [], whole: { ...table, rows: [...new Set(table.rows)] } };
    return {
      path,
      examples,
      about: [describeColumns(table)],
      digest: `${digest}`,
      async *rows() {
        for await (const { rows } of tableRows(path, options))
          for (const row of rows) yield { row, table: part };
      },
    };
  },

  example: ({ text, pair }) => loose({ text, line: 0, ...(pair !== undefined && { pair }) }),

  check: checkPairs,

  // Numbers as text that sorts by their size.
  stratum: ({ row: { label } }) =>
    typeof label === 'string' && /^-?[\d.]+$/.test(label)
      ? (Number(label) + 1e9).toFixed(6)
      : JSON.stringify(label ?? null),

  // Of pairs, several may have their first text in common: a premise, a question.
  group: ({ row: { text, pair } }) => (pair === undefined ? '' : text),

  decide({ examples }, options) {
    const decision = decideTask(tableOf(examples), options);
    return decided(decision, hasPairs(examples), options.model);
  },

  ofModel(config, examples) {
    const head = { keep: true, why: 'the training goes on' };
    const labels = labelsOfModel(config);
    return decided({ labels, why: 'as in the checkpoint', head, notes: [] }, hasPairs(examples), config);
  },

  pairs: hasPairs,

  warning: (config, examples) => pairWarning(config, hasPairs(examples)),

  nextStep({ problemType, textPair }) {
    const thing = textPair === true ? 'pair' : 'text';
    const what = {
      regression: 'Predict a value',
      single_label_classification: `Classify a ${thing}`,
      multi_label_classification: `Find the classes of a ${thing}`,
    }[problemType ?? 'single_label_classification'];
    return { what, words: textPair === true ? '"the first text" --pair "the second text"' : '"a text"' };
  },

  usualLength: (model) => (model instanceof SetFitModel ? model.body.maxSeqLength : null),

  bind(tokenizer, config, options, model) {
    checkEncoding(options);
    const { maxLength, truncation = true } = options;
    const body = model instanceof SetFitModel ? model.body : null;
    if (body !== null) body.settings = { ...body.settings, maxSeqLength: maxLength };
    const read = (row: TextRow): TextRow =>
      body?.settings.doLowerCase === true ? { ...row, text: row.text.toLowerCase() } : row;
    const labels = labelsOfModel(config);
    const padding = { padTokenId: tokenizer.padTokenId, paddingSide: tokenizer.paddingSide };
    const floatLabels = labels.problemType !== 'single_label_classification';
    const settings = { maxLength };
    return {
      settings: () => settings,
      encode(examples) {
        const tables = tablesOf(examples);
        const known = tables.every(({ rows }) => rows.every(({ label }) => label !== undefined));
        const features = tables.flatMap((table) => {
          const encoded = encodeTable(
            { ...table, rows: table.rows.map(read) },
            known ? encodeLabels(table, labels) : null,
            tokenizer,
            {
              maxLength,
              truncation,
            },
          );
          return table.rows.map((_, at) => encoded.get(at));
        });
        return featureList(examples, features, settings);
      },
      collate: dataCollatorWithPadding({ ...padding, floatLabels }) as Collator<Example>,

      predictions({ logits }, { examples }) {
        const width = logits.length / examples.length;
        checkFinite(logits, width);
        return examples.map(({ row: { text, pair } }, row): Row => {
          const input = { text, ...(pair !== undefined && { pair }) };
          const found = interpret(labels, logits.subarray(row * width, (row + 1) * width));
          return {
            json: { ...input, ...found },
            text: shown(found, pair === undefined ? text : `${text}\t${pair}`),
          };
        });
      },
    };
  },
};

/** Texts with the numbers of their classes. */
export function labelledTexts(examples: readonly unknown[], config: PretrainedConfig): LabelledText[] {
  const labels = labelsOfModel(config);
  return tablesOf(examples as readonly TextExample[]).flatMap((table) => {
    const classes = encodeLabels(table, labels) as number[];
    return table.rows.map(({ text }, at) => ({ text, label: classes[at]! }));
  });
}

function decided(decision: TaskDecision, pairs: boolean, model: PretrainedConfig | undefined): Decision {
  const { labels, head } = decision;
  const { problemType, names } = labels;
  const warning = model === undefined ? null : pairWarning(model, pairs);
  return {
    config: {
      id2label: Object.fromEntries(names.map((name, id) => [id, name])),
      problemType,
      textPair: pairs,
    },
    keepsHead: head?.keep ?? null,
    about: [...describeTask(decision, pairs), ...(warning === null ? [] : [warning])],
    labels: describeLabels(labels),
    metrics: metricNames[problemType],
  };
}

/** Throws `DataError` unless all files hold pairs, or all hold single texts. */
function checkPairs([first, ...others]: readonly TaskFile<TextExample>[]): void {
  const odd = others.find(({ examples }) => hasPairs(examples) !== hasPairs(first!.examples));
  if (odd === undefined) return;
  const [two, one] = hasPairs(odd.examples) ? [odd, first!] : [first!, odd];
  throw new DataError(`${two.path} has pairs of texts, ${one.path} single texts`, {
    remedy: 'name the columns of both with --text-column and --pair-column',
  });
}

interface Found {
  /** The class, the classes, or the value. */
  label: string | string[] | number;
  score?: number;
  scores?: Record<string, number>;
}

function interpret({ problemType, names }: LabelSet, logits: Float32Array): Found {
  if (problemType === 'regression') return { label: logits[0]! };
  const multi = problemType === 'multi_label_classification';
  const values = multi
    ? Array.from(logits, (x) => 1 / (1 + Math.exp(-x)))
    : [...softmaxRows(logits, names.length)];
  const scores = Object.fromEntries(names.map((name, id) => [name, values[id]!]));
  if (multi) return { label: names.filter((_, id) => values[id]! > 0.5), scores };
  const best = values.indexOf(Math.max(...values));
  return { label: names[best]!, score: values[best]!, scores };
}

function shown({ label, score }: Found, text: string): string {
  const what = Array.isArray(label)
    ? label.join(', ') || '(none)'
    : typeof label === 'number'
      ? label.toFixed(4)
      : label;
  return score === undefined ? `${what}\t${text}` : `${what}\t${score.toFixed(4)}\t${text}`;
}
