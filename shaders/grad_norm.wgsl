// The norm of many tensors in two stages, and the factor that clips it.
//   PARTIAL: partials[first + part] = Σ x² of one part.
//   FINISH:  result = [norm, min(1, maxNorm / (norm + 1e-6))], as torch.nn.utils.clip_grad_norm_ has it.
struct Params { count: u32, parts: u32, first: u32, max_norm: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>;
#if PART == partial
#include <common/index>
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let part = flat_index(group, groups, local, 64u);
  if (part >= params.parts) { return; }
  var total = 0.0;
  // Neighbouring invocations read neighbouring elements.
  for (var i = part; i < params.count; i += params.parts) {
    total = fma(x[i], x[i], total);
  }
  result[params.first + part] = total;
}
#else
var<workgroup> sums: array<f32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) local: u32) {
  var total = 0.0;
  for (var i = local; i < params.count; i += 64u) {
    total += x[i];
  }
  sums[local] = total;
  workgroupBarrier();
  if (local == 0u) {
    var all = 0.0;
    for (var i = 0u; i < 64u; i += 1u) {
      all += sums[i];
    }
    let norm = sqrt(all);
    result[0] = norm;
    result[1] = min(1.0, params.max_norm / (norm + 1e-6));
  }
}
#endif
