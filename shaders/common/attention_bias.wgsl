// What is added to the scores of a sequence's queries and keys. Past the sequence's end, that of the last ones.

fn last_of(own: vec2u) -> u32 {
  return max(own.y, 1u) - 1u;
}

// The element of a query and key 0.
fn bias_start(own: vec2u, head: u32, query: u32) -> u32 {
  let i = min(query, last_of(own));
  return params.bias_first + head * params.bias_head + (own.x + i) * params.bias_row + i * params.bias_query;
}

fn bias_of(own: vec2u, start: u32, key: u32) -> f32 {
  return bias[start + min(key, last_of(own)) * params.bias_key];
}
