/** Bundles a module for browsers, as an application's build does. */
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, type Metafile } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));

type Output = Metafile['outputs'][string];

export interface Bundle {
  /** The text of the module; what it imports dynamically is in it too. */
  code: string;
  /** The styles that it imports. */
  style: string;
  /** Paths of all files in it. */
  inputs: string[];
}

/** `code` is a module's text; it imports by paths from the repository's root. */
export async function bundle(code: string): Promise<Bundle> {
  const { outputFiles, metafile } = await run(code, false);
  const texts = (end: string) => outputFiles.filter(({ path }) => path.endsWith(end)).map(({ text }) => text);
  return { code: texts('.js').join(''), style: texts('.css').join(''), inputs: Object.keys(metafile.inputs) };
}

function run(contents: string, splitting: boolean) {
  return build({
    stdin: { contents, resolveDir: root, loader: 'ts' },
    absWorkingDir: root,
    outdir: 'out',
    bundle: true,
    splitting,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false,
    metafile: true,
  });
}

export interface Weight {
  /** Minified, and minified and packed by gzip. */
  bytes: number;
  gzipBytes: number;
  /** Bytes by file. */
  inputs: Map<string, number>;
}

/** What a page loads before the module runs: all but what it imports dynamically. */
export async function weigh(code: string): Promise<Weight> {
  const { outputFiles, metafile } = await run(code, true);
  const texts = new Map(outputFiles.map(({ path, contents }) => [path.split('/').at(-1)!, contents]));
  const outputs = new Map(
    Object.entries(metafile.outputs).map(([path, one]) => [path.split('/').at(-1)!, one]),
  );
  const loaded = new Map<string, Output>();
  const load = (name: string): void => {
    const output = outputs.get(name);
    if (output === undefined || loaded.has(name)) return;
    loaded.set(name, output);
    for (const { path, kind } of output.imports)
      if (kind === 'import-statement') load(path.split('/').at(-1)!);
  };
  load([...outputs].find(([, { entryPoint }]) => entryPoint !== undefined)![0]);
  const weight: Weight = { bytes: 0, gzipBytes: 0, inputs: new Map() };
  for (const [name, output] of loaded) {
    const text = texts.get(name)!;
    weight.bytes += text.length;
    weight.gzipBytes += gzipSync(text).length;
    for (const [path, { bytesInOutput }] of Object.entries(output.inputs))
      weight.inputs.set(path, (weight.inputs.get(path) ?? 0) + bytesInOutput);
  }
  return weight;
}
