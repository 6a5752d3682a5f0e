// One step of AdamW (Loshchilov and Hutter, 2019) for some tensors, decoupled weight decay, in PyTorch's order of operations.
#include <common/parts>
struct Params {
  total: u32,
  skip: u32,            // 1: leave everything as it is where the gradients' norm is not finite
#for k in 0..TENSORS
  count${k}: u32,
  at${k}: u32,          // where in `moments` the first moments begin; the second follow them
#end
  beta1: f32,
  beta2: f32,
  eps: f32,
  rest1: f32,           // 1 − β1 and 1 − β2, in double precision first: 1 − 0.999 in f32 is 1.3e-5 off
  rest2: f32,
#for k in 0..TENSORS
  decay${k}: f32,       // 1 − lr · weightDecay
  step_size${k}: f32,   // lr / (1 − β1^t)
  root_correction${k}: f32, // sqrt(1 − β2^t)
#end
}
@group(0) @binding(0) var<uniform> params: Params;
// [norm, factor]: every gradient is multiplied by the factor.
@group(0) @binding(1) var<storage, read> scale: array<f32>;
@group(0) @binding(2) var<storage, read_write> moments: array<f32>;
#for k in 0..TENSORS
@group(0) @binding(${2 * k + 3}) var<storage, read> gradient${k}: array<f32>;
@group(0) @binding(${2 * k + 4}) var<storage, read_write> value${k}: array<f32>;
#end

// By bits: WGSL may assume that there is no NaN and no infinity.
fn is_finite(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let factor = scale[1];
  let total = select(params.total, 0u, params.skip != 0u && !is_finite(scale[0]));
  let chunk = chunk_of(group, groups, total);
  var first = 0u;
#for k in 0..TENSORS
  let part${k} = part_of(chunk, first, params.count${k});
  for (var i = part${k}.x + local; i < part${k}.y; i += 64u) {
    let at1 = params.at${k} + i;
    let at2 = at1 + padded(params.count${k});
    let g = gradient${k}[i] * factor;
    let m = fma(params.rest1, g - moments[at1], moments[at1]);
    let v = fma(params.rest2 * g, g, params.beta2 * moments[at2]);
    moments[at1] = m;
    moments[at2] = v;
    value${k}[i] = value${k}[i] * params.decay${k} - params.step_size${k} * m / (sqrt(v) / params.root_correction${k} + params.eps);
  }
  first += padded(params.count${k});
#end
}
