// C = act(op(A) · op(B) + bias), as in matmul.wgsl, for GPUs: a workgroup of 16 × 16 invocations computes a
// tile of 16 · ROWS rows and 16 · 4 · VECTORS columns, ROWS × VECTORS four-vectors each. A and B come through
// workgroup memory, 16 of k at a time, in the order they have in memory, so that no element is moved alone: a
// vector holds four k, or four rows (columns) of one k. PREFETCH: the next 16 of k are loaded while these are
// multiplied, which takes registers.
#include <common/matmul>

const TILE_ROWS = ${16 * ROWS}u;
const TILE_COLUMNS = ${64 * VECTORS}u;
#if TRANSPOSE_A
var<workgroup> tile_a: array<vec4f, ${16 * 4 * ROWS}>; // [k 16][row / 4]
#else
var<workgroup> tile_a: array<vec4f, ${16 * ROWS * 4}>; // [row][k / 4], see along_k
#endif
#if TRANSPOSE_B
var<workgroup> tile_b: array<vec4f, ${64 * VECTORS * 4}>; // [column][k / 4], see along_k
#else
var<workgroup> tile_b: array<vec4f, ${16 * 16 * VECTORS}>; // [k 16][column / 4]
#endif

// The place of the four k from 4 · q of a row (or column): shifted from pair to pair, so that neighbours read
// different banks.
fn along_k(row: u32, q: u32) -> u32 {
  return row * 4u + (q ^ ((row >> 1u) & 3u));
}

// Rows (or columns) past the edge and steps past size_k are zero.
fn fetch_a(base: u32, row: u32, k: u32, size_k: u32) -> vec4f {
  if (row >= params.m || k >= size_k) { return vec4f(); }
#if TRANSPOSE_A
  return load_a(base + k * params.stride_a + row, params.m - row);
#else
  return load_a(base + row * params.stride_a + k, size_k - k);
#endif
}

fn fetch_b(base: u32, column: u32, k: u32, size_k: u32) -> vec4f {
  if (column >= params.n || k >= size_k) { return vec4f(); }
#if TRANSPOSE_B
  return load_b(base + column * params.stride_b + k, size_k - k);
#else
  return load_b(base + k * params.stride_b + column, params.n - column);
#endif
}

// Each invocation brings ROWS / 4 four-vectors of A and VECTORS of B, here number t of them, from step k0 on.
fn bring_a(t: u32, k0: u32, base: u32, first_row: u32, index: u32, size_k: u32) -> vec4f {
#if TRANSPOSE_A
  return fetch_a(base, first_row + (index % ${4 * ROWS}u) * 4u, k0 + t * ${256 / (4 * ROWS)}u + index / ${4 * ROWS}u, size_k);
#else
  return fetch_a(base, first_row + 64u * t + index / 4u, k0 + (index % 4u) * 4u, size_k);
#endif
}

