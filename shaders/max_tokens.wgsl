// The largest value of each column over the tokens of a text that its mask shows, and the token that has it.
#include <common/index>
struct Params { texts: u32, length: u32, cols: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> mask: array<i32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> tokens: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let at = flat_index(group, groups, local, 64u);
  if (at >= params.texts * params.cols) { return; }
  let first = at / params.cols * params.length;
  // The lowest float32, for a text without a token.
  var best = -0x1.fffffep+127f;
  var found = params.length;
  for (var t = 0u; t < params.length; t += 1u) {
    let value = x[(first + t) * params.cols + at % params.cols];
    let higher = mask[first + t] != 0 && value > best;
    best = select(best, value, higher);
    found = select(found, t, higher);
  }
  y[at] = best;
  tokens[at] = found;
}
