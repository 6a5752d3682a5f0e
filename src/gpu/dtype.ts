/** Element types of tensors, and of the buffers that kernels bind. */

/** float16 is for what a computation makes: values come in as float32 (see `to`), and are read as such. */
export type Dtype = 'float32' | 'float16' | 'int32' | 'uint32';

/**
 * The types that kernels compute with, always in float32: they widen what they read and round what they
 * write.
 */
export const floatDtypes = ['float32', 'float16'] as const;
export type FloatDtype = (typeof floatDtypes)[number];

/** WGSL's names of them. */
export const wgslTypes = { float32: 'f32', float16: 'f16' } as const satisfies Record<FloatDtype, string>;
export type WgslType = (typeof wgslTypes)[FloatDtype];

/** What `make` gives for each type, called with WGSL's name of it. */
export function byDtype<T>(
  make: (type: WgslType) => T,
  dtypes: readonly FloatDtype[] = floatDtypes,
): Readonly<Record<FloatDtype, T>> {
  return Object.fromEntries(dtypes.map((dtype) => [dtype, make(wgslTypes[dtype])])) as Record<FloatDtype, T>;
}

export function itemSize(dtype: Dtype): number {
  return dtype === 'float16' ? 2 : 4;
}

/** Bytes of `size` elements, rounded up to the multiple of four that copies and bindings need. */
export function bytesOf(dtype: Dtype, size: number): number {
  return Math.ceil((size * itemSize(dtype)) / 4) * 4;
}

/** The type that a kernel reads from a slot: float32 unless the slot says float16. */
export function floatDtypeOf({ dtype }: { readonly dtype?: Dtype | undefined }): FloatDtype {
  return dtype === 'float16' ? 'float16' : 'float32';
}
