// RoBERTa's positions: padding + (1, 2, 3, … counting the tokens that are not padding); padding keeps
// `padding`.
#include <common/index>
struct Params { rows: u32, cols: u32, padding: i32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<i32>;
@group(0) @binding(2) var<storage, read_write> positions: array<i32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = flat_index(group, groups, local, 64u);
  if (row >= params.rows) { return; }
  var count = params.padding;
  for (var c = 0u; c < params.cols; c += 1u) {
    let at = row * params.cols + c;
    let real = ids[at] != params.padding;
    count += select(0, 1, real);
    positions[at] = select(params.padding, count, real);
  }
}
