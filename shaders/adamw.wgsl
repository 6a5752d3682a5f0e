// One step of AdamW (Loshchilov and Hutter, 2019), decoupled weight decay, in PyTorch's order of operations.
#include <common/index>
struct Params {
  count: u32,
  decay: f32,        // 1 − lr · weightDecay
  beta1: f32,
  beta2: f32,
  step_size: f32,    // lr / (1 − β1^t)
  root_correction: f32, // sqrt(1 − β2^t)
  eps: f32,
  rest1: f32,        // 1 − β1 and 1 − β2, in double precision first: 1 − 0.999 in f32 is 1.3e-5 off
  rest2: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read_write> value: array<f32>;
@group(0) @binding(3) var<storage, read_write> first: array<f32>;
@group(0) @binding(4) var<storage, read_write> second: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let chunk = chunk_of(group, groups, params.count);
  for (var i = chunk.x + local; i < chunk.y; i += 64u) {
    let g = gradient[i];
    let m = fma(params.rest1, g - first[i], first[i]);
    let v = fma(params.rest2 * g, g, params.beta2 * second[i]);
    first[i] = m;
    second[i] = v;
    value[i] = value[i] * params.decay - params.step_size * m / (sqrt(v) / params.root_correction + params.eps);
  }
}
