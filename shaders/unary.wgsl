// y = activation(scale · x + shift), or its derivative times dy.
#include <common/index>
#include <common/element>
#let FOUR = WIDTH / 4
#include <common/activate>
struct Params { count: u32, scale: f32, shift: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<StoredElement>;
#if BACKWARD
@group(0) @binding(2) var<storage, read> dy: array<StoredElement>;
@group(0) @binding(3) var<storage, read_write> y: array<StoredElement>;
#else
@group(0) @binding(2) var<storage, read_write> y: array<StoredElement>;
#endif

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
