// The joint norm of many tensors in two stages, the factor that clips it, and the clipping.
//   PARTIAL: result[first …] = Σ x² of parts of some tensors: one for each workgroup if REDUCE, else one for
//            each invocation.
//   FINISH:  result = [norm, factor]: the norm of the gradients divided by the loss's scale, and the factor
//            that brings them to min(norm, maxNorm).
//   SCALE:   x *= factor.
#if PART == finish
struct Params { count: u32, max_norm: f32, unscale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>;
#if SCALED
// [scale of the loss, …].
@group(0) @binding(3) var<storage, read> loss_scale: array<f32>;
#endif
#include <common/activation>

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
#if SCALED
    let unscale = params.unscale / loss_scale[0];
#else
    let unscale = params.unscale;
#endif
    let norm = sqrt(all) * unscale;
    result[0] = norm;
    // As torch.nn.utils.clip_grad_norm_ has it; a NaN stays one.
    result[1] = select(unscale * min(1.0, params.max_norm / (norm + 1e-6)), norm, is_nan(norm));
  }
}
#else
struct Params {
  total: u32,
  first: u32,
#for k in 0..TENSORS
  count${k}: u32,
#end
}
@group(0) @binding(0) var<uniform> params: Params;
#include <common/parts>
#if PART == partial
#if REDUCE
var<workgroup> sums: array<f32, 64>;
#endif
@group(0) @binding(1) var<storage, read_write> result: array<f32>;
#for k in 0..TENSORS
@group(0) @binding(${k + 2}) var<storage, read> x${k}: array<vec4f>;
#end
#else
@group(0) @binding(1) var<storage, read> result: array<f32>;
#for k in 0..TENSORS
@group(0) @binding(${k + 2}) var<storage, read_write> x${k}: array<vec4f>;
#end
#endif

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let chunk = chunk_of(group, groups, params.total);
  var first = 0u;
#if PART == scale
  let factor = result[1];
#else
  var total = vec4f();
#endif
#for k in 0..TENSORS
  let part${k} = part_of(chunk, first, params.count${k});
#if PART == scale
  let whole${k} = (part${k} + 3u) / 4u;
  for (var i = whole${k}.x + local; i < whole${k}.y; i += 64u) {
    x${k}[i] *= factor;
  }
#else
  for (var i = part${k}.x / 4u + local; i < part${k}.y / 4u; i += 64u) {
    let x = x${k}[i];
    total = fma(x, x, total);
  }
  // The tensor's end, if it is inside a vector.
  let rest${k} = select(0u, part${k}.y % 4u, part${k}.x < part${k}.y);
  if (rest${k} > 0u && local == 0u) {
    let x = x${k}[part${k}.y / 4u];
    total += select(vec4f(), x * x, vec4u(0u, 1u, 2u, 3u) < vec4u(rest${k}));
  }
#endif
  first += padded(params.count${k});
#end
#if PART == partial
  let sum = total.x + total.y + total.z + total.w;
#if REDUCE
  sums[local] = sum;
  workgroupBarrier();
  for (var width = 32u; width > 0u; width /= 2u) {
    if (local < width) {
      sums[local] += sums[local + width];
    }
    workgroupBarrier();
  }
  if (local == 0u) {
    result[params.first + group.y * groups.x + group.x] = sums[0];
  }
#else
  result[params.first + flat_index(group, groups, local, 64u)] = sum;
#endif
#endif
}
#endif
