// The ceiling of the adapter's matrix units. Each subgroup accumulates CHAINS matrices; in each of `steps`
// they share one operand read from memory: 2 · M · N · K · CHAINS · steps floating-point operations. The read
// stops a compiler that understands products (one for a CPU) from hoisting them out of the loop, and using
// every element of every subgroup's sums stops it from dropping work.
enable chromium_experimental_subgroup_matrix;
enable subgroups;
#if COMPONENT == f16
enable f16;
#endif
struct Params { steps: u32, seed: f32 }
@group(0) @binding(0) var<uniform> params: Params;
// Per invocation: the number of subgroups in its workgroup, and its share of the sum of all elements.
@group(0) @binding(1) var<storage, read_write> result: array<vec2f>;

// Number of left operands, odd so that unrolling does not match it; right operands start at other offsets of
// the same memory.
const LEFTS = 13u;
var<workgroup> operands: array<${COMPONENT}, ${13 * M * K}>;
var<workgroup> tile: array<f32, ${M * N}>;

@compute @workgroup_size(${GROUP})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) index: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(num_subgroups) subgroups: u32,
) {
  // The host decides these values, so the compiler cannot precompute anything; they are small, so nothing
  // overflows.
  for (var e = index; e < LEFTS * ${M * K}u; e += ${GROUP}u) {
    operands[e] = ${COMPONENT}(params.seed * 0.001 * f32(e % 37u));
  }
  workgroupBarrier();
#for i in 0..CHAINS
  let right${i} = subgroupMatrixLoad<subgroup_matrix_right<${COMPONENT}, ${N}, ${K}>, row_major>(&operands, ${16 * i}u, ${N}u);
  var x${i} = subgroup_matrix_result<f32, ${N}, ${M}>(params.seed);
#end
  for (var s = 0u; s < params.steps; s += 1u) {
    let left = subgroupMatrixLoad<subgroup_matrix_left<${COMPONENT}, ${K}, ${M}>, row_major>(&operands, s % LEFTS * ${M * K}u, ${K}u);
#for i in 0..CHAINS
    x${i} = subgroupMatrixMultiplyAccumulate(left, right${i}, x${i});
#end
  }
  var total = 0.0;
  for (var turn = 0u; turn < subgroups; turn += 1u) {
#for i in 0..CHAINS
    if (subgroup == turn) { subgroupMatrixStore<row_major>(&tile, 0u, x${i}, ${N}u); }
    workgroupBarrier();
    for (var e = index; e < ${M * N}u; e += ${GROUP}u) { total += tile[e]; }
    workgroupBarrier();
#end
  }
  result[group.x * ${GROUP}u + index] = vec2f(f32(subgroups), total);
}
