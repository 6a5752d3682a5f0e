/**
 * Sizes of a graph whose inputs have any size. A model is traced with inputs of two sizes; a size that is the
 * same in both is a number, another one is told by the sizes of the inputs.
 */
import { ConfigError } from '../errors.ts';

export type Axis = 'batch_size' | 'num_choices' | 'sequence_length';

/** Sizes that follow from those of the inputs: a text of L tokens has 2 · L − 1 distances between two. */
export type Measure = Axis | 'distances';

/** Sizes in both traces. The quotients, and their products, all differ. */
export const traced: Readonly<Record<Measure, readonly [number, number]>> = {
  batch_size: [2, 3],
  num_choices: [3, 5],
  sequence_length: [4, 7],
  distances: [7, 13],
};

/** The product of a number and of sizes that follow from the inputs'. */
export interface Dim {
  readonly factor: number;
  readonly axes: readonly Measure[];
}

const subsets = (axes: readonly Measure[]): Measure[][] =>
  axes.reduce<Measure[][]>((sets, axis) => sets.flatMap((set) => [set, [...set, axis]]), [[]]);

/** How sizes follow from those of a model's inputs, which have `axes`. */
export class Dims {
  private readonly products: { axes: Measure[]; first: number; second: number }[];

  constructor(
    readonly axes: readonly Axis[],
    private readonly where: string,
  ) {
    this.products = subsets([...axes, 'distances']).map((set) => {
      const [first, second] = [0, 1].map((trace) =>
        set.reduce((product, axis) => product * traced[axis][trace]!, 1),
      );
      return { axes: set, first: first!, second: second! };
    });
  }

  /** The size that was `a` in the first trace and `b` in the second. Throws `ConfigError` if it is no product. */
  of(a: number, b: number): Dim {
    if (a === b) return { factor: a, axes: [] };
    for (const { axes, first, second } of this.products)
      if (a % first === 0 && b / second === a / first) return { factor: a / first, axes };
    throw new ConfigError(
      `${this.where}: a size depends on the length of the text in a way that ONNX files lack`,
      { remedy: 'this model cannot be exported' },
    );
  }
}

export function sameDim(a: Dim | undefined, b: Dim | undefined): boolean {
  return a?.factor === b?.factor && a?.axes.join() === b?.axes.join();
}
