// Scores of attention by the distance of query and key. Products of tokens with embeddings of distances are
// [tokens, sides, heads, count]: of queries if BY_QUERY, of keys if BY_KEY, in this order; a number for each row
// of the embeddings from row `low` on. The workgroups of a sequence are those of one y, of a head those of one z.
//   PART spread:  what a query's score of a key gets from them, times `scale`: [tokens, heads, length].
//   PART collect: the products' gradients, from those of the scores.
//   PART sum:     the gradients' sum over each distance of a sequence, [batch, heads, count].
#include <common/stored>
struct Params {
  length: u32, heads: u32, count: u32,
  // The sequence that the grid begins with, and the token that the bindings of rows begin with.
  first_sequence: u32, first_token: u32, ragged: u32,
  // The place of distance 0 among all, and the first row of the embeddings.
  zero: u32, low: u32,
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
// [batch + 1], read if ragged.
@group(0) @binding(1) var<storage, read> mask_or_starts: array<i32>;
#include <common/sequence>

// The number of a query's score of key 0.
fn scores_of(row: u32, head: u32) -> u32 {
  return (row * params.heads + head) * params.length;
}

// The number of a token's first product.
fn products_of(row: u32, side: u32, head: u32) -> u32 {
  return ((row * ${SIDES}u + side) * params.heads + head) * params.count;
}

#if PART == spread
@group(0) @binding(2) var<storage, read> products: array<Stored>;
// Each distance's row of the embeddings.
@group(0) @binding(3) var<storage, read> rows: array<i32>;
@group(0) @binding(4) var<storage, read_write> scores: array<f32>;

// Workgroups: a query each.
@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let own = sequence(group.y);
  let query = group.x;
  if (query >= own.y) { return; }
  for (var key = lane; key < own.y; key += ${LANES}u) {
    let row = u32(rows[params.zero + query - key]) - params.low;
    var total = 0.0;
#if BY_QUERY
    total += f32(products[products_of(own.x + query, 0u, group.z) + row]);
#endif
#if BY_KEY
    total += f32(products[products_of(own.x + key, ${SIDES - 1}u, group.z) + row]);
#endif
    scores[scores_of(own.x + query, group.z) + key] = total * params.scale;
  }
}
#endif
#if PART == collect
@group(0) @binding(2) var<storage, read> scores: array<f32>;
// The first distance of each row of the embeddings, and one past the last.
@group(0) @binding(3) var<storage, read> firsts: array<i32>;
@group(0) @binding(4) var<storage, read_write> products: array<Stored>;

// The part of [first, end) inside a sequence.
fn inside(first: i32, end: i32, own: vec2u) -> vec2u {
  return vec2u(clamp(vec2i(first, end), vec2i(), vec2i(i32(own.y))));
}

// Workgroups: a token each, as a query and as a key.
@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let own = sequence(group.y);
  let token = group.x;
  if (token >= own.y) { return; }
  for (var row = lane; row < params.count; row += ${LANES}u) {
    let first = firsts[params.low + row] - i32(params.zero);
    let end = firsts[params.low + row + 1u] - i32(params.zero);
#if BY_QUERY
    let keys = inside(i32(token) - end + 1, i32(token) - first + 1, own);
    var by_query = 0.0;
    for (var key = keys.x; key < keys.y; key += 1u) {
      by_query += scores[scores_of(own.x + token, group.z) + key];
    }
    products[products_of(own.x + token, 0u, group.z) + row] = Stored(by_query * params.scale);
#endif
#if BY_KEY
    let queries = inside(i32(token) + first, i32(token) + end, own);
    var by_key = 0.0;
    for (var query = queries.x; query < queries.y; query += 1u) {
      by_key += scores[scores_of(own.x + query, group.z) + token];
    }
    products[products_of(own.x + token, ${SIDES - 1}u, group.z) + row] = Stored(by_key * params.scale);
#endif
  }
}
#endif
#if PART == sum
@group(0) @binding(2) var<storage, read> scores: array<f32>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;

// Invocations: a distance each.
@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let own = sequence(group.y);
  let place = group.x * ${LANES}u + lane;
  if (place >= params.count) { return; }
  let behind = max(place, params.zero) - params.zero;
  let ahead = params.zero - min(place, params.zero);
  var total = 0.0;
  for (var query = behind; query + ahead < own.y; query += 1u) {
    total += scores[scores_of(own.x + query, group.z) + query + ahead - behind];
  }
  sums[((params.first_sequence + group.y) * params.heads + group.z) * params.count + place] = total;
}
#endif
