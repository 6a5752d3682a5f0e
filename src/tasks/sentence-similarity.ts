/** Vectors of texts that are close if the texts are alike. */
import { oneLabelColumn } from '../data/columns.ts';
import type { Settings } from '../data/dataset.ts';
import type { TableOptions } from '../data/table.ts';
import {
  readTextSets,
  scaled,
  type TextSet,
  type TextSetKind,
  type TextSetOptions,
  TextSetReader,
  type TextSets,
} from '../data/text-sets.ts';
import { ConfigError, DataError, UsageError } from '../errors.ts';
import { defined } from '../options.ts';
import { type SentenceExample, sentenceCollator } from '../sentence/collate.ts';
import {
  neighborMetrics,
  retrievalMetrics,
  retrievalNames,
  similarityMetrics,
  unitColumn,
} from '../sentence/evaluation.ts';
import type { LabelKind, SentenceLoss, SentenceLossInputs } from '../sentence/losses/loss.ts';
import { fittingLosses, type LossName, makeLoss, usualLoss } from '../sentence/losses/names.ts';
import { SentenceTransformer } from '../sentence/sentence-transformer.ts';
import type { NamedArray } from '../train/arrays.ts';
import type { ComputeLoss } from '../train/predict.ts';
import { nameOf } from './file-front.ts';
import { surveyed } from './stream.ts';
import {
  checkEncoding,
  type Decision,
  type EncodingOptions,
  type Features,
  featureList,
  type Row,
  type Task,
} from './task.ts';
import { encodeText } from './text-windows.ts';

const labelKinds: Record<TextSetKind, LabelKind> = {
  texts: 'none',
  labelled: 'classes',
  scored: 'scores',
  pairs: 'none',
  triplets: 'none',
};

const kindNames: Record<TextSetKind, string> = {
  texts: 'texts',
  labelled: 'texts with classes',
  scored: 'pairs with scores',
  pairs: 'pairs that go together',
  triplets: 'texts with their matches and with others',
};

const metricsOf: Record<TextSetKind, readonly string[]> = {
  texts: [],
  labelled: ['neighbor_accuracy'],
  scored: ['pearson_cosine', 'spearman_cosine'],
  pairs: retrievalNames,
  triplets: [...retrievalNames, 'cosine_accuracy'],
};

const embeddings: Decision = {
  config: {},
  keepsHead: null,
  about: ['task: vectors of texts'],
  labels: '',
  metrics: Object.values(metricsOf).flat(),
};

function setOptions(path: string, options: TableOptions): TextSetOptions {
  const { header: _names, labelColumn, chunkBytes: _bytes, requireLabels: _asked, ...others } = options;
  return { ...others, ...defined({ labelColumn: oneLabelColumn(path, labelColumn) }) };
}

function aboutSets(path: string, count: number, { kind, scale, columns }: Omit<TextSets, 'sets'>): string {
  const divided = scale === 1 ? '' : `, scores divided by ${scale}`;
  return `${path}: ${count} ${kindNames[kind]} (${columns.join(', ')}${divided})`;
}

