/**
 * Which files of a repository hold a data set's configurations and splits, by the rules of Python's
 * `datasets`.
 */
import { cached } from '../cached.ts';
import { isObject } from '../json.ts';
import { type ClassNames, classNamesIn } from './class-names.ts';
import { globPattern } from './glob.ts';
import { endingOf } from './packed.ts';

/** Files by split, by configuration; the one called `default`, or the only one, is meant if none is named. */
export interface DatasetFiles {
  configs: ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>;
  usual: string | null;
}

const READ = /^(parquet|csv|tsv|jsonl|ndjson|json|txt)$/;
/** Files that describe a data set. */
const ABOUT =
  /(^|\/)(dataset_infos?|dataset_dict|state|config|metadata|package)\.json$|(^|\/)(requirements|licen[cs]e)[^/]*\.txt$/i;

const isData = (path: string): boolean =>
  READ.test(endingOf(path)) && !ABOUT.test(path) && !path.split('/').some((part) => /^[._]/.test(part));

interface CardConfig {
  name: string;
  isDefault: boolean;
  folder: string;
  files: unknown;
}

/** The `configs` of a card's YAML. */
function cardConfigs(card: unknown): CardConfig[] {
  const configs: unknown = isObject(card) ? card.configs : undefined;
  if (!Array.isArray(configs)) return [];
  return configs.filter(isObject).map((config) => ({
    name: String(config.config_name ?? 'default'),
    isDefault: config.default === true,
    folder: typeof config.data_dir === 'string' ? config.data_dir.replace(/^\.?\/|\/$/g, '') : '',
    files: config.data_files,
  }));
}

/** Names that files have in place of a split's own, by `datasets`. */
const splitNames: Readonly<Record<string, readonly string[]>> = {
  train: ['train', 'training'],
  validation: ['validation', 'valid', 'dev', 'val'],
  test: ['test', 'testing', 'eval', 'evaluation'],
};

function splitIn(text: string): string | null {
  for (const [split, names] of Object.entries(splitNames))
    if (new RegExp(`(^|[^a-z])(${names.join('|')})([^a-z]|$)`, 'i').test(text)) return split;
  return null;
}

type Splits = Map<string, string[]>;

function grouped(paths: readonly string[], splitOf: (path: string) => string | null): Splits {
  const out: Splits = new Map();
  for (const path of paths) {
    const split = splitOf(path);
    if (split !== null) cached(out, split, () => []).push(path);
  }
  return out;
}

/**
 * Splits told from names: `data/NAME-00000-of-00001.parquet`, then names of files, then of folders; else all
 * train.
 */
function inferred(paths: readonly string[]): Splits {
  const kinds = new Map<string, number>();
  for (const path of paths) kinds.set(endingOf(path), (kinds.get(endingOf(path)) ?? 0) + 1);
  const [usual] = [...kinds].sort(([, a], [, b]) => b - a)[0] ?? [''];
  const alike = paths.filter((path) => endingOf(path) === usual);
  const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1).replace(/(\.[a-z]+)+$/i, '');
  for (const splitOf of [
    (path: string) => /^data\/([\w.]+)-\d{5}-of-\d{5}[^/]*$/.exec(path)?.[1] ?? null,
    (path: string) => splitIn(nameOf(path)),
    (path: string) => splitIn(path.slice(0, path.lastIndexOf('/') + 1)),
  ]) {
    const splits = grouped(alike, splitOf);
    if (splits.size > 0) return splits;
  }
  return alike.length > 0 ? new Map([['train', alike]]) : new Map();
}

/** Splits that a card's `data_files` name: a pattern, a list of them, or of `{ split, path }`. */
function named({ folder, files }: CardConfig, paths: readonly string[]): Splits {
  const inside = folder === '' ? '' : `${folder}/`;
  if (files === undefined || files === null) return inferred(paths.filter((path) => path.startsWith(inside)));
  const entries = [files]
    .flat()
    .map((entry: unknown): { split: string; patterns: unknown } =>
      isObject(entry)
        ? { split: String(entry.split ?? 'train'), patterns: entry.path }
        : { split: 'train', patterns: entry },
    );
  const out: Splits = new Map();
  for (const { split, patterns } of entries) {
    for (const pattern of [patterns].flat()) {
      const test = globPattern(`${inside}${String(pattern).replace(/^\.?\//, '')}`);
      const found = paths.filter((path) => test.test(path));
      if (found.length > 0) cached(out, split, () => []).push(...found);
    }
  }
  return out;
}

/** The files of a branch that people write to; no configuration if none of its files can be read. */
export function datasetFiles(all: readonly string[], card: unknown): DatasetFiles {
  const paths = all.filter(isData).sort();
  const given = cardConfigs(card);
  if (given.length === 0) {
    const splits = inferred(paths);
    return { configs: new Map(splits.size === 0 ? [] : [['default', splits]]), usual: 'default' };
  }
  const configs = new Map(given.map((config) => [config.name, named(config, paths)] as const));
  for (const [name, splits] of configs) if (splits.size === 0) configs.delete(name);
  const usual = given.find(({ isDefault }) => isDefault)?.name ?? usualOf(configs);
  return { configs, usual };
}

/**
 * The files of the branch that the hub converts: `config/split/0000.parquet`; `partial-` marks the first part
 * of one.
 */
export function convertedFiles(all: readonly string[]): DatasetFiles {
  const configs = new Map<string, Splits>();
  for (const path of [...all].sort()) {
    const [, config, split] = /^([^/]+)\/([^/]+)\/\d+\.parquet$/.exec(path) ?? [];
    if (config === undefined) continue;
    cached(
      cached(configs, config, () => new Map() as Splits),
      split!,
      () => [],
    ).push(path);
  }
  return { configs, usual: usualOf(configs) };
}

function usualOf(configs: ReadonlyMap<string, unknown>): string | null {
  if (configs.has('default')) return 'default';
  return configs.size === 1 ? [...configs.keys()][0]! : null;
}

/** Names of classes by column, as a card's `dataset_info` gives them for a configuration. */
export function cardClassNames(card: unknown, config: string): ClassNames {
  const infos = isObject(card) ? [card.dataset_info].flat().filter(isObject) : [];
  const own = infos.find(({ config_name: name }) => (name ?? 'default') === config);
  const features: unknown = (own ?? (infos.length === 1 ? infos[0] : undefined))?.features;
  const out: Record<string, readonly string[]> = {};
  for (const feature of Array.isArray(features) ? features.filter(isObject) : []) {
    const names = classNamesIn(feature);
    if (names !== null) out[String(feature.name)] = names;
  }
  return out;
}
