/** Reads a model that was chosen, and says what it is. */
import {
  AutoConfig,
  AutoModelForSequenceClassification,
  AutoTokenizer,
  type Device,
  type LoadReport,
} from 'dawngrad';
import type { ClassificationModel, ModelReport } from '../contract.ts';

/** Weights of a model's body that its files lack, and that no head brings along. */
function lacking(model: ClassificationModel, { missing }: LoadReport): string[] {
  const prefix = `${model.baseModelPrefix}.`;
  return missing.filter((name) => name.startsWith(prefix) && !name.startsWith(`${prefix}pooler.`));
}

/**
 * Loads the model once, so that a file that cannot be used is known before a training. Throws `FileError`,
 * `ConfigError`, `TokenizerError` and `CheckpointError` as `fromPretrained` does.
 */
export async function describeModel(device: Device, path: string, name: string): Promise<ModelReport> {
  // First, because a folder without it is no model's.
  await AutoConfig.fromPretrained(path);
  const tokenizer = await AutoTokenizer.fromPretrained(path);
  let report: LoadReport | null = null;
  const model = await AutoModelForSequenceClassification.fromPretrained(path, {
    device,
    ignoreMismatchedSizes: 'head',
    onReport: (given) => {
      report = given;
    },
  });
  try {
    const { modelType: type, numHiddenLayers: layers, hiddenSize } = model.config;
    const lack = report === null ? [] : lacking(model, report);
    return {
      name,
      type,
      layers,
      hiddenSize,
      parameters: model.parameters().reduce((sum, { size }) => sum + size, 0),
      maxLength: Math.min(model.base.maxLength, tokenizer.modelMaxLength),
      notes:
        lack.length === 0
          ? []
          : [`Its files lack ${lack.length} of its weights (${lack[0]} and others), which begin at random.`],
    };
  } finally {
    model.dispose();
    device.trim();
  }
}
