enable subgroups;
// C = act(op(A) · op(B) + bias), as in matmul.wgsl, for adapters that compute on the CPU and have subgroups
// of eight (lavapipe). There a load costs as much as dozens of multiply-adds, so each is used often: a
// workgroup is one subgroup of LANES invocations, which computes ROWS rows of 4 · LANES columns in registers,
// STEP (2 or 4) of k a round. Each lane holds four columns and loads other rows of A; shuffles give a lane's
// values to all lanes: Dawn zeroes what subgroupBroadcast takes from an idle lane, an instruction each time.
#include <common/matmul>

#include <common/pinned_lanes>
@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row0 = group.y * ${ROWS}u;
  let base_a = params.offset_a + group.z * params.batch_a;
  let base_b = params.offset_b + group.z * params.batch_b;
  let size_k = inner_size(group.z);
  // Rows and columns past the edge read the last ones again; their results are not stored.
#if TRANSPOSE_A
  // A lane's load holds four rows at one k.
#for h in 0..(ROWS + 4 * LANES - 1) / (4 * LANES)
#if SUM_A
  var sum${h} = vec4f();
#endif
  let row_a${h} = row0 + 4u * (${h * LANES}u + lane);
  let ra${h} = base_a + clamp_start_a(row_a${h}, params.m);
#end
#else
  // A lane's load holds STEP of k of one row.
#for h in 0..ROWS / LANES
  let ra${h} = base_a + min(row0 + ${h * LANES}u + lane, params.m - 1u) * params.stride_a;
#end
#endif
  let column = (group.x * ${LANES}u + lane) * 4u;
#if TRANSPOSE_B
#for e in 0..4
  let rb${e} = base_b + min(column + ${e}u, params.n - 1u) * params.stride_b;
#end
#else
  let rb = base_b + clamp_start_b(column, params.n);
#endif
#for i in 0..ROWS
  var c${i} = vec4f();
#end
  for (var k = 0u; k < size_k; k += ${STEP}u) {
#if TRANSPOSE_B
#for e in 0..4
    let bt${e} = load_b(rb${e} + k, size_k - k);
#end
#for e in 0..STEP
    let b${e} = vec4f(bt0[${e}], bt1[${e}], bt2[${e}], bt3[${e}]);
#end
#else
#for e in 0..STEP
    let b${e} = inside_k(k + ${e}u, size_k, load_b(rb + min(k + ${e}u, size_k - 1u) * params.stride_b, params.n - min(column, params.n)));
#end
#endif
#if TRANSPOSE_A
#for h in 0..(ROWS + 4 * LANES - 1) / (4 * LANES)
#for e in 0..STEP
    let a${h}_${e} = inside_k(k + ${e}u, size_k, load_a(ra${h} + min(k + ${e}u, size_k - 1u) * params.stride_a, params.m - min(row_a${h}, params.m)));
#if SUM_A
    sum${h} += a${h}_${e};
#endif
#end
#end
#else
#for h in 0..ROWS / LANES
    let a${h} = load_a(ra${h} + k, size_k - k);
#end
#endif
    // Row by row, so that few values live at once.
#for i in 0..ROWS
#for e in 0..STEP
#if TRANSPOSE_A
    let s${i}_${e} = vec4f(subgroupShuffle(a${i / (4 * LANES)}_${e}[${i % 4}], ${i / 4 % LANES}u));
#else
    let s${i}_${e} = vec4f(subgroupShuffle(a${i / LANES}[${e}], ${i % LANES}u));
#endif
#end
#for e in 0..STEP
    c${i} = fma(s${i}_${e}, b${e}, c${i});
#end
#end
  }
#if SUM_A
  if (group.x == 0u) {
#for h in 0..(ROWS + 4 * LANES - 1) / (4 * LANES)
    if (row_a${h} < row0 + ${ROWS}u) { store_sum(group.z, row_a${h}, sum${h}); }
#end
  }
#endif
  // A loop whose end the compiler does not know stores the rows: unrolled, the epilogue was most of the
  // program and compiled for seconds.
  let present = min(${ROWS}u, params.m - row0);
  let added = load_bias(column);
  var rows = array<vec4f, ${ROWS}>(
#for i in 0..ROWS
    c${i},
#end
  );
  for (var i = 0u; i < present; i += 1u) {
    store_c(group.z, row0 + i, column, rows[i], added);
  }
}
