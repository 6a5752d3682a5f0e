/** Inputs of models: their names, and checks of types, shapes and ranges. */
import { ConfigError, DtypeError, ShapeError } from '../../errors.ts';
import { type Advice, checkOptions, type OptionNames } from '../../options.ts';
import { embedding } from '../../tensor/ops/embedding.ts';
import { reshape } from '../../tensor/ops/view.ts';
import { formatShape, sameShape } from '../../tensor/shape.ts';
import { Tensor } from '../../tensor/tensor.ts';

/** Inputs of every model; int32 tensors [batch, length] unless said otherwise. */
export interface ModelInputs {
  /** Required, unless `inputsEmbeds` take their place. */
  inputIds?: Tensor | undefined;
  /**
   * float32 [batch, length, width of the word embeddings], in place of `inputIds`: what the word embeddings
   * would give. Of families whose positions leave padding out, they then count it, as in transformers.
   */
  inputsEmbeds?: Tensor | undefined;
  /** 0 for padding, 1 for other tokens; if absent, all ones. */
  attentionMask?: Tensor | undefined;
  /** 0 for the first text, 1 for the second; if absent, all zeros. A model of one type takes zeros only. */
  tokenTypeIds?: Tensor | undefined;
  /**
   * Rows of the position embeddings, [batch, length] or [1, length]. If absent, the
   * family's own count: from 0, or from after the padding id, which padding keeps.
   */
  positionIds?: Tensor | undefined;
  /**
   * Leaves padding out (if `attentionMask` came from the CPU), so that a batch costs what its real tokens
   * cost. The states of padding are then zero; in transformers they are meaningless. Default false; for
   * classification of sequences, which ignores them, true. With `outputAttentions`, padding is computed.
   */
  skipPadding?: boolean | undefined;
  /** Also return the result of every layer. Default: as the config says, mostly false. */
  outputHiddenStates?: boolean | undefined;
  /**
   * Also return the attention weights of every layer. Attention is then computed the plain way: its memory
   * grows as length².
   */
  outputAttentions?: boolean | undefined;
}

export const modelInputNames: OptionNames<ModelInputs> = {
  inputIds: true,
  inputsEmbeds: true,
  attentionMask: true,
  tokenTypeIds: true,
  positionIds: true,
  skipPadding: true,
  outputHiddenStates: true,
  outputAttentions: true,
};

const flags = ['skipPadding', 'outputHiddenStates', 'outputAttentions'];

/** Inputs that transformers has, and not every model here. */
const advice: Advice = {
  inputsEmbeds: 'pass inputIds',
  headMask: 'leave it out',
  returnDict: 'leave it out: the result is an object',
};

/**
 * Throws `ConfigError` naming an input that `model` does not take, `DtypeError` for one that is not a tensor
 * of its type, `ShapeError` for one of another shape than the tokens.
 */
export function checkInputs(model: string, inputs: ModelInputs, names: Readonly<Record<string, true>>): void {
  const where = `${model}.forward`;
  if (typeof inputs !== 'object' || inputs === null || inputs instanceof Tensor)
    throw new ConfigError(`${where}: there are no inputs by name`, { remedy: 'pass { inputIds, … }' });
  checkOptions(where, inputs, names, advice);
  const { inputIds, inputsEmbeds } = inputs;
  if (inputIds === undefined && inputsEmbeds === undefined)
    throw new ConfigError(`${where}: inputIds are missing`);
  if (inputIds !== undefined && inputsEmbeds !== undefined)
    throw new ConfigError(`${where}: there are inputIds and inputsEmbeds`, { remedy: 'pass one of them' });
  for (const [name, value] of Object.entries(inputs) as [string, unknown][]) {
    if (value === undefined) continue;
    if (flags.includes(name)) {
      if (typeof value !== 'boolean')
        throw new ConfigError(`${where}: ${name} is ${String(value)}`, { remedy: 'use true or false' });
    } else if (!(value instanceof Tensor)) {
      const kind = value === null ? 'null' : Array.isArray(value) ? 'an array' : `a ${typeof value}`;
      throw new DtypeError(`${where}: ${name} is ${kind}`, {
        remedy: 'make a tensor of it: device.tensor(Int32Array.from(values), [batch, length])',
      });
    } else if (name !== 'labels' && value.dtype !== dtypeOf(name)) {
      throw new DtypeError(`${where}: ${name} is ${value.dtype}`, {
        remedy: `it must be ${dtypeOf(name)}`,
      });
    }
  }
  checkShapes(where, inputs);
}

const dtypeOf = (name: string) => (name === 'inputsEmbeds' ? 'float32' : 'int32');

/** What stands for each token: its id, int32 [batch, length], or its embedding, [batch, length, width]. */
export const tokensOf = ({ inputIds, inputsEmbeds }: ModelInputs): Tensor => (inputIds ?? inputsEmbeds)!;

function checkShapes(where: string, inputs: ModelInputs): void {
  const { inputIds, attentionMask, tokenTypeIds, positionIds } = inputs;
  const { shape } = tokensOf(inputs);
  const axes = inputIds === undefined ? '[batch, length, width]' : '[batch, length]';
  const given = `${inputIds === undefined ? 'inputsEmbeds' : 'inputIds'} ${formatShape(shape)}`;
  if (shape.length !== (inputIds === undefined ? 3 : 2))
    throw new ShapeError(`${where}: ${given} must be ${axes}`);
  const [batch, length] = shape as [number, number];
  for (const [name, tensor] of Object.entries({ attentionMask, tokenTypeIds, positionIds })) {
    if (tensor === undefined || sameShape(tensor.shape, [batch, length])) continue;
    if (name === 'positionIds' && sameShape(tensor.shape, [1, length])) continue;
    throw new ShapeError(`${where}: ${name} ${formatShape(tensor.shape)} does not fit ${given}`);
  }
}

/** The values of an int32 tensor. Throws `ConfigError` if it was computed on the GPU. */
export function hostValues(name: string, tensor: Tensor): Int32Array {
  const { integers } = tensor;
  if (integers !== null) return integers;
  throw new ConfigError(`${name} came from the GPU`, {
    remedy: 'make an int32 tensor of numbers on the CPU: device.tensor(Int32Array.from(values), shape)',
  });
}

/** The mask, if it hides tokens as far as the host knows. */
export function hidingMask(mask: Tensor | undefined): Tensor | undefined {
  return mask?.integers?.includes(0) === false ? undefined : mask;
}

/** 1 where the mask shows a token, else 0: float32 of the given shape. */
export function shownAs(mask: Tensor, shape: readonly number[]): Tensor {
  return reshape(embedding(mask.device.tensor([0, 1], [2, 1]), mask), shape);
}

/** Throws `ShapeError` for an id outside a model's embeddings, if the CPU knows the ids. */
export function checkRange(name: string, ids: Tensor, rows: number): void {
  const stray = ids.integers?.find((id) => id < 0 || id >= rows);
  if (stray === undefined) return;
  throw new ShapeError(`${name}: ${stray} is outside the model's ${rows}`, {
    remedy: rows === 1 ? 'this model has 0 only: leave them out' : `use 0 to ${rows - 1}`,
  });
}
