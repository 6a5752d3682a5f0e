// y = x · mask / (1 − p). The mask follows from (element, seed, stream), so that backward is the same kernel
// on dy.
#include <common/index>
#include <common/element>
#include <common/rng>
struct Params { count: u32, seed: u32, stream: u32, threshold: u32, first: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<StoredElement>;
@group(0) @binding(2) var<storage, read_write> y: array<StoredElement>;
#include <common/dropout_element>

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let chunk = chunk_of(group, groups, params.count);
  for (var i = chunk.x + local; i < chunk.y; i += 64u) {
    y[i] = store(load(x[i]) * dropout_element(params.first + i * WIDTH));
  }
}
