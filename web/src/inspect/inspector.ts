/** What can be asked about a finished training; computed in the worker. */
import { argmaxRows, compileAhead, noGrad, toTensors } from 'dawngrad';
import type { ClassificationModel, LiveRun } from '../contract.ts';
import { attentionOf, type LayerAttention } from './attention.ts';
import { attribute, sharesOf } from './attribution.ts';
import { batchOf, encoded, type Input, idsOf, kindOf, logitsOf, outputsOf } from './predictions.ts';
import { type Mistakes, mistakesOf, type Scores, scoresOf } from './scores.ts';
import { type Token, tokensOf } from './tokens.ts';

/** A text's tokens, as the model sees them. */
export interface TokenizedText {
  tokens: readonly Token[];
  /** Whether the end was cut off, because the model takes no more tokens. */
  cut: boolean;
}

export interface Explanation extends TokenizedText {
  /** Probabilities of the classes, or the value. */
  outputs: readonly number[];
  /** The output that is explained. */
  output: number;
  /** What each token gives to it, by gradient × embedding: for it if positive, else against it. */
  shares: readonly number[];
}

export interface Attention extends TokenizedText, LayerAttention {
  layer: number;
}

export interface Inspector {
  /** Of the rows held out; null if there are none. */
  scores(): Promise<Scores | null>;
  /** The `most` mistakes among these rows of which the model is surest; of values, the largest. */
  mistakes(most: number): Promise<Mistakes>;
  /** Probabilities of the classes, or the value, of a text. */
  predict(text: string, pair?: string): Promise<readonly number[]>;
  /** Explains an output of a text: by default the class that the model finds most probable. */
  explain(text: string, pair?: string, output?: number): Promise<Explanation>;
  /** The weights of attention of a layer, from 0. Throws `ConfigError` for one that the model does not have. */
  attention(text: string, pair: string | undefined, layer: number): Promise<Attention>;
}

/** Compiles what the first explanation takes, and the first map of attention. */
function compileExplanation(live: LiveRun, input: Input): Promise<void> {
  const encoding = encoded(live, input);
  return compileAhead(live.model, 'explain', false, (copy) => {
    noGrad(() => copy.forward(toTensors(copy.device, batchOf(live, [input])) as never));
    noGrad(() => copy.forward({ ...idsOf(copy.device, encoding), outputAttentions: true } as never));
    sharesOf(copy as ClassificationModel, encoding, 0);
  });
}

/** Reads the model of a finished training. */
export function inspectorOf(live: LiveRun): Inspector {
  const { run, model, tokenizer, rows } = live;
  const kind = kindOf(live);
  let held: Promise<Float32Array> | null = null;
  // The rows held out are predicted once.
  const logits = () => {
    held ??= logitsOf(live, rows).catch((error: unknown) => {
      held = null;
      throw error;
    });
    return held;
  };
  let ready: Promise<void> | null = null;
  const prepare = (input: Input) => {
    ready ??= compileExplanation(live, input);
    return ready;
  };
  const outputs = async (text: string, pair?: string) =>
    outputsOf(kind, await logitsOf(live, [{ text, pair }]));
  const tokenized = (text: string, pair?: string) => {
    const encoding = encoded(live, { text, pair });
    const tokens = tokensOf(encoding, (id) => tokenizer.convertIdsToTokens([id])[0]!);
    return { encoding, shown: { tokens, cut: (encoding.overflowing?.length ?? 0) > 0 } };
  };
  return {
    async scores() {
      const found = scoresOf(kind, run.labels, rows, await logits());
      // While people read the scores.
      if (rows[0] !== undefined) void prepare(rows[0]).catch(() => {});
      return found;
    },
    async mistakes(most) {
      return mistakesOf(kind, run.labels, rows, outputsOf(kind, await logits()), most);
    },
    async predict(text, pair) {
      return outputs(text, pair);
    },
    async explain(text, pair, chosen) {
      await prepare({ text, pair });
      const found = await outputs(text, pair);
      const output = chosen ?? argmaxRows(found, found.length)[0]!;
      const { encoding, shown } = tokenized(text, pair);
      const shares = [...(await attribute(model, encoding, output))];
      return { ...shown, outputs: found, output, shares };
    },
    async attention(text, pair, layer) {
      const { encoding, shown } = tokenized(text, pair);
      return { ...shown, layer, ...(await attentionOf(model, encoding, layer)) };
    },
  };
}
