// The first row of the sequence of a workgroup, and how many it has.
fn sequence(group: u32) -> vec2u {
  let b = params.first_sequence + group;
  if (params.ragged == 0u) { return vec2u(b * params.length - params.first_token, params.length); }
  let first = mask_or_starts[b];
  return vec2u(u32(first) - params.first_token, u32(mask_or_starts[b + 1u] - first));
}
