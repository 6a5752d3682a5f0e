/** TensorFlow.js on its WebGPU backend: eager ops in `tidy`, with its own optimizer. */
import { createRequire } from 'node:module';
import type * as TensorFlow from '@tensorflow/tfjs';
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import { adam, type Batch, CLASSES, inputsFirst, LAYER_NORM_EPS, maskBias, type PeerJob } from '../job.ts';
import type { Library, PeerKernel, Work } from '../library.ts';

// Node accepts only the CommonJS builds; the backend registers itself if `navigator.gpu` exists.
const require = createRequire(import.meta.url);
const tf = require('@tensorflow/tfjs') as typeof TensorFlow;
require('@tensorflow/tfjs-backend-webgpu');

type Tensor = TensorFlow.Tensor;
type Lookup = (name: string) => Tensor;

/** Submits the recorded work to the device, as reading a tensor would. */
function submit(): void {
  const backend = tf.backend() as WebGPUBackend;
  if ((backend as unknown as { commandEncoder: GPUCommandEncoder | null }).commandEncoder === null) return;
  backend.endComputePassEncoder();
  backend.submitQueue();
}

async function sync(): Promise<void> {
  submit();
  await (tf.backend() as WebGPUBackend).device.queue.onSubmittedWorkDone();
}

function work(body: () => Tensor, dispose: () => void): Work {
  return {
    run: () => {
      tf.dispose(body());
      submit();
    },
    sync,
    result: async () => {
      const tensor = body();
      const values = Float32Array.from(await tensor.data());
      tensor.dispose();
      return values;
    },
    dispose,
  };
}

function layerNorm(x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  const { mean, variance } = tf.moments(x, -1, true);
  return x.sub(mean).mul(variance.add(LAYER_NORM_EPS).rsqrt()).mul(weight).add(bias);
}

/** The exact GELU. */
function gelu(x: Tensor): Tensor {
  return x.mul(0.5).mul(x.mul(Math.SQRT1_2).erf().add(1));
}

/** [tokens, in] → [tokens, out], with the bias fused into the product. */
function dense(x: Tensor, weights: Lookup, name: string): Tensor {
  return tf.fused.matMul({
    a: x as TensorFlow.Tensor2D,
    b: weights(`${name}.weight`) as TensorFlow.Tensor2D,
    bias: weights(`${name}.bias`),
  });
}

interface Inputs {
  ids: TensorFlow.Tensor1D;
  /** [batch, 1, 1, length], added to scores. */
  bias: Tensor;
  labels: TensorFlow.Tensor2D;
}

/** [batch · length, hidden] → the same shape. */
function encoderLayer(x: Tensor, weights: Lookup, name: string, bias: Tensor, heads: number): Tensor {
  const norm = (input: Tensor, part: string): Tensor =>
    layerNorm(input, weights(`${part}.LayerNorm.weight`), weights(`${part}.LayerNorm.bias`));
  const [tokens, hidden] = x.shape as [number, number];
  const [batch, length] = [bias.shape[0]!, bias.shape[3]!];
  const split = (part: string): Tensor =>
    dense(x, weights, `${name}.attention.self.${part}`)
      .reshape([batch, length, heads, hidden / heads])
      .transpose([0, 2, 1, 3]);
  const scores = tf.matMul(split('query'), split('key'), false, true).mul(1 / Math.sqrt(hidden / heads));
  const context = tf
    .matMul(tf.softmax(scores.add(bias)), split('value'))
    .transpose([0, 2, 1, 3])
    .reshape([tokens, hidden]);
  const attended = norm(
    dense(context, weights, `${name}.attention.output.dense`).add(x),
    `${name}.attention.output`,
  );
  const inner = gelu(dense(attended, weights, `${name}.intermediate.dense`));
  return norm(dense(inner, weights, `${name}.output.dense`).add(attended), `${name}.output`);
}

