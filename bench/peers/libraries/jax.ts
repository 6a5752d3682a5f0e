/** jax-js on WebGPU: everything under `jit`, a training step as one compiled function. */
import { createRequire } from 'node:module';
import {
  blockUntilReady,
  defaultDevice,
  getWebGPUDevice,
  init,
  jit,
  nn,
  numpy as np,
  tree,
  valueAndGrad,
} from '@jax-js/jax';
import { adam, CLASSES, inputsFirst, LAYER_NORM_EPS, maskBias, type PeerJob } from '../job.ts';
import type { Library, PeerKernel, Work } from '../library.ts';

// Its einsum needs iterator helpers, which Node has from 22 on.
type Helpers = {
  map?: (change: (value: unknown) => unknown) => Iterable<unknown>;
  filter?: (keep: (value: unknown) => boolean) => Iterable<unknown>;
};
const iterators = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())) as Helpers;
iterators.map ??= function* (this: Iterable<unknown>, change) {
  for (const value of this) yield change(value);
};
iterators.filter ??= function* (this: Iterable<unknown>, keep) {
  for (const value of this) if (keep(value)) yield value;
};

type Tensor = np.Array;
type Params = Record<string, Tensor>;

/** Dispatches the pending work of these arrays without waiting; consumes the references. */
function dispatch(arrays: readonly Tensor[]): void {
  for (const array of arrays) array.gpuBufferSync();
}

const sync = (): Promise<undefined> => getWebGPUDevice().queue.onSubmittedWorkDone();

// Functions consume the references that they are given; pass `.ref` for an array that is used again.

function layerNorm(x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  return nn.standardize(x, -1, { epsilon: LAYER_NORM_EPS }).mul(weight).add(bias);
}

/** Applies the dense layer `name`; each of its weights is used once. */
function dense(x: Tensor, params: Params, name: string): Tensor {
  return np.matmul(x, params[`${name}.weight`]!).add(params[`${name}.bias`]!);
}

function norm(x: Tensor, params: Params, name: string): Tensor {
  return layerNorm(x, params[`${name}.LayerNorm.weight`]!, params[`${name}.LayerNorm.bias`]!);
}

type Inputs = {
  ids: Tensor;
  /** [batch, 1, 1, length], added to scores. */
  bias: Tensor;
};

/** Logits [batch, classes]. */
function forward({ model, batch }: PeerJob, params: Params, { ids, bias }: Inputs): Tensor {
  const { layers, hidden, heads } = model;
  const { size, length } = batch;
  const embeddings = 'bert.embeddings';
  const words = np.take(params[`${embeddings}.word_embeddings.weight`]!, ids, 0);
  const places = params[`${embeddings}.position_embeddings.weight`]!.slice([0, length]);
  const type = params[`${embeddings}.token_type_embeddings.weight`]!.slice([0, 1]);
  let x = norm(words.add(places.add(type)), params, embeddings);
  for (let i = 0; i < layers; i += 1) {
    const name = `bert.encoder.layer.${i}`;
    const split = (part: string): Tensor =>
      dense(x.ref, params, `${name}.attention.self.${part}`).reshape([size, length, heads, hidden / heads]);
    const context = nn
      .dotProductAttention(split('query'), split('key'), split('value'), { bias: bias.ref })
      .reshape([size, length, hidden]);
    const output = dense(context, params, `${name}.attention.output.dense`);
    const attended = norm(output.add(x), params, `${name}.attention.output`);
    const inner = nn.gelu(dense(attended.ref, params, `${name}.intermediate.dense`), { approximate: false });
    x = norm(dense(inner, params, `${name}.output.dense`).add(attended), params, `${name}.output`);
  }
  bias.dispose();
  const first = x.slice([], 0);
  return dense(np.tanh(dense(first, params, 'bert.pooler.dense')), params, 'classifier');
}

type State = {
  params: Params;
  first: Params;
  second: Params;
  /** Number of steps done. */
  step: Tensor;
};

