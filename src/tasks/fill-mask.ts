/** Words for a mask: masked language modelling goes on with a text of your own. */

import { textLines } from '../data/chunks.ts';
import { type Batch, dataCollatorForLanguageModeling, dataCollatorWithPadding } from '../data/collate.ts';
import { endingOf, kindOfFile } from '../data/packed.ts';
import { columnIn, nameIn, recordOptions, recordsOf, textIn } from '../data/records.ts';
import { checkFile, type TableOptions } from '../data/table.ts';
import { ConfigError, DataError, UsageError } from '../errors.ts';
import { AutoModelForMaskedLM } from '../models/auto.ts';
import { defined } from '../options.ts';
import type { Encoding } from '../text/assemble.ts';
import type { PreTrainedTokenizer } from '../text/tokenizer.ts';
import { softmaxRows } from '../train/metrics.ts';
import { surveyed } from './stream.ts';
import { checkEncoding, type Decision, featureList, type Row, type Task } from './task.ts';
import { encodeText } from './text-windows.ts';

interface Passage {
  text: string;
  /** Whether masks are drawn; else the text has its own, to be filled. */
  draws: boolean;
  place: string;
}

interface PassageFeature {
  inputIds: readonly number[];
  tokenTypeIds: readonly number[];
  /** Number of the word between spaces; null for special tokens. */
  wordIds: readonly (number | null)[];
  /** Places of the masks to fill; none if masks are drawn. */
  masks: readonly number[];
}

const decision: Decision = {
  config: {},
  keepsHead: null,
  about: ['task: the words behind masks'],
  labels: '',
  metrics: ['perplexity'],
};

const textNames = ['text', 'sentence', 'content', 'passage', 'review'];

/** The passages of a file, in order. */
async function* passages(path: string, options: TableOptions): AsyncGenerator<Passage> {
  const { textColumn, readLabels: draws = true, format, encoding } = options;
  if (kindOfFile(path, format) === 'lines') {
    await checkFile(path);
    for await (const { text, line } of textLines(path, defined({ encoding })))
      yield { text, draws, place: `${path}: line ${line}` };
    return;
  }
  for await (const record of recordsOf(path, recordOptions(options))) {
    const name = columnIn(record, textColumn) ?? nameIn(record, textNames);
    if (name === undefined)
      throw new DataError(`${record.place} has no text`, { remedy: "name it 'text', or pass --text-column" });
    const text = textIn(record, name);
    if (text.trim() !== '') yield { text, draws, place: record.place };
  }
}

/** Throws `DataError` for a file without text. */
function aboutPassages(path: string, { length }: readonly Passage[]): string {
  if (length === 0) throw new DataError(`${path}: there is no text`);
  return `${path}: ${length} passages`;
}

