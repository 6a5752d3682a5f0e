/** `dawngrad export`: files, and messages for what cannot be exported. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { dawngrad, root } from '../support/command.ts';
import { decodeOnnx } from '../support/onnx.ts';

const example = join(root, 'examples/sentiment/model');
let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-export-'));
});
afterAll(() => rm(scratch, { recursive: true }));

it('writes what transformers.js reads into a folder of its own', async () => {
  const output = join(scratch, 'out');
  const { code, stdout, stderr } = await dawngrad(['export', '--onnx', example, '--output', output]);
  expect(code, stderr).toBe(0);
  expect(stdout).toBe(`BertForMaskedLM saved to ${join(output, 'onnx')}\n`);
  const names = ['config.json', 'onnx', 'tokenizer.json', 'tokenizer_config.json'];
  expect(await readdir(output)).toEqual(expect.arrayContaining(names));
  expect(await readdir(join(output, 'onnx'))).toEqual([
    'model.onnx',
    'model_fp16.onnx',
    'model_quantized.onnx',
  ]);
  const again = await dawngrad(['export', example, '--output', output]);
  expect(again.code).toBe(1);
  expect(again.stderr).toContain(`output folder '${output}' exists · choose another, or pass --overwrite`);
});

it("writes into the model's own folder by default, the base model without its pooler", async () => {
  const folder = join(scratch, 'own');
  await cp(example, folder, { recursive: true });
  const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as object;
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, architectures: ['BertModel'] }));
  const { code, stderr } = await dawngrad(['export', folder, '--dtype', 'fp32']);
  expect(code, stderr).toBe(0);
  expect(await readdir(join(folder, 'onnx'))).toEqual(['model.onnx']);
  expect(await readdir(folder)).toContain('model.safetensors');
  const { outputs } = decodeOnnx(await readFile(join(folder, 'onnx/model.onnx')));
  expect(outputs.map(({ name }) => name)).toEqual(['last_hidden_state']);
});

it('says what is wrong', async () => {
  const failure = async (...args: string[]): Promise<string> => {
    const { code, stderr } = await dawngrad(['export', ...args]);
    expect(code).toBe(1);
    return stderr
      .split('\n')
      .find((line) => line.startsWith('error: '))!
      .replaceAll(scratch, 'SCRATCH');
  };
  const folder = join(scratch, 'other');
  await cp(example, folder, { recursive: true });
  const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as object;
  const rename = (architecture: string) =>
    writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, architectures: [architecture] }));
  expect(await failure('bert-base-uncased')).toMatchSnapshot();
  expect(await failure(folder, '--dtype', 'q4')).toMatchSnapshot();
  await rename('BertForNextSentencePrediction');
  expect(await failure(folder)).toMatchSnapshot();
  await rename('BertForTokenClassification');
  expect(await failure(folder)).toMatchSnapshot();
});
