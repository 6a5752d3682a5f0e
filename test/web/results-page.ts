/** A page with the views of a finished training, whose worker is made up. Bundled for the browser. */
import type { EvaluationRow, PageWorker, Run } from '../../web/src/contract.ts';
import type { Inspector, TokenizedText } from '../../web/src/inspect/inspector.ts';
import { outputsOf } from '../../web/src/inspect/predictions.ts';
import { mistakesOf, scoresOf } from '../../web/src/inspect/scores.ts';
import type { Token } from '../../web/src/inspect/tokens.ts';
import { resultsView } from '../../web/src/results/view.ts';

interface Made {
  problemType: Run['problemType'];
  labels: readonly string[];
  rows: readonly (EvaluationRow & { logits: readonly number[] })[];
}

const verdicts = ['positive', 'negative'];
const many = Array.from({ length: 40 }, (_, at) => `class ${at}`);

/** Trainings by name. */
const made: Record<string, Made> = {
  classes: {
    problemType: 'single_label_classification',
    labels: verdicts,
    rows: [
      { text: 'He repaired our roof quickly and for a fair price.', label: 0, logits: [2, -2] },
      { text: 'The trip down the coast was a disaster in every way.', label: 1, logits: [-2, 3] },
      { text: 'Nothing was damaged, which surprised everybody.', label: 0, logits: [-1, 2] },
      { text: 'The garden behind the hotel is full of rubbish.', label: 1, logits: [-1, 1] },
      { text: 'They promised a view of the sea, and we saw a wall.', label: 1, logits: [1.2, -1] },
      { text: 'The lecture was interesting.', label: 0, logits: [3, -1] },
      ...['one', 'two', 'three', 'four', 'five'].map((word) => ({
        text: `The film had ${word} good scenes, if that.`,
        label: 1,
        logits: [0.3, 0],
      })),
    ],
  },
  pairs: {
    problemType: 'single_label_classification',
    labels: ['entailment', 'neutral', 'contradiction'],
    rows: [
      { text: 'A man sleeps.', pair: 'A man is awake.', label: 2, logits: [0, 1, 3] },
      { text: 'A dog runs.', pair: 'An animal moves.', label: 0, logits: [0, 2, 0] },
    ],
  },
  sets: {
    problemType: 'multi_label_classification',
    labels: ['joy', 'anger', 'surprise'],
    rows: [
      { text: 'What a lovely day, who would have thought!', label: [1, 0, 1], logits: [2, -2, -1] },
      { text: 'They lost my luggage again.', label: [0, 1, 0], logits: [-2, 2, -3] },
    ],
  },
  values: {
    problemType: 'regression',
    labels: ['score'],
    rows: [1, 2.5, 3, 4.5, 5, 0.5].map((label, at) => ({
      text: `A text with the value ${label}.`,
      label,
      logits: [label + Math.sin(at) / 2],
    })),
  },
  many: {
    problemType: 'single_label_classification',
    labels: many,
    rows: many.map((name, label) => ({
      text: `A text of ${name}.`,
      label,
      logits: many.map((_, at) => (at === (label % 7 === 0 ? (label + 1) % 40 : label) ? 5 : 0)),
    })),
  },
  right: {
    problemType: 'single_label_classification',
    labels: verdicts,
    rows: [
      { text: 'Lovely.', label: 0, logits: [2, -2] },
      { text: 'Awful.', label: 1, logits: [-2, 2] },
    ],
  },
};

const weights: Readonly<Record<string, number>> = { good: 2, lovely: 3, not: -2.5, bad: -2, awful: -3 };

/** Words and punctuation as tokens, between special ones. */
function tokenized(texts: readonly string[]): TokenizedText {
  const special = (name: string): Token => ({ name, part: null, start: 0, end: 0 });
  const words = texts.map((text, part) =>
    [...text.matchAll(/\w+|[^\w\s]/g)].map((match): Token => {
      const [word] = match;
      return {
        name: word.toLowerCase(),
        part: part as 0 | 1,
        start: match.index,
        end: match.index + word.length,
      };
    }),
  );
  const tokens = [special('[CLS]'), ...words.flatMap((own) => [...own, special('[SEP]')])];
  return { tokens, cut: texts[0]!.length > 200 };
}

/** As a model of no sense, but the same each time. */
function inspectorOf({ problemType, labels, rows }: Made): Inspector {
  const kind = { problemType, width: labels.length };
  const logits = Float32Array.from(rows.flatMap((row) => row.logits));
  const sharesOf = (texts: readonly string[]) =>
    tokenized(texts).tokens.map(({ name }, at) => weights[name] ?? Math.sin(at) / 4);
  const predict = (texts: readonly string[]) => {
    const sum = sharesOf(texts).reduce((a, b) => a + b, 0);
    return outputsOf(
      kind,
      Float32Array.from(labels, (_, id) => sum * Math.cos(id * 2)),
    );
  };
  const textsOf = (text: string, pair?: string) => [text, ...(pair === undefined ? [] : [pair])];
  return {
    scores: async () => scoresOf(kind, labels, rows, logits),
    mistakes: async (most) => mistakesOf(kind, labels, rows, outputsOf(kind, logits), most),
    predict: async (text, pair) => predict(textsOf(text, pair)),
    async explain(text, pair, chosen) {
      if (text === 'break') throw new Error('the worker broke · mend it');
      const texts = textsOf(text, pair);
      const outputs = predict(texts);
      const output = chosen ?? outputs.indexOf(Math.max(...outputs));
      const shares = sharesOf(texts).map((share) => share * Math.sign(Math.cos(output * 2)));
      return { ...tokenized(texts), outputs, output, shares };
    },
    async attention(text, pair, layer) {
      const { tokens, cut } = tokenized(textsOf(text, pair));
      const heads = 4;
      const rowsOfHeads = Array.from({ length: heads * tokens.length }, (_, row) => {
        const scores = tokens.map((_, at) => Math.exp(3 * Math.sin(row * (layer + 1) + at)));
        const total = scores.reduce((a, b) => a + b, 0);
        return scores.map((score) => score / total);
      });
      return { tokens, cut, layer, layers: 2, heads, weights: Float32Array.from(rowsOfHeads.flat()) };
    },
  };
}

/** Shows a training's views. */
export function show(name: string): void {
  const training = made[name]!;
  const { problemType, labels, rows } = training;
  const run: Run = {
    modelPath: 'memory:/model',
    modelName: 'a model',
    problemType,
    labels,
    pairs: rows[0]!.pair !== undefined,
    maxLength: 64,
    trainRows: 100,
    evaluationRows: rows.length,
    seconds: 12,
    steps: 30,
    restoredStep: null,
    log: [],
  };
  const worker = { inspect: inspectorOf(training) } as PageWorker;
  const card = document.createElement('section');
  card.className = 'card results';
  card.append(resultsView(worker, run));
  document.querySelector('main')!.replaceChildren(card);
}
