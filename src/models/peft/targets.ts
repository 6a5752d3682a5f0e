/** Which modules of a model an adapter changes: names in files, matched as PEFT matches its modules' names. */
import { ConfigError } from '../../errors.ts';
import { Linear } from '../../nn/layers.ts';
import type { Module } from '../../nn/module.ts';
import type { PreTrainedModel } from '../common/pretrained.ts';
import { fileNames } from '../files/weight-names.ts';
import type { LoraConfig, TaskType } from './config.ts';

/** A module, its place in its parent, and its names in files: several for one whose weight files keep in parts. */
export interface Site {
  module: Module;
  parent: Module;
  /** As `namedChildren` gives it: `qkv`, or `layer.0`. */
  key: string;
  names: readonly string[];
}

/** All modules below `root`. */
export function sitesOf(root: PreTrainedModel): Site[] {
  const { names: rules = [] } = root.base.traits;
  const visit = (parent: Module, prefix: string): Site[] =>
    parent.namedChildren().flatMap(([key, module]) => {
      const path = `${prefix}${key}`;
      return [{ module, parent, key, names: fileNames(path, rules) }, ...visit(module, `${path}.`)];
    });
  return visit(root, '');
}

/** Puts another module in a module's place. */
export function replaceModule({ parent, key }: Pick<Site, 'parent' | 'key'>, module: Module): void {
  const [property, index] = key.split('.') as [string, string | undefined];
  if (index === undefined) Reflect.set(parent, property, module);
  else Reflect.set(Reflect.get(parent, property) as object, index, module);
}

/** PEFT's TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING, of the families that are here. */
const usualTargets: Readonly<Record<string, readonly string[]>> = {
  bert: ['query', 'value'],
  roberta: ['query', 'value'],
  'xlm-roberta': ['query', 'value'],
  electra: ['query', 'value'],
  'deberta-v2': ['query_proj', 'value_proj'],
};

/** Ends of the names that a family's queries and values have, or the layer that has both. */
export function attentionTargets(model: PreTrainedModel): string[] {
  const last = (name: string): string => name.split('.').at(-1)!;
  const layers = sitesOf(model).filter(({ module }) => module instanceof Linear);
  const fused = layers.find(({ names }) => names.length === 3);
  if (fused !== undefined) return [fused.names[0]!, fused.names[2]!].map(last);
  return layers
    .flatMap(({ names }) => names.map(last))
    .filter((name) => name === 'Wqkv')
    .slice(0, 1);
}

/** The target modules of a config, or PEFT's for the model's type. Throws `ConfigError` if there are none. */
export function targetsOf(model: PreTrainedModel, { targetModules }: LoraConfig): readonly string[] | string {
  const { modelType } = model.config;
  const targets = targetModules ?? usualTargets[modelType];
  if (targets !== undefined && targets.length > 0) return targets;
  throw new ConfigError(`LoraConfig: PEFT has no usual targetModules for '${modelType}'`, {
    remedy: `name them: ${JSON.stringify(attentionTargets(model))}, or 'all-linear'`,
  });
}

/** Heads that a task type trains, by PEFT's names; the module that a model has is one of them. */
const heads: Readonly<Record<TaskType, readonly string[]>> = {
  SEQ_CLS: ['classifier', 'score'],
  TOKEN_CLS: ['classifier', 'score'],
  QUESTION_ANS: ['qa_outputs'],
  FEATURE_EXTRACTION: [],
};

/** The modules that learn as a whole: those of the config, and the head of its task. */
export function modulesToSaveOf({ modulesToSave, taskType }: LoraConfig): readonly string[] | null {
  const head = taskType === null ? [] : heads[taskType];
  const all = [...new Set([...(modulesToSave ?? []), ...head])];
  return all.length === 0 ? modulesToSave : all;
}

