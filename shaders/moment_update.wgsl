// One step of an optimizer with moments and decoupled weight decay, for several runs of adjacent elements.
// RULE adamw (Loshchilov and Hutter, 2019), in PyTorch's order of operations, or lion (Chen et al., 2023).
// COPIES: stores the new values as float16 too.
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
#if RULE == adamw
  beta1: f32,
  beta2: f32,
  eps: f32,
#endif
  rest1: f32,           // 1 − β1 and 1 − β2, computed in double precision: 1 − 0.999 in f32 is 1.3e-5 off
  rest2: f32,
#for k in 0..TENSORS
  decay${k}: f32,       // 1 − lr · weightDecay
#if RULE == adamw
  rate${k}: f32,        // lr / (1 − β1^t)
  root_correction${k}: f32, // sqrt(1 − β2^t)
#else
  rate${k}: f32,        // lr
#endif
#end
}
@group(0) @binding(0) var<uniform> params: Params;
// [norm, factor]; every gradient is multiplied by the factor.
@group(0) @binding(1) var<storage, read> scale: array<f32>;
#for k in 0..TENSORS
#let at = (3 + COPIES) * k + 2
@group(0) @binding(${at}) var<storage, read> gradient${k}: array<vec4f>;
@group(0) @binding(${at + 1}) var<storage, read_write> value${k}: array<vec4f>;
// Lion's moments; AdamW's: blocks of 64 first ones, each followed by the second ones of the same elements.
@group(0) @binding(${at + 2}) var<storage, read_write> moments${k}: array<vec4f>;
#if COPIES
@group(0) @binding(${at + 3}) var<storage, read_write> copy${k}: array<vec4<f16>>;
#endif
#end

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let factor = scale[1];
  let rest1 = params.rest1;
  let rest2 = params.rest2;
#if RULE == adamw
  let beta2 = params.beta2;
  let eps = params.eps;
#endif
  let total = select(params.total, 0u, params.skip != 0u && !is_finite(scale[0]));
  let chunk = chunk_of(group, groups, total);
  var first = 0u;
#for k in 0..TENSORS
  let part${k} = (part_of(chunk, first, params.count${k}) + 3u) / 4u;
  let decay${k} = params.decay${k};
  let rate${k} = params.rate${k};
#if RULE == adamw
  let root_correction${k} = params.root_correction${k};
#endif
  for (var i = part${k}.x + local; i < part${k}.y; i += 64u) {
    let g = gradient${k}[i] * factor;
#if RULE == adamw
    let at1 = i + (i & ~15u);
    let at2 = at1 + 16u;
    let m0 = moments${k}[at1];
    let v0 = moments${k}[at2];
    let p0 = value${k}[i];
    let m = fma(vec4f(rest1), g - m0, m0);
    let v = fma(rest2 * g, g, beta2 * v0);
    moments${k}[at1] = m;
    moments${k}[at2] = v;
    let p = p0 * decay${k} - rate${k} * m / (sqrt(v) / root_correction${k} + eps);
#else
    let m = moments${k}[i];
    let direction = sign(fma(vec4f(rest1), g - m, m));
    moments${k}[i] = fma(vec4f(rest2), g - m, m);
    let p = value${k}[i] * decay${k} - rate${k} * direction;
#endif
    value${k}[i] = p;
#if COPIES
    copy${k}[i] = vec4<f16>(p);
#endif
  }
  first += padded(params.count${k});
#end
}
