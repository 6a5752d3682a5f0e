/** Tensors that are alive. */
import type { PreTrainedModel } from '../../src/models/common/pretrained.ts';

/** Those of a model's device, without the tables that the model keeps. */
export function liveBesideTables(model: PreTrainedModel): number {
  const tables = [...model.modules()].flatMap((module) => module.ownTables());
  return model.device.statistics().live - tables.length;
}
