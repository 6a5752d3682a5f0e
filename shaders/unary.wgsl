// y = activate(scale · x + shift), or its derivative times dy.
#include <common/index>
#include <common/stored>
#include <common/activate>
struct Params { count: u32, scale: f32, shift: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
#if BACKWARD
@group(0) @binding(2) var<storage, read> dy: array<Stored>;
@group(0) @binding(3) var<storage, read_write> y: array<Stored>;
#else
@group(0) @binding(2) var<storage, read_write> y: array<Stored>;
#endif

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let chunk = chunk_of(group, groups, params.count);
  for (var i = chunk.x + local; i < chunk.y; i += 64u) {
    let value = fma(params.scale, f32(x[i]), params.shift);
#if BACKWARD
    y[i] = Stored(f32(dy[i]) * params.scale * activate_slope(value));
#else
    y[i] = Stored(activate(value));
#endif
  }
}
