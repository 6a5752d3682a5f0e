enable subgroups;
// C = act(op(A) · op(B) + bias), as in matmul_broadcast.wgsl, for adapters that compute on the CPU with
// subgroups of four (SwiftShader), whose compiler keeps few values in registers through a loop. A lane has 4
// · VECTORS columns, and a round takes STEP of k. Two things differ:
// - The sums are in memory: the index of the store is not known to the compiler, so it cannot move them into
//   variables. Each is read once a round, added to STEP times, and written, so that one sum is live at a
//   time.
// - Lanes swap values in pairs instead of broadcasting, which is cheaper there: sum i of lane l belongs to
//   row i ^ l.
#include <common/matmul>

fn swap0(value: f32) -> f32 { return value; }
fn swap1(value: f32) -> f32 { return quadSwapX(value); }
fn swap2(value: f32) -> f32 { return quadSwapY(value); }
fn swap3(value: f32) -> f32 { return quadSwapDiagonal(value); }

// A row of the inner dimension; past the end, the last one.
fn row_k(k: u32, size_k: u32) -> u32 {
#if TAIL_K
  return min(k, size_k - 1u);
#else
  return k;
#endif
}

// Four numbers of the inner dimension from a row's start; past the end, zeros.
#for x in a b
fn along_${x}(start: u32, k: u32, size_k: u32) -> vec4f {
#if TAIL_K
  let at = select(0u, k, k < size_k);
  return inside_k(k, size_k, load_${x}(start + at, size_k - at));
#else
  return load_${x}(start + k, 4u);
#endif
}
#end

#include <common/pinned_lanes>
@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row0 = group.y * ${ROWS}u;
  let base_a = params.offset_a + group.z * params.batch_a;
  let base_b = params.offset_b + group.z * params.batch_b;
  let size_k = inner_size(group.z);
  // Rows and columns past the edge read the last ones again; their results are not stored.
#if TRANSPOSE_A
  // A lane's load holds four rows at one k. Eight rows are those of two lanes: the others load them again.
#if ROWS == 8
  let own = 4u * (lane & 1u);
#else
  let own = 4u * lane;
#endif
#for h in 0..(ROWS + 15) / 16
#if SUM_A
  var sum${h} = vec4f();
#endif
  let row_a${h} = row0 + ${16 * h}u + own;
  let ra${h} = base_a + clamp_start_a(row_a${h}, params.m);
  let left_a${h} = params.m - min(row_a${h}, params.m);
#end
#else
  // A lane's load holds four k of one row.
  let own = lane;
#for h in 0..ROWS / 4
  let ra${h} = base_a + min(row0 + ${4 * h}u + lane, params.m - 1u) * params.stride_a;
#end
#endif
  let column0 = (group.x * ${4 * VECTORS}u + lane) * 4u;
#for j in 0..VECTORS
#if TRANSPOSE_B
#for q in 0..4
  let rb${j}_${q} = base_b + min(column0 + ${16 * j + q}u, params.n - 1u) * params.stride_b;
#end
#else
  let rb${j} = base_b + clamp_start_b(column0 + ${16 * j}u, params.n);
  let left_b${j} = params.n - min(column0 + ${16 * j}u, params.n);
#endif
#end
  var sums_c: array<f32, ${4 * ROWS * VECTORS}>;
  for (var k = 0u; k < size_k; k += ${STEP}u) {
#for j in 0..VECTORS
#if TRANSPOSE_B
#for g in 0..STEP / 4
#for q in 0..4
    let bt${j}_${q}_${g} = along_b(rb${j}_${q}, k + ${4 * g}u, size_k);
#end
#end
#else
#for e in 0..STEP
    let b${e}_${j} = inside_k(k + ${e}u, size_k, load_b(rb${j} + row_k(k + ${e}u, size_k) * params.stride_b, left_b${j}));
#end
#endif
#end
    // SIDE: the rows that a lane's load of A holds; LOADS: of A.
#let SIDE = 1 + 3 * TRANSPOSE_A
#let LOADS = (ROWS + 4 * SIDE - 1) / (4 * SIDE)
#for h in 0..LOADS
#if TRANSPOSE_A
#for e in 0..STEP
    let a${h}_${e} = inside_k(k + ${e}u, size_k, load_a(ra${h} + row_k(k + ${e}u, size_k) * params.stride_a, left_a${h}));
#if SUM_A
    sum${h} += a${h}_${e};
#endif
#end
#else
#for g in 0..STEP / 4
    let a${h}_${g} = along_a(ra${h}, k + ${4 * g}u, size_k);
#end
#endif
#for d in 0..ROWS / SIDE / LOADS
#for r in 0..SIDE
#let i = (4 * h + d) * SIDE + r
#for e in 0..STEP
#if TRANSPOSE_A
    let s${i}_${e} = swap${d}(a${h}_${e}[${r}]);
#else
    let s${i}_${e} = swap${d}(a${h}_${e / 4}[${e % 4}]);
#endif
#end
#for c in 0..4 * VECTORS
    let t${i}_${c}_0 = sums_c[${4 * VECTORS * i + c}];
#for e in 0..STEP
#if TRANSPOSE_B
    let t${i}_${c}_${e + 1} = fma(s${i}_${e}, bt${c / 4}_${c % 4}_${e / 4}[${e % 4}], t${i}_${c}_${e});
#else
    let t${i}_${c}_${e + 1} = fma(s${i}_${e}, b${e}_${c / 4}[${c % 4}], t${i}_${c}_${e});
#endif
#end
    sums_c[${4 * VECTORS * i + c}] = t${i}_${c}_${STEP};
#end
#end
#end
#end
  }
#if SUM_A
  if (group.x == 0u && own == 4u * lane) {
#for h in 0..(ROWS + 15) / 16
    if (row_a${h} < row0 + ${ROWS}u) { store_sum(group.z, row_a${h}, sum${h}); }
#end
  }
#endif
#for j in 0..VECTORS
  let bias${j} = load_bias(column0 + ${16 * j}u);
#end
  for (var i = 0u; i < ${ROWS}u; i += 1u) {
#for j in 0..VECTORS
    let at${j} = ${4 * VECTORS}u * i + ${4 * j}u;
    let value${j} = vec4f(sums_c[at${j}], sums_c[at${j} + 1u], sums_c[at${j} + 2u], sums_c[at${j} + 3u]);
    store_c(group.z, row0 + (i ^ own), column0 + ${16 * j}u, value${j}, bias${j});
#end
  }
}
