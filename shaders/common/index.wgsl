// The flat number of an invocation in a grid folded over x and y (65,535 workgroups a dimension are allowed).
fn flat_index(workgroup: vec3u, workgroups: vec3u, local: u32, size: u32) -> u32 {
  return (workgroup.y * workgroups.x + workgroup.x) * size + local;
}
