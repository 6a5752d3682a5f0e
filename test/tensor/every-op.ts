/** Imports every file in src/ that defines an op, so that `operations` is complete. */
import { readdir, readFile } from 'node:fs/promises';
import { operations } from '../../src/tensor/op.ts';

const src = new URL('../../src/', import.meta.url);
for (const path of await readdir(src, { recursive: true })) {
  if (!path.endsWith('.ts')) continue;
  const file = new URL(path, src);
  if (/\bdefineOp\b/.test(await readFile(file, 'utf8'))) await import(file.href);
}

export { operations };
