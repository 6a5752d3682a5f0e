/** What arguments change of a model before it trains. */
import { ConfigError } from '../errors.ts';
import type { TrainingArguments } from './arguments.ts';
import type { TrainableModel } from './predict.ts';

/**
 * Sets a model up as the arguments say. Throws `DtypeError` if the adapter of the device has no float16, and
 * `ConfigError` for a base type without a frozen base.
 */
export function setUpModel(
  model: TrainableModel,
  { fp16, gradientCheckpointing, baseDtype }: TrainingArguments,
): void {
  if (fp16) model.device.requireFloat16();
  if (gradientCheckpointing) model.gradientCheckpointingEnable();
  if (baseDtype === null) return;
  if (model.adapters === null)
    throw new ConfigError(`baseDtype is '${baseDtype}', but the whole model learns`, {
      remedy: 'train an adapter over a frozen base (--lora, getPeftModel), or leave baseDtype out',
    });
  model.adapters.castBase(baseDtype);
}
