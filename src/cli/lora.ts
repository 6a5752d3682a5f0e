/** `--lora`: trains an adapter in the place of a model. */
import { UsageError } from '../errors.ts';
import type { PreTrainedModel } from '../models/common/pretrained.ts';
import { LoraConfig, type LoraOptions, type TaskType } from '../models/peft/config.ts';
import { getPeftModel } from '../models/peft/peft-model.ts';
import { attentionTargets, layersOf, targetNames } from '../models/peft/targets.ts';
import { SentenceTransformer } from '../sentence/sentence-transformer.ts';
import { SetFitModel } from '../sentence/setfit.ts';

/** Names of the option's settings, as short as they read, and PEFT's. */
const settings: Readonly<Record<string, keyof LoraOptions>> = {
  r: 'r',
  alpha: 'loraAlpha',
  dropout: 'loraDropout',
  target: 'targetModules',
  save: 'modulesToSave',
  bias: 'bias',
  rslora: 'useRslora',
};

/** PEFT's names of tasks by ours; others have no head that a task type names. */
const taskTypes: Readonly<Record<string, TaskType>> = {
  'text-classification': 'SEQ_CLS',
  'multiple-choice': 'SEQ_CLS',
  'token-classification': 'TOKEN_CLS',
  'question-answering': 'QUESTION_ANS',
};

function readSetting(name: string, text: string): unknown {
  if (name === 'target') return text === 'all-linear' ? text : text.split('+');
  if (name === 'save') return text.split('+');
  if (name === 'bias') return text;
  if (name === 'rslora') return text === 'true' || text === '';
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value))
    throw new UsageError(`--lora: ${name}=${text} is no number`, { remedy: `write ${name}=8, say` });
  return value;
}

/** `r=8,alpha=16,target=query+value`, or no text: PEFT's defaults. Throws `UsageError` for another setting. */
export function loraOptions(text: string | true): LoraOptions {
  const parts = text === true ? [] : text.split(',').filter((part) => part !== '');
  return Object.fromEntries(
    parts.map((part) => {
      const [name, ...value] = part.split('=') as [string, ...string[]];
      const option = settings[name];
      if (option === undefined)
        throw new UsageError(`--lora: there is no setting '${name}'`, {
          remedy: `there are ${Object.keys(settings).join(', ')}, as in r=8,alpha=16,target=query+value`,
        });
      return [option, readSetting(name, value.join('='))];
    }),
  ) as LoraOptions;
}

/** What decides about an adapter besides `--lora`. */
interface Given {
  task: string;
  /** The folder or hub id that `--model` names, and where it lies. */
  base: string;
  folder: string;
  /** Weights that the checkpoint lacks: their modules learn as a whole. */
  missing: readonly string[];
}

/** What gets the adapter: the transformer of a model of vectors, whose other modules have nothing to learn. */
const adaptable = (model: PreTrainedModel): PreTrainedModel =>
  model instanceof SetFitModel || model instanceof SentenceTransformer ? model.base : model;

/**
 * Gives a model an adapter, and returns a line that says what learns. Throws `UsageError` for a model that has
 * one, `ConfigError` for settings that cannot be used.
 */
export function addLora(
  model: PreTrainedModel,
  text: string | true,
  { task, base, folder, missing }: Given,
): string {
  if (model.adapters !== null)
    throw new UsageError('--lora: the model has an adapter', {
      remedy: 'leave --lora out to go on training it, or merge it first: dawngrad merge',
    });
  const learner = adaptable(model);
  const headless = learner !== model;
  const { targetModules, modulesToSave, ...options } = loraOptions(text);
  const fresh = headless ? [] : missing.map((name) => name.replace(/\.[^.]*$/, ''));
  const saved = [...new Set([...(modulesToSave ?? []), ...fresh])];
  const usual = attentionTargets(learner);
  const config = new LoraConfig({
    taskType: headless ? 'FEATURE_EXTRACTION' : (taskTypes[task] ?? null),
    ...options,
    targetModules: targetModules ?? (usual.length === 0 ? null : usual),
    modulesToSave: saved.length === 0 ? null : saved,
    // A model of vectors may keep its transformer in a folder of its own.
    baseModelNameOrPath: headless && learner.nameOrPath !== folder ? learner.nameOrPath : base,
  });
  const adapted = getPeftModel(learner, config);
  const [learn, all] = [adapted.numParameters({ onlyTrainable: true }), adapted.numParameters()];
  const count = (n: number): string => n.toLocaleString('en-US');
  const targets = adapted.peftConfig.default!.targetModules!;
  const shown = typeof targets === 'string' || targets.length > 4 ? 'linear layers' : targets.join(', ');
  return `LoRA of ${shown}: ${count(learn)} of ${count(all)} weights learn (${((100 * learn) / all).toFixed(2)} %)`;
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/**
 * Lets the adapter of a checkpoint learn on. Throws `UsageError` if there is none, or if it has another value of a
 * setting that is given.
 */
export function resumeLora({ adapters }: PreTrainedModel, text: string | true): void {
  if (adapters === null)
    throw new UsageError('--lora: the checkpoint holds a whole model', { remedy: 'leave it out' });
  const had = adapters.config(adapters.active!);
  // Layers have several names, and what the base lacked is among the modules, too.
  const reach = (config: LoraConfig) => targetNames(layersOf(adapters.model, config));
  const agrees: Partial<Record<keyof LoraOptions, (given: LoraConfig) => boolean>> = {
    targetModules: (given) => same(reach(given), reach(had)),
    modulesToSave: ({ modulesToSave }) => modulesToSave!.every((name) => had.modulesToSave?.includes(name)),
  };
  const options = loraOptions(text);
  for (const name of Object.keys(options) as (keyof LoraOptions)[]) {
    const given = had.with({ [name]: options[name] });
    const [old, value] = [had[name], given[name]];
    if (agrees[name]?.(given) ?? same(old, value)) continue;
    const [was, is] = [old, value].map((one) => JSON.stringify(one));
    throw new UsageError(`--lora: ${name} is ${is}, in the checkpoint it is ${was}`, {
      remedy: 'leave --lora out, or start a new training',
    });
  }
  adapters.train();
}
