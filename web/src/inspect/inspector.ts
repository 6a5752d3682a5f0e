/** What can be asked about a finished training; computed in the worker. */
import type { LiveRun } from '../contract.ts';

export interface Inspector {
  /** Classes and their probabilities, or the value, of a text. */
  predict(text: string, pair?: string): Promise<readonly number[]>;
}

/** Reads the model of a finished training. */
export function inspectorOf({ run, model, tokenizer }: LiveRun): Inspector {
  const { problemType, maxLength } = run;
  return {
    async predict(text, pair) {
      const { inputIds, attentionMask, tokenTypeIds } = tokenizer.encode(text, pair, {
        truncation: true,
        maxLength,
      });
      const { device } = model;
      using _scope = device.scope();
      const tensor = (values: readonly number[]) =>
        device.tensor(Int32Array.from(values), [1, values.length]);
      const { logits } = model.forward({
        inputIds: tensor(inputIds),
        attentionMask: tensor(attentionMask),
        tokenTypeIds: tensor(tokenTypeIds),
      });
      const values = [...(await logits.float32Data())];
      if (problemType === 'regression') return values;
      if (problemType === 'multi_label_classification') return values.map((x) => 1 / (1 + Math.exp(-x)));
      const most = Math.max(...values);
      const powers = values.map((x) => Math.exp(x - most));
      const total = powers.reduce((sum, power) => sum + power, 0);
      return powers.map((power) => power / total);
    },
  };
}
