/** Weights of classes that a file holds. */
import { platform } from '#platform';
import { ConfigError, FileError } from '../errors.ts';
import { parseJson } from '../models/files/json.ts';

/**
 * The value of --class-weights: a name that ends with `.json` is a file with an object of weights by class,
 * or a list of them in the order of the classes. Throws `FileError` if it is missing, `ConfigError` if it is
 * not JSON.
 */
export async function readClassWeights<T>(given: T): Promise<T> {
  if (typeof given !== 'string' || !isWeightsFile(given)) return given;
  if (!(await platform.exists(given)))
    throw new FileError(`--class-weights: '${given}' does not exist`, { remedy: 'check the path' });
  const file = { source: given, error: ConfigError, remedy: 'write {"ham": 1, "spam": 2.5}' };
  return parseJson(await platform.readText(given), file) as T;
}

export const isWeightsFile = (text: string): boolean => /\.json$/i.test(text);