function pattern(text: string, what: string): RegExp {
  try {
    return new RegExp(`^(?:${text})$`, 'u');
  } catch (cause) {
    throw new ConfigError(`LoraConfig: ${what} '${text}' is not a pattern`, {
      remedy: 'pass an array of names, or a regular expression for whole names',
      cause,
    });
  }
}

const endsWith = (name: string, ends: readonly string[]): boolean =>
  ends.some((end) => name === end || name.endsWith(`.${end}`));

const matches = (name: string, wanted: readonly string[] | string, what: string): boolean =>
  typeof wanted === 'string' ? pattern(wanted, what).test(name) : endsWith(name, wanted);

/** Whether a module of that name is saved as a whole, or in one that is. */
export const isSaved = (name: string, saved: readonly string[] | null): boolean =>
  saved?.some((one) => new RegExp(`^(|.*\\.)${one}($|\\..*)`).test(name)) ?? false;

/** Whether the layer's number is among those to be changed. */
function ofLayers(name: string, { layersToTransform, layersPattern }: LoraConfig): boolean {
  if (layersToTransform === null) return true;
  const stacks = [layersPattern ?? []].flat();
  const found =
    stacks.length === 0
      ? [/.*\.[^.]*\.(\d+)\./.exec(name)]
      : stacks.map((stack) => new RegExp(`.*\\.${stack}\\.(\\d+)\\.`).exec(name));
  const index = found.find((one) => one !== null)?.[1];
  return index !== undefined && [layersToTransform].flat().includes(Number(index));
}

/** The layers that get adapters, each with the numbers of its parts that do. */
export function layersOf(
  model: PreTrainedModel,
  config: LoraConfig,
): { site: Site; layer: Linear; parts: number[] }[] {
  const { targetModules, excludeModules, modulesToSave } = config;
  const all = targetModules === 'all-linear';
  const allowed = (name: string): boolean =>
    !(excludeModules !== null && matches(name, excludeModules, 'excludeModules')) &&
    !isSaved(name, modulesToSave);
  const named = (name: string): boolean =>
    allowed(name) && matches(name, targetModules!, 'targetModules') && ofLayers(name, config);
  // The projection to the vocabulary is no target of all-linear.
  const wanted = ({ weight }: Linear, name: string): boolean =>
    all ? allowed(name) && weight.shape[0] !== model.config.vocabSize : named(name);
  const sites = sitesOf(model);
  const found = sites.flatMap((site) => {
    const { module: layer, names } = site;
    if (!(layer instanceof Linear)) return [];
    const parts = names.flatMap((name, part) => (wanted(layer, name) ? [part] : []));
    return parts.length === 0 ? [] : [{ site, layer, parts }];
  });
  const other = sites.find(
    ({ module, names }) => Array.isArray(targetModules) && !(module instanceof Linear) && names.some(named),
  );
  if (other !== undefined)
    throw new ConfigError(`LoraConfig: '${other.names[0]}' is no linear layer`, {
      remedy: 'adapters change linear layers only; name modules that learn as a whole in modulesToSave',
    });
  if (found.length > 0) return found;
  const shown = sitesOf(model)
    .filter(({ module }) => module instanceof Linear)
    .flatMap(({ names }) => names.map((name) => name.split('.').at(-1)!));
  throw new ConfigError(`LoraConfig: no layer is called ${JSON.stringify(targetModules)}`, {
    remedy: `the model's are called ${[...new Set(shown)].join(', ')}`,
  });
}

/** Names in files of the layers that get adapters. */
export const targetNames = (targets: ReturnType<typeof layersOf>): string[] =>
  targets.flatMap(({ site, parts }) => parts.map((part) => site.names[part]!));

/** A layer's value in a pattern: that of the first key that its name ends with. */
export function byPattern(patterns: Readonly<Record<string, number>>, name: string, usual: number): number {
  const key = Object.keys(patterns).find((one) => pattern(`(?:.*\\.)?(?:${one})`, 'the pattern').test(name));
  return key === undefined ? usual : patterns[key]!;
}
