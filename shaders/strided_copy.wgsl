// target[t(i)] = source[s(i)] for every index i of a box of up to six dimensions: transposes, slices and
// their backward.
#include <common/index>
#include <common/stored>
// Bits are moved: four bytes, or two if T is f16.
#if T == f16
alias Moved = f16;
#else
alias Moved = u32;
#endif
struct Params {
  count: u32, source_offset: u32, target_offset: u32,
#for d in 0..6
  size${d}: u32, s${d}: u32, t${d}: u32,
#end
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<Moved>;
@group(0) @binding(2) var<storage, read_write> destination: array<Moved>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = flat_index(group, groups, local, 64u);
  if (i >= params.count) { return; }
  var rest = i;
  var read_at = params.source_offset;
  var write_at = params.target_offset;
#for d in 0..6
  // Dimensions come last first.
  read_at += (rest % params.size${d}) * params.s${d};
  write_at += (rest % params.size${d}) * params.t${d};
  rest /= params.size${d};
#end
  destination[write_at] = source[read_at];
}
