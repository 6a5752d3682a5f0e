/** Which options of `finetune` go together. */
import { UsageError } from '../errors.ts';
import { LoraConfig } from '../models/peft/config.ts';
import { checkFewShot } from './few-shot.ts';
import type { FinetuneOptions } from './finetune.ts';
import { loraOptions } from './lora.ts';
import { checkPositive } from './options.ts';
import { checkStreaming } from './streaming.ts';

export const evaluates = ({ eval: files, evalSplit, trainSplit }: FinetuneOptions): boolean =>
  [files, evalSplit, trainSplit].some((option) => option !== undefined);

const tests = ({ test, testSplit }: FinetuneOptions): boolean =>
  test !== undefined || testSplit !== undefined;

/** Throws `UsageError` for options that need others, or do not go together. */
export function checkOptions(options: FinetuneOptions): void {
  const needs = (remedy: string, there: boolean, names: Record<string, unknown>): void => {
    for (const [name, value] of Object.entries(names))
      if (value !== undefined && !there) throw new UsageError(`${name} needs evaluations`, { remedy });
  };
  const evaluation = options.eval === undefined ? options.evalSplit && '--eval-split' : '--eval';
  if (options.trainSplit !== undefined && evaluation !== undefined)
    throw new UsageError(`there are ${evaluation} and --train-split`, { remedy: 'give one of them' });
  if (options.train !== undefined && options.dataset !== undefined)
    throw new UsageError('there are --train and --dataset', { remedy: 'give one of them' });
  if (options.lora !== undefined) new LoraConfig(loraOptions(options.lora));
  if (options.fewShot === true && options.dryRun === true)
    throw new UsageError('--dry-run does not go with --few-shot', { remedy: 'leave one of them out' });
  if (options.lora !== undefined && options.fromScratch === true)
    throw new UsageError('there are --lora and --from-scratch', { remedy: 'give one of them' });
  needs('pass --eval or --train-split', evaluates(options), {
    '--early-stopping': options.earlyStopping,
    '--metric': options.metric,
    '--eval-steps': options.evalSteps,
  });
  needs('pass --eval or --test', evaluates(options) || tests(options), {
    '--predictions': options.predictions,
    '--max-eval-samples': options.maxEvalSamples,
  });
  checkStreaming(options);
  checkFewShot(options);
  checkPositive('--max-length', options.maxLength);
  checkPositive('--max-train-samples', options.maxTrainSamples);
  checkPositive('--max-eval-samples', options.maxEvalSamples);
}
