/** Maps the library's arguments to the command's options. */
import type { TrainingArguments } from '../train/arguments.ts';

const options: Partial<Record<keyof TrainingArguments | 'earlyStoppingPatience', string>> = {
  outputDir: '--output',
  numTrainEpochs: '--epochs',
  maxSteps: '--max-steps',
  perDeviceTrainBatchSize: '--batch-size',
  perDeviceEvalBatchSize: '--eval-batch-size',
  learningRate: '--lr',
  weightDecay: '--weight-decay',
  fp16: '--fp16',
  maxGradNorm: '--max-grad-norm',
  lrSchedulerType: '--scheduler',
  warmupSteps: '--warmup-steps',
  gradientAccumulationSteps: '--gradient-accumulation',
  loggingSteps: '--logging-steps',
  evalSteps: '--eval-steps',
  saveSteps: '--save-steps',
  saveTotalLimit: '--save-total-limit',
  metricForBestModel: '--metric',
  seed: '--seed',
  groupByLength: '--group-by-length',
  freezeEncoderEpochs: '--freeze-epochs',
  unfreezeLayersPerEpoch: '--unfreeze-layers',
  earlyStoppingPatience: '--early-stopping',
};

const names: ReadonlyMap<string, string> = new Map(Object.entries(options));

/**
 * Rewrites a library message with the command's options in place of arguments. Quoted paths stay unchanged,
 * and flags lose their values.
 */
export function inCommandNames(message: string): string {
  return message
    .replace(/'[^']*'|\b[a-zA-Z0-9]+\b/g, (word) => names.get(word) ?? word)
    .replace(/\bwith (--(?:group-by-length|fp16)) (true|false)\b/g, (_, flag: string, value: string) =>
      value === 'true' ? `with ${flag}` : `without ${flag}`,
    );
}