/** Adam as in Kingma and Ba (2015), fused by jit: the package has no optimizer. */
function adamUpdate({ params, first, second, step }: State, grads: Params): State {
  const { lr, beta1, beta2, eps } = adam;
  const next = step.add(1);
  const correction = (beta: number): Tensor => np.subtract(1, np.exp(next.ref.mul(Math.log(beta))));
  const [correction1, correction2] = [correction(beta1), correction(beta2)];
  const made: State = { params: {}, first: {}, second: {}, step: next };
  for (const [name, grad] of Object.entries(grads)) {
    const m = first[name]!.mul(beta1).add(grad.ref.mul(1 - beta1));
    const v = second[name]!.mul(beta2).add(np.square(grad).mul(1 - beta2));
    const root = np.sqrt(v.ref.div(correction2.ref)).add(eps);
    made.params[name] = params[name]!.sub(m.ref.div(correction1.ref).div(root).mul(lr));
    made.first[name] = m;
    made.second[name] = v;
  }
  correction1.dispose();
  correction2.dispose();
  return made;
}

function makeParams(job: PeerJob): Params {
  return Object.fromEntries(
    [...job.weights].map(([name, weight]) => {
      const { shape, values } = inputsFirst(name, weight);
      return [name, np.array(values, { shape: [...shape] })];
    }),
  );
}

function upload({ batch }: PeerJob): Inputs {
  const { size, length, ids } = batch;
  return {
    ids: np.array(ids, { shape: [size, length], dtype: np.int32 }),
    bias: np.array(maskBias(batch), { shape: [size, 1, 1, length] }),
  };
}

async function training(job: PeerJob): Promise<Work> {
  const loss = (params: Params, inputs: Inputs, labels: Tensor): Tensor => {
    const logits = forward(job, params, inputs);
    return np.sum(nn.logSoftmax(logits).mul(nn.oneHot(labels, CLASSES))).mul(-1 / job.batch.size);
  };
  const step = jit((state: State, inputs: Inputs, labels: Tensor): [Tensor, State] => {
    const [value, grads] = valueAndGrad(loss)(tree.ref(state.params), inputs, labels);
    return [value, adamUpdate(state, grads as Params)];
  });
  const zeros = (params: Params): Params =>
    Object.fromEntries(Object.entries(params).map(([name, { shape }]) => [name, np.zeros(shape)]));
  const params = makeParams(job);
  let state: State = { params, first: zeros(params), second: zeros(params), step: np.array([0]).reshape([]) };
  const once = (): Tensor => {
    const labels = np.array(job.batch.labels, { dtype: np.int32 });
    const [value, next] = step(state, upload(job), labels) as [Tensor, State];
    state = next;
    dispatch(tree.leaves<Tensor>(tree.ref(next) as never));
    return value;
  };
  return {
    run: () => dispatch([once()]),
    sync,
    result: async () => Float32Array.from((await once().data()) as Float32Array),
    dispose: () => {
      tree.dispose(state as never);
      step.dispose();
    },
  };
}

async function inference(job: PeerJob): Promise<Work> {
  const params = makeParams(job);
  const apply = jit((weights: Params, inputs: Inputs) => forward(job, weights, inputs));
  const result = async (): Promise<Float32Array> =>
    Float32Array.from((await apply(tree.ref(params), upload(job)).data()) as Float32Array);
  return {
    run: async () => void (await result()),
    sync,
    result,
    dispose: () => {
      tree.dispose(params);
      apply.dispose();
    },
  };
}

async function kernel(kernel: PeerKernel, values: readonly Float32Array[]): Promise<Work> {
  const shapes =
    kernel.op === 'matmul'
      ? [
          [kernel.m, kernel.k],
          [kernel.k, kernel.n],
        ]
      : [[kernel.rows, kernel.cols], [kernel.cols], [kernel.cols]];
  const bodies = {
    matmul: (a: Tensor, b: Tensor) => np.matmul(a, b),
    softmax: (x: Tensor) => nn.softmax(x),
    layerNorm,
  };
  const inputs = values.map((data, i) => np.array(data, { shape: shapes[i]! }));
  await blockUntilReady(inputs);
  const body = jit(bodies[kernel.op] as (...inputs: Tensor[]) => Tensor);
  const once = (): Tensor => body(...inputs.map((input) => input.ref));
  return {
    run: () => dispatch([once()]),
    sync,
    result: async () => Float32Array.from((await once().data()) as Float32Array),
    dispose: () => {
      for (const input of inputs) input.dispose();
      body.dispose();
    },
  };
}

export async function open(): Promise<Library> {
  const devices = await init('webgpu');
  if (!devices.includes('webgpu')) throw new Error('the WebGPU backend did not start');
  defaultDevice('webgpu');
  const { version } = createRequire(import.meta.url)('../node_modules/@jax-js/jax/package.json') as {
    version: string;
  };
  return { name: 'jax-js, WebGPU', version, kernel, training, inference };
}
