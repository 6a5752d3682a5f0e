/** Pre-training on pairs of texts: masked language modelling, and a question about the pair. */
import type { Module } from '../../nn/module.ts';
import type { OptionNames } from '../../options.ts';
import type { Device } from '../../tensor/device.ts';
import { add, to } from '../../tensor/ops/elementwise.ts';
import { crossEntropy } from '../../tensor/ops/loss.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { PretrainedConfig } from './config.ts';
import { type Head, head, vocabulary } from './heads.ts';
import { checkInputs, type ModelInputs, modelInputNames } from './inputs.ts';
import {
  baseInputs,
  type EncoderOutputs,
  HeadedModel,
  handedOn,
  type TaskFactory,
  taskFactory,
} from './tasks.ts';

/** A family's names for the second task. */
interface PairNames<Label extends string, Logits extends string> {
  /** The part that answers: [B, H] → [B, answers]. */
  readonly part: string;
  /** Input int32 [B]: the right answer. */
  readonly label: Label;
  /** Output [B, answers]. */
  readonly logits: Logits;
}

type PairInputs<Label extends string> = ModelInputs & {
  /** int32 [B, L], −100: not counted. */
  labels?: Tensor | undefined;
} & { [K in Label]?: Tensor | undefined };

type PairOutput<Logits extends string> = EncoderOutputs & {
  /** The sum of both losses, a scalar; absent unless both have labels. */
  loss?: Tensor;
  /** [B, L, V] */
  predictionLogits: Tensor;
} & { [K in Logits]: Tensor };

/** A model for both tasks. */
export interface PairModel<Label extends string, Logits extends string> extends HeadedModel {
  /** Throws `ShapeError` if inputs do not fit the model, `ConfigError` for an unknown input. */
  forward(inputs: PairInputs<Label>): PairOutput<Logits>;
}

type TokenParts = ReturnType<ReturnType<typeof vocabulary>['parts']>;

/** A head of masked language modelling, with the part that answers the question. */
export function pairHead<Part extends Record<string, Module>>(
  part: (config: PretrainedConfig, device: Device) => Part,
): Head<TokenParts & Part> {
  const tokens = vocabulary();
  return head<TokenParts & Part>({
    parts: (config, device, base) => ({ ...tokens.parts(config, device, base), ...part(config, device) }),
    logits: tokens.logits,
    pooler: true,
  });
}

/** The factory of a family's classes. */
export function pairPreTraining<Label extends string, Logits extends string>(
  names: PairNames<Label, Logits>,
): TaskFactory<PairModel<Label, Logits>> {
  const inputNames = { ...modelInputNames, labels: true, [names.label]: true } as OptionNames<
    PairInputs<Label>
  >;

  class PairPreTraining extends HeadedModel {
    forward(inputs: PairInputs<Label>): PairOutput<Logits> {
      checkInputs(this.architecture, inputs, inputNames);
      return this.device.tidy(() => {
        const output = this.base.forward(baseInputs(inputs));
        const predictionLogits = this.headLogits(output, inputs);
        const part = Reflect.get(this, names.part) as { forward(x: Tensor): Tensor };
        const pairs = to(part.forward(output.poolerOutput!), 'float32');
        const { labels, [names.label as Label]: answers } = inputs;
        const loss =
          labels === undefined || answers === undefined
            ? {}
            : { loss: add(crossEntropy(predictionLogits, labels), crossEntropy(pairs, answers)) };
        return { ...loss, predictionLogits, [names.logits]: pairs, ...handedOn(output) } as {
          [K in keyof PairOutput<Logits>]: PairOutput<Logits>[K];
        };
      });
    }
  }
  return taskFactory(PairPreTraining, false);
}
