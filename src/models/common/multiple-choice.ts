/** Multiple choice: of several texts, the one that fits. */
import { ShapeError } from '../../errors.ts';
import type { OptionNames } from '../../options.ts';
import { crossEntropy } from '../../tensor/ops/loss.ts';
import { reshape } from '../../tensor/ops/view.ts';
import { formatShape, sameShape } from '../../tensor/shape.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { PretrainedConfig } from './config.ts';
import type { Head } from './heads.ts';
import { checkInputs, modelInputNames, tokensOf } from './inputs.ts';
import { type LabelledInputs, TaskModel, type TaskOutput, taskFactory } from './tasks.ts';

const names: OptionNames<LabelledInputs> = { ...modelInputNames, labels: true };

/**
 * Inputs int32 [batch, choices, length] (embeddings have one axis more), each text a choice; logits [batch,
 * choices]; labels int32 [batch], the number of the right choice. Hidden states and attention weights are those
 * of all texts, [batch · choices, …].
 */
export class MultipleChoice extends TaskModel {
  protected override readonly ignoresPadding = true;

  override forward(inputs: LabelledInputs): TaskOutput {
    return this.device.tidy(() => {
      const texts = eachText(`${this.architecture}.forward`, inputs);
      checkInputs(this.architecture, texts, names);
      const { labels, ...unlabelled } = texts;
      const output = super.forward(unlabelled);
      const logits = reshape(output.logits, [-1, tokensOf(inputs).shape[1]!]);
      return { ...output, ...(labels !== undefined && { loss: crossEntropy(logits, labels) }), logits };
    });
  }
}

/** [batch, choices, length] → [batch · choices, length], of every input but the labels. */
function eachText(where: string, inputs: LabelledInputs): LabelledInputs {
  const { inputIds, inputsEmbeds } = inputs ?? {};
  const tokens = inputIds ?? inputsEmbeds;
  if (!(tokens instanceof Tensor)) return inputs;
  const embedded = inputIds === undefined;
  const wanted = `${embedded ? 'inputsEmbeds' : 'inputIds'} ${formatShape(tokens.shape)}`;
  if (tokens.rank !== (embedded ? 4 : 3)) {
    const axes = `[batch, choices, length${embedded ? ', width' : ''}]`;
    throw new ShapeError(`${where}: ${wanted} must be ${axes}`);
  }
  const entries = Object.entries(inputs).map(([name, value]: [string, unknown]) => {
    if (!(value instanceof Tensor) || name === 'labels') return [name, value];
    if (value !== tokens && !sameShape(value.shape, tokens.shape.slice(0, 3)))
      throw new ShapeError(`${where}: ${name} ${formatShape(value.shape)} does not fit ${wanted}`);
    return [name, reshape(value, [-1, ...value.shape.slice(2)])];
  });
  return Object.fromEntries(entries) as LabelledInputs;
}

/** A head of sequence classification as one that rates a choice, with other values of the config if given. */
export function rating<Parts extends object>(
  { parts, logits, pooler = false }: Head<Parts>,
  values: Partial<PretrainedConfig> = {},
): Head<Parts> {
  return {
    parts: (config, device, base) => parts({ ...config, ...values, numLabels: 1 }, device, base),
    logits,
    pooler,
  };
}

export const multipleChoice = taskFactory(MultipleChoice, false);
