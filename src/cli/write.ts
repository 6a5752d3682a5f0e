/** Writes predictions as JSON lines, or vectors as NumPy does. */
import { platform } from '#platform';
import { FileError, UsageError } from '../errors.ts';
import type { Row, Task } from '../tasks/task.ts';
import { first, isFirst } from './group.ts';

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
  await first(() => platform.checkWritable(folder));
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
  if (!isFirst()) return;
  const { folder, name } = parts(path);
  const text = rows.map(({ json }) => `${JSON.stringify(json)}\n`).join('');
  await platform.writeFolder(folder, 'merge', (writer) => writer.writeText(name, text));
}

/** As `writeJsonLines`, or float32 vectors if the name ends with `.npy`. Throws `UsageError` for rows without. */
export async function writeRows(path: string, rows: readonly Row[]): Promise<void> {
  if (!isFirst()) return;
  const { folder, name } = parts(path);
  if (!/\.npy$/i.test(name)) return writeJsonLines(path, rows);
  const vectors = rows.flatMap(({ vector }) => vector ?? []);
  if (vectors.length < rows.length)
    throw new UsageError(`'${path}': .npy holds vectors, and these predictions are none`, {
      remedy: 'end the name with .jsonl',
    });
  const bytes = npy(vectors);
  await platform.writeFolder(folder, 'merge', (writer) =>
    writer.writeFile(name, (sink) => sink.write(bytes)),
  );
}

/** NumPy's format 1.0, of float32 [rows, width]: its header fills up 64 bytes, or a multiple of them. */
function npy(rows: readonly Float32Array[]): Uint8Array {
  const width = rows[0]?.length ?? 0;
  const head = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows.length}, ${width}), }`;
  const length = Math.ceil((head.length + 11) / 64) * 64;
  const bytes = new Uint8Array(length + rows.length * width * 4);
  bytes.set([0x93, ...new TextEncoder().encode('NUMPY'), 1, 0, (length - 10) & 0xff, (length - 10) >> 8]);
  bytes.set(new TextEncoder().encode(`${head.padEnd(length - 11)}\n`), 10);
  const view = new DataView(bytes.buffer, length);
  for (const [row, values] of rows.entries())
    for (const [at, value] of values.entries()) view.setFloat32((row * width + at) * 4, value, true);
  return bytes;
}
