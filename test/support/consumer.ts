/** A program of somebody who uses the package, and what a strict compiler says about it. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const compiler = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url));

/** Runs TypeScript's compiler in a folder and returns its errors, nothing if there are none. */
export const tsc = (args: string[], cwd: string): Promise<string> =>
  promisify(execFile)(process.execPath, [compiler, ...args], { cwd }).then(
    () => '',
    (error: { stdout: string }) => error.stdout,
  );

/** The ways in which compilers find a package. */
export const resolutions = {
  defaults: { module: 'nodenext' },
  nodom: { module: 'nodenext', target: 'es2022', lib: ['es2022'] },
  bundler: { module: 'esnext', moduleResolution: 'bundler', target: 'es2022', lib: ['es2022', 'dom'] },
};

/** Cells of the porting guide that are complete expressions. */
export const snippets = [
  'const device = await requestDevice()',
  'await x.float32Data()',
  'await loss.item()',
  'loss.backward()',
  "to(x, 'float16')",
  'device.manualSeed(42)',
  "gelu(x, { approximate: 'tanh' })",
  'clamp(x, { min: 0, max: 1 })',
  'const { values, indices } = max(x, -1, true)',
  'model.namedParameters()',
  'clipGradNorm(params, 1)',
  'optimizer.step({ gradScale: clipFactor(params, 1), skipNonFinite: true })',
  'await AutoModel.fromConfig(config, { device })',
  'await AutoModel.fromPretrained(f, { device, addPoolingLayer: false })',
  'tokenizer.encodeBatch(texts, { padding: true, truncation: true })',
  'tokenizer.encode(text, pair)',
  'model.forward(toTensors(device, batch)).logits',
  'model.forward({ ...toTensors(device, batch), outputHiddenStates: true, outputAttentions: true })',
  'await model.savePretrained(f)',
  'await tokenizer.savePretrained(f)',
  'await trainer.train({ resumeFromCheckpoint: f })',
  'new EarlyStoppingCallback({ earlyStoppingPatience: 2 })',
];
export const prelude = `
declare const x: dawngrad.Tensor, loss: dawngrad.Tensor, params: dawngrad.Tensor[], f: string;
declare const optimizer: dawngrad.AdamW, config: dawngrad.PretrainedConfig, trainer: dawngrad.Trainer;
declare const texts: string[], text: string, pair: string, question: string, context: string, inputs: dawngrad.LabelledInputs;
declare const tokenizer: dawngrad.PreTrainedTokenizer;
declare const model: Awaited<ReturnType<typeof AutoModelForSequenceClassification.fromPretrained>>;
`;

/** A program of the snippets. */
export function guideProgram(): string {
  const batch = snippets.find((snippet) => snippet.startsWith('tokenizer.encodeBatch'))!;
  const lines = snippets.map((snippet) =>
    snippet.startsWith('const ') ? `${snippet};` : `void (${snippet});`,
  );
  const [device, ...rest] = lines;
  return `${prelude}${device}\nconst batch = ${batch};\n${rest.join('\n')}
const floats: Float32Array = await x.float32Data();
void floats;`;
}

/** The code with the package's exports as names, unless it imports for itself. */
export function withNames(names: readonly string[], code: string): string {
  if (code.includes('import ')) return code;
  return `import * as dawngrad from 'dawngrad';\nconst { ${names.join(', ')} } = dawngrad;\n${code}`;
}

/** The errors of a strict compiler, without any types of its own, for code in a folder that has the package. */
export async function typeErrors(
  folder: string,
  title: string,
  code: string,
  options: object,
): Promise<string> {
  await writeFile(join(folder, `${title}.ts`), `${code}\nexport {};\n`);
  const compilerOptions = { strict: true, skipLibCheck: false, noEmit: true, types: [], ...options };
  await writeFile(join(folder, `${title}.json`), JSON.stringify({ compilerOptions, files: [`${title}.ts`] }));
  return tsc(['-p', `${title}.json`], folder);
}
