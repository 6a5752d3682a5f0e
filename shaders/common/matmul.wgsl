// What the matmul variants share: operands, guarded loads, and the epilogue.
#include <common/activate>
struct Params {
  m: u32, n: u32, k: u32, has_bias: u32,
  stride_a: u32, stride_b: u32, stride_c: u32, accumulate: u32,
  offset_a: u32, offset_b: u32, offset_c: u32, offset_bias: u32,
  batch_a: u32, batch_b: u32, batch_c: u32,
}
#if VEC
alias Element = vec4f;
#else
alias Element = f32;
#endif
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Element>;
@group(0) @binding(2) var<storage, read> b: array<Element>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> c: array<Element>;

// Four elements from `at`, of which `left` exist in the row (the rest read as zero where VEC does not promise four).
fn load_a(at: u32, left: u32) -> vec4f {
#if VEC
  return a[at / 4u];
#else
  if (left >= 4u) { return vec4f(a[at], a[at + 1u], a[at + 2u], a[at + 3u]); }
  var v = vec4f();
#for e in 0..3
  if (${e}u < left) { v[${e}] = a[at + ${e}u]; }
#end
  return v;
#endif
}

fn load_b(at: u32, left: u32) -> vec4f {
#if VEC
  return b[at / 4u];
#else
  if (left >= 4u) { return vec4f(b[at], b[at + 1u], b[at + 2u], b[at + 3u]); }
  var v = vec4f();
#for e in 0..3
  if (${e}u < left) { v[${e}] = b[at + ${e}u]; }
#end
  return v;
#endif
}

// Start of a four-vector that lies inside a row of `size`: past the edge, the last one.
fn clamp_start(start: u32, size: u32) -> u32 {
#if VEC
  return min(start, size - 4u);
#else
  return min(start, size - 1u);
#endif
}

// 1 inside the inner dimension, 0 past its end.
fn in_k(k: u32) -> f32 {
  return select(0.0, 1.0, k < params.k);
}

fn finish(value: f32, before: f32, column: u32) -> f32 {
  var x = value;
  if (params.accumulate != 0u) { x += before; }
  if (params.has_bias != 0u) { x += bias[params.offset_bias + column]; }
  return activate(x);
}

fn store_c(batch: u32, row: u32, column: u32, value: vec4f) {
  if (row >= params.m || column >= params.n) { return; }
  let at = params.offset_c + batch * params.batch_c + row * params.stride_c + column;
#if VEC
  var before = vec4f();
  if (params.accumulate != 0u) { before = c[at / 4u]; }
  c[at / 4u] = vec4f(
    finish(value.x, before.x, column), finish(value.y, before.y, column + 1u),
    finish(value.z, before.z, column + 2u), finish(value.w, before.w, column + 3u));
#else
#for e in 0..4
  if (column + ${e}u < params.n) {
    var before${e} = 0.0;
    if (params.accumulate != 0u) { before${e} = c[at + ${e}u]; }
    c[at + ${e}u] = finish(value[${e}], before${e}, column + ${e}u);
  }
#end
#endif
}
