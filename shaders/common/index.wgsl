// The flat number of an invocation in a grid folded over x and y (65,535 workgroups a dimension are allowed).
fn flat_index(workgroup: vec3u, workgroups: vec3u, local: u32, size: u32) -> u32 {
  return (workgroup.y * workgroups.x + workgroup.x) * size + local;
}

// The elements [x, y) of a workgroup of 64, if such a grid shares out `count`: adjacent ones, so that a cache
// sees them in order.
fn chunk_of(workgroup: vec3u, workgroups: vec3u, count: u32) -> vec2u {
  let invocations = workgroups.x * workgroups.y * 64u;
  let size = (count + invocations - 1u) / invocations * 64u;
  let first = (workgroup.y * workgroups.x + workgroup.x) * size;
  return vec2u(min(first, count), min(first + size, count));
}