fn bring_b(t: u32, k0: u32, base: u32, first_column: u32, index: u32, size_k: u32) -> vec4f {
#if TRANSPOSE_B
  return fetch_b(base, first_column + 64u * t + index / 4u, k0 + (index % 4u) * 4u, size_k);
#else
  return fetch_b(base, first_column + (index % ${16 * VECTORS}u) * 4u, k0 + t * ${256 / (16 * VECTORS)}u + index / ${16 * VECTORS}u, size_k);
#endif
}

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u, @builtin(local_invocation_index) index: u32) {
  let first_row = group.y * TILE_ROWS;
  let first_column = group.x * TILE_COLUMNS;
  let base_a = params.offset_a + group.z * params.batch_a;
  let base_b = params.offset_b + group.z * params.batch_b;
  let size_k = inner_size(group.z);
#for i in 0..ROWS
#for j in 0..VECTORS
  var c${i}_${j} = vec4f();
#end
#end
#if SUM_A
  // An invocation brings the same four rows in every round.
  var sum = vec4f();
#endif
#if PREFETCH
#for t in 0..ROWS / 4
  var va${t} = bring_a(${t}u, 0u, base_a, first_row, index, size_k);
#end
#for t in 0..VECTORS
  var vb${t} = bring_b(${t}u, 0u, base_b, first_column, index, size_k);
#end
#endif
  for (var k0 = 0u; k0 < size_k; k0 += 16u) {
#for t in 0..ROWS / 4
#if !PREFETCH
    let va${t} = bring_a(${t}u, k0, base_a, first_row, index, size_k);
#endif
#if TRANSPOSE_A
    tile_a[${256 * t}u + index] = va${t};
#if SUM_A
    sum += va${t};
#endif
#else
    tile_a[along_k(${64 * t}u + index / 4u, index % 4u)] = va${t};
#endif
#if PREFETCH
    va${t} = bring_a(${t}u, k0 + 16u, base_a, first_row, index, size_k);
#endif
#end
#for t in 0..VECTORS
#if !PREFETCH
    let vb${t} = bring_b(${t}u, k0, base_b, first_column, index, size_k);
#endif
#if TRANSPOSE_B
    tile_b[along_k(${64 * t}u + index / 4u, index % 4u)] = vb${t};
#else
    tile_b[${256 * t}u + index] = vb${t};
#endif
#if PREFETCH
    vb${t} = bring_b(${t}u, k0 + 16u, base_b, first_column, index, size_k);
#endif
#end
    workgroupBarrier();
    for (var q = 0u; q < 4u; q += 1u) {
#for j in 0..VECTORS
#if TRANSPOSE_B
      // Columns 16 apart, so that neighbours read neighbouring columns.
#for e in 0..4
      let bt${j}_${e} = tile_b[along_k(${64 * j + 16 * e}u + local.x, q)];
#end
#for e in 0..4
      let b${e}_${j} = vec4f(bt${j}_0[${e}], bt${j}_1[${e}], bt${j}_2[${e}], bt${j}_3[${e}]);
#end
#else
#for e in 0..4
      let b${e}_${j} = tile_b[(4u * q + ${e}u) * ${16 * VECTORS}u + ${16 * j}u + local.x];
#end
#endif
#end
#if TRANSPOSE_A
#for h in 0..ROWS / 4
#for e in 0..4
      let a${h}_${e} = tile_a[(4u * q + ${e}u) * ${4 * ROWS}u + local.y * ${ROWS / 4}u + ${h}u];
#for i in 0..4
#for j in 0..VECTORS
      c${4 * h + i}_${j} = fma(vec4f(a${h}_${e}[${i}]), b${e}_${j}, c${4 * h + i}_${j});
#end
#end
#end
#end
#else
#for i in 0..ROWS
      let a${i} = tile_a[along_k(local.y * ${ROWS}u + ${i}u, q)];
#for e in 0..4
#for j in 0..VECTORS
      c${i}_${j} = fma(vec4f(a${i}[${e}]), b${e}_${j}, c${i}_${j});
#end
#end
#end
#endif
    }
    workgroupBarrier();
  }
#if SUM_A
  // Each four rows were brought by 256 / (4 · ROWS) invocations.
  tile_a[index] = sum;
  workgroupBarrier();
  if (group.x == 0u && index < ${4 * ROWS}u) {
    var total = vec4f();
#for s in 0..256 / (4 * ROWS)
    total += tile_a[${4 * ROWS * s}u + index];
#end
    store_sum(group.z, first_row + index * 4u, total);
  }
#endif
#for j in 0..VECTORS
#if TRANSPOSE_B
#for e in 0..4
  let column${j}_${e} = first_column + ${64 * j + 16 * e}u + local.x;
  let added${j}_${e} = load_bias(column${j}_${e}).x;
#for i in 0..ROWS
  store_one(group.z, first_row + local.y * ${ROWS}u + ${i}u, column${j}_${e}, c${i}_${j}[${e}] + added${j}_${e});
#end
#end
#else
  let column${j} = first_column + ${64 * j}u + local.x * 4u;
  let added${j} = load_bias(column${j});
#for i in 0..ROWS
  store_c(group.z, first_row + local.y * ${ROWS}u + ${i}u, column${j}, c${i}_${j}, added${j});
#end
#endif
#end
}
