/** `LoraConfig`: PEFT's settings of an adapter, and the file that holds them. */
import * as v from 'valibot';
import { platform } from '#platform';
import { ConfigError, FileError } from '../../errors.ts';
import type { LoraStart } from '../../nn/lora.ts';
import { type Advice, check, checkChoice, checkOptions, type OptionNames, snakeCase } from '../../options.ts';
import { stringifyPythonJson } from '../../python-json.ts';
import { checkJson, parseJsonObject } from '../files/json.ts';
import { ADAPTER_CONFIG_NAME } from './names.ts';

/** PEFT's names of tasks; each but the last trains its head too. */
export const taskTypes = ['SEQ_CLS', 'TOKEN_CLS', 'QUESTION_ANS', 'FEATURE_EXTRACTION'] as const;
export type TaskType = (typeof taskTypes)[number];

/** PEFT's names in camelCase, and its defaults. */
export interface LoraOptions {
  /** Which head learns besides: see `modulesToSave`. Default null. */
  taskType?: TaskType | null;
  /** Rows of A, columns of B. Default 8. */
  r?: number;
  /** What A and B add is multiplied by `loraAlpha / r`. Default 8. */
  loraAlpha?: number;
  /** Of the adapters' inputs. Default 0. */
  loraDropout?: number;
  /**
   * Linear layers that get adapters: ends of their names in files (`query`, `attention.output.dense`), a pattern
   * for whole names, or `all-linear`. Default: PEFT's for the model's type, queries and values.
   */
  targetModules?: readonly string[] | string | null;
  /** Layers that get none: ends of names, or a pattern. Default null. */
  excludeModules?: readonly string[] | string | null;
  /** Modules that learn as a whole, by the ends of their names. A task type adds its head. Default null. */
  modulesToSave?: readonly string[] | null;
  /** Which biases learn: none, all of the model, or those of layers with adapters. Default `none`. */
  bias?: 'none' | 'all' | 'lora_only';
  /** Rank-stabilized: multiply by `loraAlpha / √r` instead. Default false. */
  useRslora?: boolean;
  /** Default true: A as a linear layer begins, B zero. `gaussian`: A normal. False: both as linear layers. */
  initLoraWeights?: LoraStart;
  /** Other values of `r`, or of `loraAlpha`, by the ends of layers' names, which may be patterns. Default {}. */
  rankPattern?: Readonly<Record<string, number>>;
  alphaPattern?: Readonly<Record<string, number>>;
  /** Numbers of the layers of a stack that get adapters. Default null: all. */
  layersToTransform?: readonly number[] | number | null;
  /** What a stack is called in names: `layer`. Default null: anything. */
  layersPattern?: readonly string[] | string | null;
  /** The folder or hub id of the model that the adapter belongs to. Default: what the model was loaded from. */
  baseModelNameOrPath?: string | null;
  revision?: string | null;
}

const optionNames: OptionNames<LoraOptions> = {
  taskType: true,
  r: true,
  loraAlpha: true,
  loraDropout: true,
  targetModules: true,
  excludeModules: true,
  modulesToSave: true,
  bias: true,
  useRslora: true,
  initLoraWeights: true,
  rankPattern: true,
  alphaPattern: true,
  layersToTransform: true,
  layersPattern: true,
  baseModelNameOrPath: true,
  revision: true,
};

const advice: Advice = {
  alpha: 'its name is loraAlpha',
  dropout: 'its name is loraDropout',
  useDora: 'leave it out: weights are not decomposed',
  fanInFanOut: 'leave it out: weights are [out, in]',
  loraBias: 'leave it out: B has no bias; bias says which biases learn',
};

export const loraDefaults: Readonly<Required<LoraOptions>> = {
  taskType: null,
  r: 8,
  loraAlpha: 8,
  loraDropout: 0,
  targetModules: null,
  excludeModules: null,
  modulesToSave: null,
  bias: 'none',
  useRslora: false,
  initLoraWeights: true,
  rankPattern: {},
  alphaPattern: {},
  layersToTransform: null,
  layersPattern: null,
  baseModelNameOrPath: null,
  revision: null,
};

const text = v.nullish(v.string(), null);
const names = v.nullish(v.union([v.string(), v.array(v.string())]), null);
const numbers = v.nullish(v.record(v.string(), v.number()), {});
const flag = (usual: boolean) => v.nullish(v.boolean(), usual);

/** Keys that make of an adapter what the engine lacks; any value but null, false, {} and [] asks for it. */
const unsupported = [
  ...['use_dora', 'fan_in_fan_out', 'lora_bias', 'target_parameters', 'trainable_token_indices'],
  ...['layer_replication', 'megatron_config', 'use_qalora', 'use_bdlora', 'alora_invocation_tokens'],
  ...['arrow_config', 'kasa_config', 'velora_config', 'monteclora_config', 'ensure_weight_tying'],
];

const schema = v.looseObject({
  peft_type: v.literal('LORA', 'only LORA is supported'),
  task_type: v.nullish(v.picklist([...taskTypes, 'CAUSAL_LM', 'SEQ_2_SEQ_LM']), null),
  r: v.nullish(v.number(), loraDefaults.r),
  lora_alpha: v.nullish(v.number(), loraDefaults.loraAlpha),
  lora_dropout: v.nullish(v.number(), loraDefaults.loraDropout),
  target_modules: names,
  exclude_modules: names,
  modules_to_save: v.nullish(v.array(v.string()), null),
  bias: v.nullish(v.picklist(['none', 'all', 'lora_only']), 'none'),
  use_rslora: flag(false),
  rank_pattern: numbers,
  alpha_pattern: numbers,
  layers_to_transform: v.nullish(v.union([v.number(), v.array(v.number())]), null),
  layers_pattern: names,
  base_model_name_or_path: text,
  revision: text,
});

