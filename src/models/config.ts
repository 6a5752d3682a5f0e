/** Configs of every family: read from config.json, made from defaults, changed, written. */
import { ConfigError, UnsupportedModelError } from '../errors.ts';
import { checkOptions, defined } from '../options.ts';
import { parsePythonJson } from '../python-json.ts';
import {
  type ConfigTable,
  type ConfigValues,
  type EncoderValues,
  type PretrainedConfig,
  readConfig,
  writeConfig,
} from './common/config.ts';
import type { Family } from './common/family.ts';
import { changedLabels } from './common/labels.ts';
import { type ConfigTables, families, familyOf, type ModelType, modelTypes } from './registry.ts';

type AllOf<Union> = (Union extends unknown ? (one: Union) => void : never) extends (all: infer All) => void
  ? All
  : never;
type FamilyValues = AllOf<ConfigTables extends infer T extends ConfigTable ? ConfigValues<T> : never>;

/** What may be set when a config is made or loaded. */
export interface ConfigOverrides
  extends Partial<EncoderValues>,
    Partial<Omit<FamilyValues, keyof EncoderValues>>,
    Partial<Pick<PretrainedConfig, 'numLabels' | 'id2label'>> {}

type Names = Readonly<Record<string, true>>;

function namesOf({ config }: Family): Names {
  const keys = Object.entries(config).filter(([, { json }]) => json !== null);
  return { ...Object.fromEntries(keys.map(([name]) => [name, true])), numLabels: true, id2label: true };
}

/** Names of overrides, those of any family. */
export const overrideNames: Names = Object.assign({}, ...families.map(namesOf));

/** Throws `ConfigError` for an override that the config's family does not have. */
export function checkOverrides(where: string, modelType: string, overrides: ConfigOverrides): void {
  checkOptions(where, overrides, namesOf(knownFamily(modelType)));
}

/** Throws `ConfigError` for a value that is no config of a known family. */
export function knownFamily(modelType: unknown): Family {
  const family = familyOf(modelType);
  if (family !== undefined) return family;
  throw new ConfigError('what was given is no config', {
    remedy: 'use AutoConfig.fromPretrained or AutoConfig.forModel',
  });
}

/**
 * Reads a parsed config.json. Throws `ConfigError` naming the file and the key, `UnsupportedModelError` for
 * an unknown type.
 */
export function parseConfig(json: unknown, source: string): PretrainedConfig {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new ConfigError(`${source}: not a JSON object`, {
      remedy: 'use the config.json that came with the model',
    });
  }
  const fields = json as Record<string, unknown>;
  const type = fields.model_type;
  if (typeof type !== 'string') {
    throw new ConfigError(`${source}: 'model_type' is missing`, {
      remedy: `it must be one of ${modelTypes.join(', ')}`,
    });
  }
  const family = familyOf(type);
  if (family === undefined) {
    throw new UnsupportedModelError(`${source}: model_type '${type}' is not supported`, {
      remedy: `supported: ${modelTypes.join(', ')}`,
    });
  }
  return readConfig(family.modelType, family.config, fields, source);
}

/** config.json's text for a model of the given class, its weights float32. */
export function configToJson(config: PretrainedConfig, architecture: string): string {
  return writeConfig(knownFamily(config.modelType).config, config, architecture);
}

/**
 * A copy with some values changed. `numLabels` alone resets the names; `id2label` sets both. Throws
 * `ConfigError` if they disagree.
 */
export function withOverrides(config: PretrainedConfig, overrides: ConfigOverrides): PretrainedConfig {
  const merged = { ...config, ...defined(overrides), ...changedLabels(config, overrides) };
  // The rules for a file's values hold for overrides too.
  return { ...parseConfig(parsePythonJson(configToJson(merged, '')), 'config'), raw: config.raw };
}

/**
 * A config from camelCase values and transformers' defaults. Throws `ConfigError` for an unknown name or a
 * value that cannot be used.
 */
export function makeConfig(modelType: ModelType, values: ConfigOverrides = {}): PretrainedConfig {
  const config = parseConfig({ model_type: modelType }, `${modelType} config`);
  checkOverrides('AutoConfig.forModel', modelType, values);
  return withOverrides(config, values);
}
