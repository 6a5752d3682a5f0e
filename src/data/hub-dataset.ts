/** Data sets of the hub by their ids, with the names that Python's `datasets` has. */
import { platform } from '#platform';
import { ConfigError, DataError, NotFoundError } from '../errors.ts';
import { shownNames } from '../models/common/class-names.ts';
import { hubOptionNames } from '../models/files/hub.ts';
import { checkOptions, type OptionNames } from '../options.ts';
import type { DatasetSnapshot, HubOptions } from '../platform/contract.ts';
import type { ClassNames } from './class-names.ts';
import { cardClassNames, convertedFiles, type DatasetFiles, datasetFiles } from './dataset-files.ts';

export interface DatasetOptions extends HubOptions {
  /** The configuration (subset). Default: the only one, or the one that the card calls the default. */
  config?: string;
}

/** The files of a split, downloaded. */
export interface DatasetSplit {
  /** For people: `nyu-mll/glue (sst2, validation)`. */
  name: string;
  files: readonly string[];
  classNames: ClassNames;
}

/** A configuration of a data set. */
export interface HubDataset {
  id: string;
  config: string;
  /** Names of the splits. */
  splits: readonly string[];
  /** Throws `DataError` naming the splits if there is no such one, `FileError` if it cannot be downloaded. */
  split(name: string): Promise<DatasetSplit>;
}

const optionNames: OptionNames<DatasetOptions> = { ...hubOptionNames, config: true };

/** The branch on which the hub keeps every public data set as Parquet. */
const CONVERTED = 'refs/convert/parquet';
const ID = /^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*){0,2}$/;

/**
 * Opens `owner/name`, `name`, or either with a configuration after another slash: `glue/sst2`. Files are
 * those that the data set's card names, or whose names tell the split; if none of them can be read, those of
 * the branch that the hub converts to Parquet. Throws `NotFoundError` for a data set that the hub has not,
 * `FileError` for one that it does not give out, `ConfigError` for a configuration that is unknown or not
 * named.
 */
export async function hubDataset(id: string, options: DatasetOptions = {}): Promise<HubDataset> {
  checkOptions('hubDataset', options, optionNames);
  const { config, ...access } = options;
  if (!ID.test(id))
    throw new ConfigError(`'${id}' is no id of a data set`, { remedy: 'write owner/name, as on the hub' });
  const { snapshot, inId } = await open(id, config, access);
  if (config !== undefined && inId !== undefined)
    throw new ConfigError(`'${id}' and '${config}' both name a configuration`, { remedy: 'name it once' });
  let found = { snapshot, files: datasetFiles(snapshot.paths, snapshot.card) };
  const wanted = config ?? inId;
  const lacks = wanted !== undefined && !found.files.configs.has(wanted);
  const usual = access.revision === undefined;
  if (usual && (found.files.configs.size === 0 || lacks))
    found = (await converted(snapshot.id, access)) ?? found;
  return configOf(snapshot, found, wanted);
}

/** Tries the id as it stands, then its last part as a configuration. */
async function open(
  id: string,
  config: string | undefined,
  access: HubOptions,
): Promise<{ snapshot: DatasetSnapshot; inId?: string }> {
  const parts = id.split('/');
  const [owner, last] = [parts.slice(0, -1).join('/'), parts.at(-1)!];
  if (parts.length === 3) return { snapshot: await platform.openDataset(owner, access), inId: last };
  try {
    return { snapshot: await platform.openDataset(id, access) };
  } catch (error) {
    if (parts.length === 1 || config !== undefined || !(error instanceof NotFoundError)) throw error;
    const other = await platform.openDataset(owner, access).catch(() => null);
    if (other === null) throw error;
    return { snapshot: other, inId: last };
  }
}

interface Found {
  snapshot: DatasetSnapshot;
  files: DatasetFiles;
}

/** The files that the hub converted; null if there are none. */
async function converted(id: string, access: HubOptions): Promise<Found | null> {
  const snapshot = await platform
    .openDataset(id, { ...access, revision: CONVERTED })
    .catch((error: unknown) => {
      if (error instanceof NotFoundError) return null;
      throw error;
    });
  if (snapshot === null) return null;
  const files = convertedFiles(snapshot.paths);
  return files.configs.size === 0 ? null : { snapshot, files };
}

function configOf({ id, card }: DatasetSnapshot, found: Found, wanted: string | undefined): HubDataset {
  const { configs, usual } = found.files;
  const config = wanted ?? usual;
  const names = [...configs.keys()];
  if (names.length === 0)
    throw new DataError(`the data set '${id}' has no files of a kind that is read`, {
      remedy: 'it takes Parquet, CSV, TSV, JSON or text: export it to one of these',
    });
  const splits = config === null ? undefined : configs.get(config);
  if (config === null || splits === undefined)
    throw new ConfigError(
      config === null || wanted === undefined
        ? `the data set '${id}' has ${names.length} configurations`
        : `the data set '${id}' has no configuration '${config}'`,
      { remedy: `choose one with --dataset-config (config): ${shownNames(names, 30)}` },
    );
  return {
    id,
    config,
    splits: [...splits.keys()],
    async split(name) {
      const paths = splits.get(name);
      if (paths === undefined)
        throw new DataError(`the data set '${id}' has no split '${name}'`, {
          remedy: `there are ${shownNames([...splits.keys()], 30)}`,
        });
      const label = config === 'default' ? name : `${config}, ${name}`;
      return {
        name: `${id} (${label})`,
        files: await found.snapshot.fetch(paths),
        classNames: cardClassNames(card, config),
      };
    },
  };
}
