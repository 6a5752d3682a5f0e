// y = x in another type of number, or four at once (VEC). `first_y`: the first element of y that is written.
enable f16;
#include <common/index>
#if VEC
alias From = vec4<${FROM}>;
alias To = vec4<${TO}>;
#else
alias From = ${FROM};
alias To = ${TO};
#endif
struct Params { count: u32, first_y: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<From>;
@group(0) @binding(2) var<storage, read_write> y: array<To>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let chunk = chunk_of(group, groups, params.count);
  for (var i = chunk.x + local; i < chunk.y; i += 64u) {
    y[params.first_y + i] = To(x[i]);
  }
}
