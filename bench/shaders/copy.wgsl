// The adapter's memory ceiling: y = x in four-vectors, adjacent invocations on adjacent vectors. RUNS: each
// workgroup copies its own contiguous run; otherwise all workgroups interleave.
struct Params { count: u32, groups: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
#if RUNS
  let run = params.count / params.groups;
  let end = (group.x + 1u) * run;
  for (var i = group.x * run + local; i < end; i += 64u) {
#else
  for (var i = group.x * 64u + local; i < params.count; i += params.groups * 64u) {
#endif
    y[i] = x[i];
  }
}