export const sentenceSimilarity: Task<TextSet, SentenceExample> = {
  name: 'sentence-similarity',
  model: null,
  auto: SentenceTransformer,
  files: 'pairs, triplets, pairs with scores, or texts with classes',
  things: 'rows',
  maxLength: null,
  columns: ['textColumn', 'textPairColumn', 'labelColumn', 'delimiter'],

  looks(front) {
    const [first, second] = [nameOf(front, ['anchor', 'query']), nameOf(front, ['positive', 'negative'])];
    return first === undefined || second === undefined ? null : `there are '${first}' and '${second}'`;
  },

  async read(path, options) {
    const { sets, ...found } = await readTextSets(path, setOptions(path, options));
    return { path, examples: sets, about: [aboutSets(path, sets.length, found)] };
  },

  async survey(path, options) {
    const reader = new TextSetReader(path, setOptions(path, options));
    let thin: TextSet | null = null;
    const survey = await surveyed(
      path,
      () => reader.sets(),
      ({ kind, texts, label }) => {
        thin ??= { kind, texts: texts.map(() => ''), label, place: path };
        return thin;
      },
    );
    const { found } = reader;
    return {
      ...survey,
      about: [aboutSets(path, survey.examples.length, found)],
      async *rows() {
        for await (const set of survey.rows()) yield scaled(set, found.scale);
      },
    };
  },

  example: ({ text, pair }) => ({
    kind: pair === undefined ? 'texts' : 'pairs',
    texts: pair === undefined ? [text] : [text, pair],
    label: null,
    place: 'the text',
  }),

  decide({ path, examples }, { loss }) {
    const { kind, texts } = examples[0]!;
    const labels = labelKinds[kind];
    const usual = usualLoss(texts.length, labels);
    if (usual === null)
      throw new DataError(`${path} has single texts, which say nothing about each other`, {
        remedy: `give it a second column (anchor, positive), or classes: ${sentenceSimilarity.files}`,
      });
    const fitting = fittingLosses(texts.length, labels);
    if (loss !== undefined && !fitting.includes(loss))
      throw new UsageError(`--loss ${loss} does not fit ${path}: ${kindNames[kind]}`, {
        remedy: `use ${fitting.join(' or ')}`,
      });
    const why = loss === undefined ? `usual for ${kindNames[kind]}` : 'as asked for';
    return { ...embeddings, about: [`task: vectors of texts, by ${loss ?? usual} (${why})`] };
  },

  ofModel: () => embeddings,
  pairs: () => false,
  usualLength: (model) => (model instanceof SentenceTransformer ? model.maxSeqLength : null),
  nextStep: () => ({ what: 'Compute vectors', words: '"a text" "another text"' }),

  bind(tokenizer, _config, options, model) {
    if (!(model instanceof SentenceTransformer))
      throw new ConfigError('sentence-similarity takes a SentenceTransformer');
    checkEncoding(options);
    const { maxLength } = options;
    const { padTokenId, paddingSide } = tokenizer;
    model.settings = { ...model.settings, maxSeqLength: maxLength };
    const encoded = (text: string, place: string) =>
      encodeText(tokenizer, { text: model.settings.doLowerCase ? text.toLowerCase() : text, place }, options);
    // By name, because each file counts its classes from 0.
    const classes = new Map<string, number>();
    const numberOf = (name: string): number => {
      if (!classes.has(name)) classes.set(name, classes.size);
      return classes.get(name)!;
    };
    const encodeSet = ({ kind, texts, label, className, place }: TextSet): SentenceExample => {
      // Vectors of texts alone are for use, with the prompt that `encode` puts before them.
      const prompt = kind === 'texts' ? model.defaultPrompt : '';
      return {
        texts: texts.map((text) => encoded(prompt + text, place)),
        label: className === undefined ? label : numberOf(className),
        classes: kind === 'labelled',
      };
    };
    const settings = ([first]: readonly TextSet[]): Settings => ({
      maxLength,
      loss: first === undefined ? null : lossFor(options.loss, first.texts.length, labelKinds[first.kind]),
      matryoshkaDims: options.matryoshkaDims ?? null,
    });
    return {
      settings,
      encode: (examples) => featureList(examples, examples.map(encodeSet), settings(examples)),
      collate: sentenceCollator({ padTokenId, paddingSide }),
      computeLoss: lossOf(model, options),
      computeMetrics: ({ predictions, labelIds, dataset }) => {
        const { values, shape } = predictions.sentenceEmbedding as NamedArray<Float32Array>;
        const { examples } = dataset as Features<TextSet>;
        const labels = labelIds.labels?.values ?? [];
        const { kind } = examples[0]!;
        if (kind === 'scored') return similarityMetrics(values, shape, labels);
        if (kind === 'labelled') return neighborMetrics(values, shape, labels);
        return retrievalMetrics(
          values,
          shape,
          examples.map(({ texts }) => texts),
        );
      },
      predictions({ predictions }, { examples }) {
        const { values, shape } = predictions.sentenceEmbedding as NamedArray<Float32Array>;
        return rowsOf(values, shape, examples);
      },
    };
  },
};

/** The loss asked for where it fits, else the usual one; null if nothing is to be learned. */
const lossFor = (loss: LossName | undefined, columns: number, labels: LabelKind): LossName | null =>
  loss !== undefined && fittingLosses(columns, labels).includes(loss) ? loss : usualLoss(columns, labels);

/** Computes a batch's loss, or only vectors if nothing is to be learned. */
function lossOf(
  model: SentenceTransformer,
  { loss, matryoshkaDims, miniBatchSize }: EncodingOptions,
): ComputeLoss {
  const made = new Map<string, SentenceLoss>();
  const named = (name: LossName): SentenceLoss => {
    const found = made.get(name) ?? makeLoss(model, name, { matryoshkaDims, miniBatchSize });
    made.set(name, found);
    return found;
  };
  return (_model, { matchLabels: _, ...rest }) => {
    const inputs = rest as unknown as SentenceLossInputs;
    const { labels } = inputs;
    const kind = labels === undefined ? 'none' : labels.dtype === 'int32' ? 'classes' : 'scores';
    const name = lossFor(loss, inputs.inputIds.shape[1]!, kind);
    return name === null ? { ...model.forward(inputs) } : { ...named(name).forward(inputs) };
  };
}

/** A text's vector; or how alike a text and each of the others of its row are. */
function rowsOf(values: Float32Array, shape: readonly number[], examples: readonly TextSet[]): Row[] {
  const [, columns, width] = shape as [number, number, number];
  if (columns === 1)
    return examples.map(({ texts: [text] }, row): Row => {
      const vector = values.slice(row * width, (row + 1) * width);
      const embedding = Array.from(vector, (x) => Number(x.toPrecision(9)));
      const shown = embedding.slice(0, 8).map((x) => x.toFixed(4));
      return { json: { text, embedding }, text: `[${shown.join(', ')}, …]\t${text}`, vector };
    });
  const [first, ...others] = Array.from({ length: columns }, (_, at) => unitColumn(values, shape, at));
  return examples.map(({ texts: [text, ...rest] }, row): Row => {
    const scores = others.map((column) => similarity(first![row]!, column[row]!));
    const [pair, similar] = rest.length === 1 ? [rest[0], scores[0]] : [rest, scores];
    const shown = scores.map((score) => score.toFixed(4)).join(' ');
    return { json: { text, pair, similarity: similar }, text: `${shown}\t${text}\t${rest.join('\t')}` };
  });
}

function similarity(a: Float32Array, b: Float32Array): number {
  return Number(a.reduce((sum, x, at) => sum + x * b[at]!, 0).toPrecision(7));
}
