/**
 * The autograd tape. Each differentiable result holds a node; a node holds the tensors that its op saved and
 * the nodes of its inputs. Nodes are counted like memory: a node is freed, with everything it saved, when
 * neither a tensor nor another node refers to it.
 */
import { AutogradError, DtypeError, ShapeError } from '../errors.ts';
import { addInPlace, fillBits } from '../kernels/pointwise.ts';
import { converted } from './convert.ts';
import { Mode } from './mode.ts';
import { formatShape, sameShape } from './shape.ts';
import type { Dtype, Tensor } from './tensor.ts';

/**
 * Gradients by input name; an input that needs none may be left out. A float32 input may get a float16
 * gradient.
 */
export type Gradients = Readonly<Record<string, Tensor | undefined>>;

/** One input of a recorded op: the node or leaf that gets its gradient. */
interface TapeInput {
  readonly name: string;
  readonly node: TapeNode | null;
  readonly leaf: Tensor | null;
}

/**
 * Gradients of the inputs. `earlier` hands over what an input's gradient has added up to so far, which the
 * result then includes.
 */
type Backward = (dy: Tensor, earlier: (input: string) => Tensor | undefined) => Gradients;

export interface TapeNode {
  readonly op: string;
  /** Of the result. */
  readonly dtype: Dtype;
  readonly inputs: readonly TapeInput[];
  saved: readonly Tensor[];
  /** Null once spent. */
  run: Backward | null;
  references: number;
}

const disabled = new Mode();

let watcher: ((leaf: Tensor) => void) | null = null;

/** Runs `body`, and calls `onGradient` with a leaf each time a backward in it has added to the leaf's gradient. */
export function watchGradients(onGradient: (leaf: Tensor) => void, body: () => void): void {
  const before = watcher;
  watcher = onGradient;
  try {
    body();
  } finally {
    watcher = before;
  }
}

export function isGradEnabled(): boolean {
  return !disabled.active;
}

/**
 * Runs `body` without recording. An async body counts until it settles; do not start other work beside it.
 */
export function noGrad<T>(body: () => T): T {
  return disabled.run(body);
}

/** Runs a synchronous `body` with recording, within `noGrad` too. */
export function enableGrad<T>(body: () => T): T {
  return disabled.suspend(body);
}

/**
 * Records how `output` came from those `inputs` that want a gradient. The node takes over the `saved`
 * aliases.
 */
export function record(
  output: Tensor,
  op: string,
  inputs: readonly (readonly [string, Tensor])[],
  saved: readonly Tensor[],
  run: Backward,
): void {
  const edges: TapeInput[] = [];
  for (const [name, tensor] of inputs) {
    if (!tensor.requiresGrad) continue;
    const { node } = tensor;
    if (node !== null) node.references += 1;
    edges.push({ name, node, leaf: node === null ? tensor : null });
  }
  output.node = { op, dtype: output.dtype, inputs: edges, saved, run, references: 1 };
}

/** Drops one reference; without any left the node lets go of what it saved and of its inputs. */
export function releaseNode(first: TapeNode): void {
  const waiting = [first];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    node.references -= 1;
    if (node.references > 0) continue;
    spend(node);
    for (const input of node.inputs) if (input.node !== null) waiting.push(input.node);
  }
}

function spend(node: TapeNode): void {
  for (const tensor of node.saved) tensor.dispose();
  node.saved = [];
  node.run = null;
}

/** Nodes from which the root was computed, each before those it came from. */
function reverseOrder(root: TapeNode): TapeNode[] {
  const order: TapeNode[] = [];
  const seen = new Set<TapeNode>([root]);
  const stack: { node: TapeNode; next: number }[] = [{ node: root, next: 0 }];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const input = top.node.inputs[top.next];
    top.next += 1;
    if (input === undefined) {
      order.push(top.node);
      stack.pop();
    } else if (input.node !== null && !seen.has(input.node)) {
      seen.add(input.node);
      stack.push({ node: input.node, next: 0 });
    }
  }
  return order.reverse();
}