export const fillMask: Task<Passage, PassageFeature> = {
  name: 'fill-mask',
  model: 'maskedLm',
  auto: AutoModelForMaskedLM,
  files: 'plain text, a passage a line',
  things: 'passages',
  maxLength: null,
  columns: ['textColumn', 'delimiter'],
  // The masks of labelled data are drawn.
  keepsPredictions: false,

  looks: ({ kind, path }) => (kind === 'lines' && endingOf(path) === 'txt' ? 'it is plain text' : null),

  async read(path, options) {
    const examples: Passage[] = [];
    for await (const passage of passages(path, options)) examples.push(passage);
    return { path, examples, about: [aboutPassages(path, examples)] };
  },

  async survey(path, options) {
    const thin: Passage = { text: '', draws: true, place: path };
    const survey = await surveyed(
      path,
      () => passages(path, options),
      () => thin,
    );
    return { ...survey, about: [aboutPassages(path, survey.examples)] };
  },

  example({ text, pair }) {
    if (pair !== undefined)
      throw new UsageError('fill-mask takes one text, and gets a pair', { remedy: 'leave --pair out' });
    return { text, draws: false, place: 'the text' };
  },

  decide: () => decision,
  ofModel: () => decision,
  pairs: () => false,
  nextStep(_config, tokenizer) {
    const [mask] = tokenizer.convertIdsToTokens([tokenizer.maskTokenId!]);
    return { what: 'Fill a mask', words: `"a ${mask} text"` };
  },

  bind(tokenizer, { vocabSize }, options) {
    checkEncoding(options);
    const { maskTokenId, padTokenId, paddingSide, allSpecialIds } = tokenizer;
    if (maskTokenId === null)
      throw new ConfigError('fill-mask: the tokenizer has no mask token', {
        remedy: "name one as 'mask_token' in tokenizer_config.json",
      });
    const { mlmProbability = 0.15, wholeWordMask = false, topK = 5, seed = 42 } = options;
    const settings = { maxLength: options.maxLength, mlmProbability, wholeWordMask };
    const pad = dataCollatorWithPadding({ padTokenId });
    const draw = dataCollatorForLanguageModeling({
      padTokenId,
      paddingSide,
      maskTokenId,
      vocabSize,
      specialIds: allSpecialIds,
      mlmProbability,
      wholeWordMask,
      seed,
    });
    const encode = ({ text, draws, place }: Passage): PassageFeature => {
      const encoding = encodeText(tokenizer, { text, place }, options);
      const { inputIds, tokenTypeIds } = encoding;
      const masks = draws ? [] : [...inputIds.keys()].filter((at) => inputIds[at] === maskTokenId);
      if (!draws && masks.length === 0)
        throw new DataError(`${place} has no mask: '${text.slice(0, 60)}'`, {
          remedy: `write ${tokenizer.convertIdsToTokens([maskTokenId])[0]} in place of a word; for another task, fine-tune the model first`,
        });
      return { inputIds, tokenTypeIds, wordIds: wordsBetweenSpaces(encoding), masks };
    };
    const fill = (features: readonly PassageFeature[], indices: readonly number[]): Batch => {
      const batch = pad(features, indices);
      const positions = Int32Array.from(
        features.flatMap(({ masks }, row) => masks.map((at) => row * batch.shape[1] + at)),
      );
      return { ...batch, positions, shapes: { positions: [positions.length] } };
    };
    return {
      settings: () => settings,
      encode: (examples) => featureList(examples, examples.map(encode), settings),
      collate: (features, indices, stream) =>
        features[0]!.masks.length > 0 ? fill(features, indices) : draw(features, indices, stream),

      predictions({ predictions }, features) {
        const { values } = predictions.logits!;
        let row = 0;
        return features.examples.map(({ text }, at): Row => {
          const feature = features.get(at);
          const fills = feature.masks.map((place) => {
            const logits = (values as Float32Array).subarray(row * vocabSize, (row + 1) * vocabSize);
            row += 1;
            return best(logits, topK).map(({ id, score }) => ({
              score,
              token: id,
              token_str: tokenizer.decode([id]),
              sequence: filled(feature.inputIds, place, id, tokenizer),
            }));
          });
          const shown = fills.map((one) => one.map(({ token_str }) => token_str).join(' '));
          return {
            json: { text, fills: fills.length === 1 ? fills[0] : fills },
            text: `${shown.join(' | ')}\t${text}`,
          };
        });
      },
    };
  },
};

/** Numbers words as transformers' whole-word masking does: one begins at each gap between tokens. */
function wordsBetweenSpaces({ offsets, specialTokensMask }: Encoding): (number | null)[] {
  let word = -1;
  return offsets.map(([start], at) => {
    if (specialTokensMask[at] === 1) return null;
    if (specialTokensMask[at - 1] !== 0 || offsets[at - 1]![1] !== start) word += 1;
    return word;
  });
}

function best(logits: Float32Array, count: number): { id: number; score: number }[] {
  const scores = softmaxRows(logits, logits.length);
  const ids = [...scores.keys()].sort((a, b) => scores[b]! - scores[a]!).slice(0, count);
  return ids.map((id) => ({ id, score: scores[id]! }));
}

function filled(ids: readonly number[], at: number, id: number, tokenizer: PreTrainedTokenizer): string {
  return tokenizer.decode(ids.with(at, id), { skipSpecialTokens: true });
}
