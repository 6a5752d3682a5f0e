/** Writes predictions as JSON lines. */
import { platform } from '#platform';
import { FileError, UsageError } from '../errors.ts';
import type { Row, Task } from '../tasks/task.ts';

function parts(path: string): { folder: string; name: string } {
  const at = Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\'));
  return { folder: at < 0 ? '.' : path.slice(0, at) || '/', name: path.slice(at + 1) };
}

/** Throws `FileError` if a file could not be written at the end; undefined counts as not wanted. */
export async function checkJsonLines(path: string | undefined): Promise<void> {
  if (path === undefined) return;
  const { folder, name } = parts(path);
  if (name === '' || (await platform.isFolder(path)))
    throw new FileError(`'${path}' is a folder`, { remedy: 'name a file' });
  await platform.checkWritable(folder);
}

/** Throws `UsageError` if predictions are asked for that a task does not keep. */
export function checkKept(path: string | undefined, task: Task): void {
  if (path !== undefined && task.keepsPredictions === false)
    throw new UsageError(`--predictions: ${task.name} draws its masks`, {
      remedy: 'pass texts with masks of their own to predict',
    });
}

/** Writes a line of JSON for each row; the file appears whole or not at all. */
export async function writeJsonLines(path: string, rows: readonly Row[]): Promise<void> {
  const { folder, name } = parts(path);
  const text = rows.map(({ json }) => `${JSON.stringify(json)}\n`).join('');
  await platform.writeFolder(folder, 'merge', (writer) => writer.writeText(name, text));
}