/** Logits [batch, classes]. */
function forward({ model }: PeerJob, weights: Lookup, { ids, bias }: Inputs): Tensor {
  const [batch, length] = [bias.shape[0]!, bias.shape[3]!];
  const embeddings = 'bert.embeddings';
  const words = tf.gather(weights(`${embeddings}.word_embeddings.weight`), ids);
  const places = weights(`${embeddings}.position_embeddings.weight`).slice([0, 0], [length, model.hidden]);
  const type = weights(`${embeddings}.token_type_embeddings.weight`).slice([0, 0], [1, model.hidden]);
  const summed = words
    .reshape([batch, length, model.hidden])
    .add(places.add(type))
    .reshape([batch * length, model.hidden]);
  let x = layerNorm(
    summed,
    weights(`${embeddings}.LayerNorm.weight`),
    weights(`${embeddings}.LayerNorm.bias`),
  );
  for (let i = 0; i < model.layers; i += 1)
    x = encoderLayer(x, weights, `bert.encoder.layer.${i}`, bias, model.heads);
  const first = x
    .reshape([batch, length, model.hidden])
    .slice([0, 0, 0], [batch, 1, model.hidden])
    .reshape([batch, model.hidden]);
  return dense(dense(first, weights, 'bert.pooler.dense').tanh(), weights, 'classifier');
}

function upload(batch: Batch): Inputs {
  return {
    ids: tf.tensor1d(batch.ids, 'int32'),
    bias: tf.tensor4d(maskBias(batch), [batch.size, 1, 1, batch.length]),
    labels: tf.oneHot(tf.tensor1d(batch.labels, 'int32'), CLASSES) as TensorFlow.Tensor2D,
  };
}

function makeVariables(job: PeerJob): Map<string, TensorFlow.Variable> {
  return new Map(
    [...job.weights].map(([name, weight]) => {
      const { shape, values } = inputsFirst(name, weight);
      return [name, tf.tidy(() => tf.variable(tf.tensor(values, [...shape])))];
    }),
  );
}

async function training(job: PeerJob): Promise<Work> {
  const variables = makeVariables(job);
  const weights: Lookup = (name) => variables.get(name)!;
  const optimizer = tf.train.adam(adam.lr, adam.beta1, adam.beta2, adam.eps);
  const list = [...variables.values()];
  const body = (): Tensor =>
    tf.tidy(() => {
      const inputs = upload(job.batch);
      const loss = () =>
        tf.losses.softmaxCrossEntropy(inputs.labels, forward(job, weights, inputs)) as TensorFlow.Scalar;
      return optimizer.minimize(loss, true, list)!;
    });
  return work(body, () => {
    optimizer.dispose();
    tf.dispose(list);
  });
}

async function inference(job: PeerJob): Promise<Work> {
  const variables = makeVariables(job);
  const weights: Lookup = (name) => variables.get(name)!;
  const body = (): Tensor => tf.tidy(() => forward(job, weights, upload(job.batch)));
  const made = work(body, () => tf.dispose([...variables.values()]));
  return { ...made, run: async () => void (await made.result()) };
}

async function kernel(kernel: PeerKernel, values: readonly Float32Array[]): Promise<Work> {
  const shapes: [number, number?][] =
    kernel.op === 'matmul'
      ? [
          [kernel.m, kernel.k],
          [kernel.k, kernel.n],
        ]
      : [[kernel.rows, kernel.cols], [kernel.cols], [kernel.cols]];
  const inputs = values.map((data, i) => tf.tensor(data, shapes[i] as number[]));
  const [a, b, c] = inputs as [Tensor, Tensor, Tensor];
  const bodies = {
    matmul: () => tf.matMul(a, b),
    softmax: () => tf.softmax(a),
    layerNorm: () => layerNorm(a, b, c),
  };
  return work(
    () => tf.tidy(bodies[kernel.op]),
    () => tf.dispose(inputs),
  );
}

export async function open(): Promise<Library> {
  if (!(await tf.setBackend('webgpu'))) throw new Error('the WebGPU backend did not start');
  await tf.ready();
  return { name: 'TensorFlow.js, WebGPU', version: tf.version.tfjs, kernel, training, inference };
}
