// Losses of elements against float targets. MSE: (x − t)². BCE (with logits): max(x, 0) − x·t + log(1 +
// e^−|x|).
#include <common/index>
struct Params { count: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<f32>;
#if BACKWARD
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> result: array<f32>;
#else
@group(0) @binding(3) var<storage, read_write> result: array<f32>;
#endif
#if LOSS == bce
#include <common/activation>
#endif

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = flat_index(group, groups, local, 64u);
  if (i >= params.count) { return; }
  let value = x[i];
  let wanted = targets[i];
#if BACKWARD
#if LOSS == mse
  result[i] = 2.0 * (value - wanted) * dy[0] * params.scale;
#else
  result[i] = (sigmoid(value) - wanted) * dy[0] * params.scale;
#endif
#else
#if LOSS == mse
  result[i] = (value - wanted) * (value - wanted) * params.scale;
#else
  result[i] = (max(value, 0.0) - value * wanted + log(1.0 + exp(-abs(value)))) * params.scale;
#endif
#endif
}