export class LoraConfig implements Required<LoraOptions> {
  declare readonly taskType: TaskType | null;
  declare readonly r: number;
  declare readonly loraAlpha: number;
  declare readonly loraDropout: number;
  declare readonly targetModules: readonly string[] | string | null;
  declare readonly excludeModules: readonly string[] | string | null;
  declare readonly modulesToSave: readonly string[] | null;
  declare readonly bias: 'none' | 'all' | 'lora_only';
  declare readonly useRslora: boolean;
  declare readonly initLoraWeights: LoraStart;
  declare readonly rankPattern: Readonly<Record<string, number>>;
  declare readonly alphaPattern: Readonly<Record<string, number>>;
  declare readonly layersToTransform: readonly number[] | number | null;
  declare readonly layersPattern: readonly string[] | string | null;
  declare readonly baseModelNameOrPath: string | null;
  declare readonly revision: string | null;

  /** Throws `ConfigError` naming the option that cannot be used, or does not exist. */
  constructor(
    options: LoraOptions = {},
    /** @internal What adapter_config.json has besides. */
    readonly raw: Readonly<Record<string, unknown>> = {},
  ) {
    checkOptions<LoraOptions>('LoraConfig', options, optionNames, advice);
    for (const name of Object.keys(loraDefaults) as (keyof LoraOptions)[])
      Object.assign(this, { [name]: options[name] ?? loraDefaults[name] });
    const whole = (value: number): boolean => Number.isInteger(value) && value >= 1;
    check('r', this.r, whole(this.r), 'use a whole number of 1 or more');
    for (const [name, rank] of Object.entries(this.rankPattern))
      check(`rankPattern: ${name}`, rank, whole(rank), 'use a whole number of 1 or more');
    check('loraAlpha', this.loraAlpha, Number.isFinite(this.loraAlpha), 'use a number');
    const { loraDropout: dropout } = this;
    check('loraDropout', dropout, dropout >= 0 && dropout < 1, 'use a number from 0 to below 1');
    checkChoice('bias', options.bias, ['none', 'all', 'lora_only']);
    checkChoice('taskType', options.taskType ?? undefined, taskTypes);
    checkChoice('initLoraWeights', options.initLoraWeights, [true, false, 'gaussian']);
  }

  /** A copy with other values. */
  with(values: LoraOptions): LoraConfig {
    const own = Object.keys(loraDefaults).map((name) => [name, Reflect.get(this, name) as unknown]);
    return new LoraConfig({ ...(Object.fromEntries(own) as LoraOptions), ...values }, this.raw);
  }

  /**
   * Reads adapter_config.json of a folder. Throws `FileError` if there is none, `ConfigError` naming a key that
   * cannot be used.
   */
  static async fromPretrained(folder: string): Promise<LoraConfig> {
    const path = platform.joinPath(folder, ADAPTER_CONFIG_NAME);
    if (!(await platform.exists(path)))
      throw new FileError(`'${path}' does not exist`, {
        remedy: 'is it a folder that PEFT or this engine saved an adapter in?',
      });
    return LoraConfig.fromJson(await platform.readText(path), path);
  }

  /** @internal */
  static fromJson(content: string, source: string): LoraConfig {
    const file = { source, error: ConfigError };
    const json = parseJsonObject(content, file);
    const read = checkJson(schema, json, file);
    for (const name of unsupported) {
      const value = json[name] ?? false;
      const empty = typeof value === 'object' && Object.keys(value).length === 0;
      if (value !== false && !empty)
        throw new ConfigError(`${source}: '${name}' is not supported`, {
          remedy: 'merge the adapter in Python (merge_and_unload) and save the model',
        });
    }
    if (read.task_type === 'CAUSAL_LM' || read.task_type === 'SEQ_2_SEQ_LM')
      throw new ConfigError(`${source}: task_type ${read.task_type} is not supported`, {
        remedy: 'only encoders are',
      });
    const values = Object.entries(read).map(([name, value]) => [camelCase(name), value]);
    const known = values.filter(([name]) => Object.hasOwn(loraDefaults, name as string));
    return new LoraConfig(Object.fromEntries(known) as LoraOptions, json);
  }

  /** @internal The text of adapter_config.json, which PEFT reads. */
  toJson(): string {
    const own = Object.keys(loraDefaults).map((name) => [
      snakeCase(name),
      Reflect.get(this, name) as unknown,
    ]);
    const written = {
      auto_mapping: null,
      ...this.raw,
      ...(Object.fromEntries(own) as Record<string, unknown>),
      fan_in_fan_out: false,
      inference_mode: true,
      peft_type: 'LORA',
    };
    const sorted = Object.entries(written).sort(([a], [b]) => (a < b ? -1 : 1));
    return `${stringifyPythonJson(Object.fromEntries(sorted), new Set(['lora_dropout']))}\n`;
  }
}

const camelCase = (name: string): string =>
  name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
