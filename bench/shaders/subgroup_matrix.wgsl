// The ceiling of the adapter's matrix units: chains of multiply-accumulate on registers, nothing else. Each subgroup runs CHAINS
// independent chains for `steps` rounds of UNROLL: 2 · M · N · K · CHAINS · UNROLL · steps floating-point operations.
enable chromium_experimental_subgroup_matrix;
enable subgroups;
#if COMPONENT == f16
enable f16;
#endif
struct Params { steps: u32, seed: f32 }
@group(0) @binding(0) var<uniform> params: Params;
// Of each workgroup how many subgroups it had, and a sum that needs all of the work.
@group(0) @binding(1) var<storage, read_write> result: array<vec2f>;

alias Result = subgroup_matrix_result<f32, ${N}, ${M}>;
var<workgroup> tile: array<f32, ${M * N}>;

@compute @workgroup_size(${GROUP})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) index: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(num_subgroups) subgroups: u32,
) {
  // Values that the host decides, so that nothing can be computed beforehand, and small, so that nothing overflows.
  let left = subgroup_matrix_left<${COMPONENT}, ${K}, ${M}>(${COMPONENT}(params.seed * 0.01));
#for i in 0..CHAINS
  let right${i} = subgroup_matrix_right<${COMPONENT}, ${N}, ${K}>(${COMPONENT}(params.seed * 0.01 * ${i + 1}.0));
  var x${i} = Result(params.seed);
#end
  for (var s = 0u; s < params.steps; s += 1u) {
#for u in 0..UNROLL
#for i in 0..CHAINS
    x${i} = subgroupMatrixMultiplyAccumulate(left, right${i}, x${i});
#end
#end
  }
  var total = 0.0;
#for i in 0..CHAINS
  if (subgroup == 0u) { subgroupMatrixStore<row_major>(&tile, 0u, x${i}, ${N}u); }
  workgroupBarrier();
  total += tile[index % ${M * N}u];
  workgroupBarrier();
#end
  if (index == 0u) { result[group.x] = vec2f(f32(subgroups), total); }
}
