// Shared by the matmul shaders: operands, guarded loads, and the epilogue.
// A: [m, k], or [k, m] if TRANSPOSE_A. B: [k, n], or [n, k] if TRANSPOSE_B. VEC_A, VEC_B, VEC_C: every row
// begins on a multiple of four elements and has a multiple of four; 2 if a load takes two of them.
// A and B are of type T, C and the activation's input of type T_C; bias and sums are f32. TAIL_K: k is not a
// multiple of what a round takes. SUM_A: the sums of op(A)'s rows are stored too. ACCUMULATE: adds to C and
// the sums.
#let FOUR = VEC_C
#include <common/activate>
#include <common/stored>
struct Params {
  m: u32, n: u32, k: u32, has_bias: u32,
  stride_a: u32, stride_b: u32, stride_c: u32,
  offset_a: u32, offset_b: u32, offset_c: u32, offset_bias: u32, offset_sum: u32,
  batch_a: u32, batch_b: u32, batch_c: u32, batch_sum: u32,
  // The part of k that each z of the grid takes, if z counts the parts of one product; else 0.
  part: u32,
}
#let VEC_a = VEC_A
#let VEC_b = VEC_B
#for x in a b
// The elements of an item of the operand's array.
#if VEC_${x} == 2
const ITEM_${x} = 2u;
alias Item_${x} = vec2<Stored>;
#else
#if VEC_${x}
const ITEM_${x} = 4u;
alias Item_${x} = vec4<Stored>;
#else
const ITEM_${x} = 1u;
alias Item_${x} = Stored;
#endif
#endif
#end
#if T_C == f16
enable f16;
#endif
alias StoredC = ${T_C};
#if VEC_C
alias ElementC = vec4<StoredC>;
alias WideC = vec4f;
#else
alias ElementC = StoredC;
alias WideC = f32;
#endif
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Item_a>;
@group(0) @binding(2) var<storage, read> b: array<Item_b>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> c: array<ElementC>;
// The input of the activation, stored as C is: written here (store), or read (slope).
#if PREACTIVATION == store
@group(0) @binding(5) var<storage, read_write> preactivation: array<ElementC>;
#endif
#if PREACTIVATION == slope
@group(0) @binding(5) var<storage, read> preactivation: array<ElementC>;
#endif
#if SUM_A
// The sums of op(A)'s rows: the gradient of a linear layer's bias, if A is that of its output.
@group(0) @binding(5) var<storage, read_write> sums: array<f32>;

fn store_sum(z: u32, row: u32, value: vec4f) {
  let at = params.offset_sum + z * params.batch_sum + row;
#for e in 0..4
  if (row + ${e}u < params.m) {
#if ACCUMULATE
    sums[at + ${e}u] += value[${e}];
#else
    sums[at + ${e}u] = value[${e}];
#endif
  }
#end
}
#endif

#for x in a b
// Four elements from `at`, of which `left` exist in the row; unless VEC_A promises four, the rest are zero.
// Of items of two, the first two.
fn load_${x}(at: u32, left: u32) -> vec4f {
#if VEC_${x} == 2
  return vec4f(vec2f(${x}[at / 2u]), vec2f());
#else
#if VEC_${x}
  return vec4f(${x}[at / 4u]);
#else
  let last = at + max(left, 1u) - 1u;
  let v = vec4<Stored>(
    ${x}[at], ${x}[min(at + 1u, last)], ${x}[min(at + 2u, last)], ${x}[min(at + 3u, last)],
  );
  return select(vec4f(), vec4f(v), vec4u(0u, 1u, 2u, 3u) < vec4u(left));
#endif
#endif
}

// The start of a four-vector inside a row of `size`; past the edge, that of the last one.
fn clamp_start_${x}(start: u32, size: u32) -> u32 {
  return min(start, size - ITEM_${x});
}
#end

// The inner dimension of the matrices, or of the part, of number z.
fn inner_size(z: u32) -> u32 {
  return select(min(params.part, params.k - z * params.part), params.k, params.part == 0u);
}

// Zero past the end of the inner dimension.
fn inside_k(k: u32, size_k: u32, value: vec4f) -> vec4f {
#if TAIL_K
  return select(vec4f(), value, k < size_k);
#else
  return value;
#endif
}

// The bias of four columns; past the edge, of other ones.
fn load_bias(column: u32) -> vec4f {
  if (params.has_bias == 0u) { return vec4f(); }
  let last = params.offset_bias + params.n - 1u;
  let at = params.offset_bias + column;
  return vec4f(bias[min(at, last)], bias[min(at + 1u, last)], bias[min(at + 2u, last)], bias[min(at + 3u, last)]);
}

// The element of c at `at`, from its products' sum and bias.
fn finish(at: u32, total: WideC) {
  var x = total;
#if ACCUMULATE
  x += WideC(c[at]);
#endif
#if PREACTIVATION == store
  preactivation[at] = ElementC(x);
#endif
#if PREACTIVATION == slope
  c[at] = ElementC(x * activation_slope(WideC(preactivation[at])));
#else
  c[at] = ElementC(activation_value(x));
#endif
}

#if VEC_C
fn store_c(batch: u32, row: u32, column: u32, value: vec4f, added: vec4f) {
  if (row >= params.m || column >= params.n) { return; }
  finish((params.offset_c + batch * params.batch_c + row * params.stride_c + column) / 4u, value + added);
}
#else
fn store_one(batch: u32, row: u32, column: u32, value: f32) {
  if (row >= params.m || column >= params.n) { return; }
  finish(params.offset_c + batch * params.batch_c + row * params.stride_c + column, value);
}

fn store_c(batch: u32, row: u32, column: u32, value: vec4f, added: vec4f) {
#for e in 0..4
  store_one(batch, row, column + ${e}u, value[${e}] + added[${e}]);
#end
}
#endif
