// C = act(op(A) · op(B) + bias) as in matmul.wgsl, for hardware: 64 × 64 tiles of C, A and B staged through workgroup
// memory 16 deep, a 4 × 4 register tile for each of 256 invocations.
#include <common/matmul>

// Scalars, not vectors: several invocations write into one group of four, and a write to one component of a vector may
// touch all of it.
var<workgroup> tile_a: array<f32, 1024>; // [k 16][row 64]
var<workgroup> tile_b: array<f32, 1024>; // [k 16][column 64]

// Rows (or columns) past the edge and steps past k are zero.
fn fetch_a(base: u32, row: u32, k: u32) -> vec4f {
  if (row >= params.m || k >= params.k) { return vec4f(); }
#if TRANSPOSE_A
  return load_a(base + k * params.stride_a + row, params.m - row);
#else
  return load_a(base + row * params.stride_a + k, params.k - k);
#endif
}

fn fetch_b(base: u32, column: u32, k: u32) -> vec4f {
  if (column >= params.n || k >= params.k) { return vec4f(); }
#if TRANSPOSE_B
  return load_b(base + column * params.stride_b + k, params.k - k);
#else
  return load_b(base + k * params.stride_b + column, params.n - column);
#endif
}

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u, @builtin(local_invocation_index) index: u32) {
  let row0 = group.y * 64u;
  let column0 = group.x * 64u;
  let base_a = params.offset_a + group.z * params.batch_a;
  let base_b = params.offset_b + group.z * params.batch_b;
#for i in 0..4
  var c${i} = vec4f();
#end
  for (var k0 = 0u; k0 < params.k; k0 += 16u) {
    // Each invocation brings one four-vector of A and one of B.
#if TRANSPOSE_A
    let va = fetch_a(base_a, row0 + (index % 16u) * 4u, k0 + index / 16u);
#for e in 0..4
    tile_a[index * 4u + ${e}u] = va[${e}];
#end
#else
    let va = fetch_a(base_a, row0 + index / 4u, k0 + (index % 4u) * 4u);
#for e in 0..4
    tile_a[((index % 4u) * 4u + ${e}u) * 64u + index / 4u] = va[${e}];
#end
#endif
#if TRANSPOSE_B
    let vb = fetch_b(base_b, column0 + index / 4u, k0 + (index % 4u) * 4u);
#for e in 0..4
    tile_b[((index % 4u) * 4u + ${e}u) * 64u + index / 4u] = vb[${e}];
#end
#else
    let vb = fetch_b(base_b, column0 + (index % 16u) * 4u, k0 + index / 16u);
#for e in 0..4
    tile_b[index * 4u + ${e}u] = vb[${e}];
#end
#endif
    workgroupBarrier();
#for e in 0..16
    let ia${e} = ${64 * e}u + local.y * 4u;
    let ib${e} = ${64 * e}u + local.x * 4u;
    let vb${e} = vec4f(tile_b[ib${e}], tile_b[ib${e} + 1u], tile_b[ib${e} + 2u], tile_b[ib${e} + 3u]);
#for i in 0..4
    c${i} = fma(vec4f(tile_a[ia${e} + ${i}u]), vb${e}, c${i});
#end
#end
    workgroupBarrier();
  }
#for i in 0..4
  store_c(group.z, row0 + local.y * 4u + ${i}u, column0 + local.x * 4u, c${i});
#end
}
