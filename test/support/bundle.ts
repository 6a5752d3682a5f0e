/** Bundles a module for browsers, as an application's build does. */
import { fileURLToPath } from 'node:url';
import { build, type Metafile } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Bundle {
  code: string;
  /** Paths of the files in it, and the bytes each takes. */
  inputs: Metafile['outputs'][string]['inputs'];
}

/** `code` is a module's text; it imports by paths from the repository's root. */
export async function bundle(code: string): Promise<Bundle> {
  const result = await build({
    stdin: { contents: code, resolveDir: root, loader: 'ts' },
    absWorkingDir: root,
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false,
    metafile: true,
  });
  const [output] = Object.values(result.metafile.outputs);
  return { code: result.outputFiles[0]!.text, inputs: output!.inputs };
}
