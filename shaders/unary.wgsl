// y = activation(scale · x + shift), or its derivative times dy. An activation, or another function of a number;
// `low` and `high` are the limits of a clamp, `low` the exponent of a power.
#include <common/index>
#include <common/element>
#let FOUR = WIDTH / 4
#include <common/activate>
#include <common/functions>
struct Params { count: u32, scale: f32, shift: f32, low: f32, high: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<StoredElement>;
#if BACKWARD
@group(0) @binding(2) var<storage, read> dy: array<StoredElement>;
@group(0) @binding(3) var<storage, read_write> y: array<StoredElement>;
#else
@group(0) @binding(2) var<storage, read_write> y: array<StoredElement>;
#endif

// A comparison with NaN is false, so that NaN passes.
fn clamp_value(x: f32) -> f32 {
  let raised = select(x, params.low, x < params.low);
  return select(raised, params.high, raised > params.high);
}
fn clamp_slope(x: f32) -> f32 { return select(0.0, 1.0, x >= params.low && x <= params.high); }

fn power_value(x: f32) -> f32 { return pow_of(x, params.low); }
fn power_slope(x: f32) -> f32 { return slope_of_pow(x, params.low); }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let chunk = chunk_of(group, groups, params.count);
  for (var i = chunk.x + local; i < chunk.y; i += 64u) {
    let value = fma(Element(params.scale), load(x[i]), Element(params.shift));
#if BACKWARD
    y[i] = store(load(dy[i]) * params.scale * activation_slope(value));
#else
    y[i] = store(activation_value(value));
#endif
  }
}
