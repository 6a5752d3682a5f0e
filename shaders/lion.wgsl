// One step of Lion (Chen et al., 2023) with decoupled weight decay for several runs of adjacent elements. COPIES: stores the new values as float16 too.
#if COPIES
enable f16;
#endif
#include <common/parts>
#include <common/activation>
struct Params {
  total: u32,
  skip: u32,            // 1: leave everything as it is if the gradients' norm is not finite
#for k in 0..TENSORS
  count${k}: u32,
#end
  rest1: f32,           // 1 − β1 and 1 − β2, computed in double precision
  rest2: f32,
#for k in 0..TENSORS
  decay${k}: f32,       // 1 − lr · weightDecay
  rate${k}: f32,
#end
}
@group(0) @binding(0) var<uniform> params: Params;
// [norm, factor]; every gradient is multiplied by the factor.
@group(0) @binding(1) var<storage, read> scale: array<f32>;
#for k in 0..TENSORS
#let at = (3 + COPIES) * k + 2
@group(0) @binding(${at}) var<storage, read> gradient${k}: array<vec4f>;
@group(0) @binding(${at + 1}) var<storage, read_write> value${k}: array<vec4f>;
@group(0) @binding(${at + 2}) var<storage, read_write> moments${k}: array<vec4f>;
#if COPIES
@group(0) @binding(${at + 3}) var<storage, read_write> copy${k}: array<vec4<f16>>;
#endif
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let factor = scale[1];
  let rest1 = params.rest1;
  let rest2 = params.rest2;
  let total = select(params.total, 0u, params.skip != 0u && !is_finite(scale[0]));
  let chunk = chunk_of(group, groups, total);
  var first = 0u;
#for k in 0..TENSORS
  let part${k} = (part_of(chunk, first, params.count${k}) + 3u) / 4u;
  let decay${k} = params.decay${k};
  let rate${k} = params.rate${k};
  for (var i = part${k}.x + local; i < part${k}.y; i += 64u) {
    let g = gradient${k}[i] * factor;
    let m = moments${k}[i];
    let direction = sign(fma(vec4f(rest1), g - m, m));
    moments${k}[i] = fma(vec4f(rest2), g - m, m);
    let p = value${k}[i] * decay${k} - rate${k} * direction;
    value${k}[i] = p;
#if COPIES
    copy${k}[i] = vec4<f16>(p);
#endif
  }
  first += padded(params.count${k});
#end
}