/**
 * Adds `more` to a gradient of a tensor of `dtype`, in place if nobody else shares the memory; takes over
 * both.
 */
function accumulate(total: Tensor | undefined, more: Tensor, dtype: Dtype): Tensor {
  if (total === undefined) return more;
  // Two float16 gradients of a float32 tensor are added up in float32.
  const first = more.dtype === dtype ? total : converted(total, dtype);
  const swap = first.dtype !== dtype || (first.shared && !more.shared && more.dtype === dtype);
  const [target, other] = swap ? [more, first] : [first, more];
  const sum = owned(target);
  addInPlace(sum.device.gpu, { x: other.slot, y: sum.slot, count: sum.size });
  other.dispose();
  return sum;
}

/** See `Tensor.backward`. */
export function backward(root: Tensor, gradient: Tensor | undefined): void {
  const start = root.node;
  if (start === null) {
    throw new AutogradError('backward: no gradients were recorded for this tensor', {
      remedy: 'compute it outside noGrad() from a tensor with requiresGrad',
    });
  }
  if (gradient !== undefined && !sameShape(gradient.shape, root.shape)) {
    throw new ShapeError(`backward: gradient ${formatShape(gradient.shape)} for ${formatShape(root.shape)}`);
  }
  if (gradient !== undefined && gradient.dtype !== 'float32' && gradient.dtype !== root.dtype)
    throw new DtypeError(`backward: the gradient is ${gradient.dtype}`, {
      remedy: `it must be ${root.dtype === 'float16' ? 'float16 or ' : ''}float32`,
    });
  const order = reverseOrder(start);
  if (order.some((node) => node.run === null)) {
    throw new AutogradError('backward: the tape was already spent', {
      remedy: 'compute the loss again before a second backward',
    });
  }
  const { device } = root;
  const ones = gradient?.alias() ?? device.raw(root.shape, 'float32');
  if (gradient === undefined) fillBits(device.gpu, { y: ones.slot, count: ones.size, bits: ONE_BITS });
  const pending = new Map<TapeNode, Tensor>([[start, ones]]);
  try {
    noGrad(() => {
      for (const node of order) {
        const found = pending.get(node);
        if (found === undefined) continue;
        const dy = converted(found, node.dtype);
        const gradients = node.run!(dy, (name) => takePending(node, name, pending));
        pending.delete(node);
        dy.dispose();
        spend(node);
        route(node, gradients, pending);
      }
    });
  } finally {
    // Empty unless a backward threw.
    for (const tensor of pending.values()) tensor.dispose();
  }
}

function takePending({ inputs }: TapeNode, name: string, pending: Map<TapeNode, Tensor>): Tensor | undefined {
  const source = inputs.find((input) => input.name === name)?.node;
  if (!source) return undefined;
  const found = pending.get(source);
  pending.delete(source);
  return found;
}

/** The bits of 1.0 in float32. */
const ONE_BITS = 0x3f800000;

/** Hands each gradient to its input's node or leaf; frees a gradient that nobody wants. */
function route(node: TapeNode, gradients: Gradients, pending: Map<TapeNode, Tensor>): void {
  for (const { name, node: source, leaf } of node.inputs) {
    const gradient = gradients[name];
    if (gradient === undefined) {
      throw new AutogradError(`${node.op}: its backward gave no gradient for '${name}'`);
    }
    if (source !== null) pending.set(source, accumulate(pending.get(source), gradient, source.dtype));
    else if (leaf === null || leaf.disposed) gradient.dispose();
    else {
      const whole = owned(converted(gradient, leaf.dtype));
      leaf.grad = accumulate(leaf.grad ?? undefined, whole, leaf.dtype);
      watcher?.(leaf);
    }
  }
  for (const name of Object.keys(gradients)) {
    if (!node.inputs.some((input) => input.name === name)) gradients[name]?.dispose();
  }
}

/** The gradient in memory that nobody else shares, to be written in place. Takes the gradient over. */
function owned(gradient: Tensor): Tensor {
  if (!gradient.shared) return gradient;
  const copy = gradient.device.copy(gradient);
  gradient.dispose();
  return copy;
}
