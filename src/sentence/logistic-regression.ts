/** Logistic regression of vectors, as scikit-learn's `LogisticRegression` fits it. */

export interface LinearClassifier {
  /** [classes, width] */
  weight: Float32Array;
  /** [classes] */
  bias: Float32Array;
}

/**
 * The least Σ −log p(class) + ½ ‖weights‖² (scikit-learn's with C = 1; intercepts are free). Two classes have
 * one row of weights, as there, of which either class gets a half: the softmax of both is its sigmoid.
 */
export function fitLogisticRegression(
  vectors: readonly Float32Array[],
  classes: readonly number[],
  count: number,
): LinearClassifier {
  const width = vectors[0]!.length;
  const rows = count === 2 ? 1 : count;
  const step = width + 1;
  const solution = minimize(rows * step, (x, gradient) => {
    gradient.fill(0);
    let value = 0;
    for (const [at, vector] of vectors.entries()) {
      const scores = Array.from({ length: rows }, (_, row) => {
        let score = x[row * step + width]!;
        for (let i = 0; i < width; i += 1) score += x[row * step + i]! * vector[i]!;
        return score;
      });
      // A second class without weights of its own.
      const logits = rows === 1 ? [0, scores[0]!] : scores;
      const most = Math.max(...logits);
      const total = logits.reduce((sum, z) => sum + Math.exp(z - most), 0);
      value += most + Math.log(total) - logits[classes[at]!]!;
      for (let row = 0; row < rows; row += 1) {
        const one = rows === 1 ? 1 : row;
        const d = Math.exp(logits[one]! - most) / total - (classes[at] === one ? 1 : 0);
        for (let i = 0; i < width; i += 1) gradient[row * step + i]! += d * vector[i]!;
        gradient[row * step + width]! += d;
      }
    }
    for (let at = 0; at < x.length; at += 1) {
      if (at % step === width) continue;
      value += (x[at]! * x[at]!) / 2;
      gradient[at]! += x[at]!;
    }
    return value;
  });
  const part = (row: number, i: number): number =>
    rows === 1 ? (row - 0.5) * solution[i]! : solution[row * step + i]!;
  return {
    weight: Float32Array.from({ length: count * width }, (_, at) => part(Math.floor(at / width), at % width)),
    bias: Float32Array.from({ length: count }, (_, row) => part(row, width)),
  };
}

/** Pairs of steps that L-BFGS remembers. */
const MEMORY = 10;
const ROUNDS = 1000;

/**
 * The least of a smooth convex function, from 0, by L-BFGS (Nocedal and Wright, algorithm 7.4), until double
 * precision knows nothing less.
 */
function minimize(size: number, evaluate: (x: Float64Array, gradient: Float64Array) => number): Float64Array {
  let x = new Float64Array(size);
  let gradient = new Float64Array(size);
  let value = evaluate(x, gradient);
  const known: { s: Float64Array; y: Float64Array; rho: number }[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const direction = gradient.map((g) => -g);
    const alphas = known.map(() => 0);
    for (let k = known.length - 1; k >= 0; k -= 1) {
      const { s, y, rho } = known[k]!;
      alphas[k] = rho * dot(s, direction);
      addScaled(direction, y, -alphas[k]!);
    }
    const last = known.at(-1);
    const scale = last === undefined ? 1 / Math.max(1, norm(gradient)) : 1 / (last.rho * dot(last.y, last.y));
    for (let at = 0; at < size; at += 1) direction[at]! *= scale;
    for (const [k, { s, y, rho }] of known.entries())
      addScaled(direction, s, alphas[k]! - rho * dot(y, direction));
    const slope = dot(gradient, direction);
    const nextGradient = new Float64Array(size);
    let next = x;
    let nextValue = value;
    let length = 1;
    do {
      next = Float64Array.from(x);
      addScaled(next, direction, length);
      nextValue = evaluate(next, nextGradient);
      length /= 2;
    } while (nextValue > value + 2e-4 * length * slope && length > 1e-6);
    // No step makes it less in double precision.
    if (!(nextValue < value)) break;
    const s = next.map((z, at) => z - x[at]!);
    const y = nextGradient.map((z, at) => z - gradient[at]!);
    const curvature = dot(s, y);
    if (curvature > 0) known.push({ s, y, rho: 1 / curvature });
    if (known.length > MEMORY) known.shift();
    [x, gradient, value] = [next, nextGradient, nextValue];
  }
  return x;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at += 1) sum += a[at]! * b[at]!;
  return sum;
}

const norm = (a: Float64Array): number => Math.sqrt(dot(a, a));

function addScaled(to: Float64Array, a: Float64Array, by: number): void {
  for (let at = 0; at < to.length; at += 1) to[at]! += by * a[at]!;
}
