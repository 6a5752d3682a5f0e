// Shared by the attention shaders: the layout of q, k and v, and rows of one head as CHUNKS four-vectors.
// Tokens are rows, those of a sequence adjacent. q, k and v are columns of rows of `stride` elements, and may
// be one buffer bound three times; o and its gradient have rows of heads · size. VEC: the head size is a
// multiple of four. BIAS: numbers are added to the scores, and q, k and v are one buffer, bound as q.
#include <common/rng>
#include <common/stored>
struct Params {
  tokens: u32, length: u32, heads: u32, size: u32,
  // The sequence that the grid begins with, and the token that the bindings of rows begin with.
  first_sequence: u32, first_token: u32,
  stride: u32, column_k: u32, column_v: u32,
  // Whether `mask_or_starts` is the mask of keys, [tokens], or has the starts of sequences, [batch + 1]; else it is
  // not read.
  masked: u32, ragged: u32,
  seed: u32, stream: u32, threshold: u32,
  // The largest distance between a query and a key that it sees, if WINDOW.
  window: u32,
#if BIAS
  // Steps to the bias of another head, of another row of queries, of another query of the sequence, of another
  // key of the sequence; and the element to start from.
  bias_head: u32, bias_row: u32, bias_query: u32, bias_key: u32, bias_first: u32,
#endif
  scale: f32, keep_scale: f32,
}
#if VEC
alias StoredElement = vec4<Stored>;
#else
alias StoredElement = Stored;
#endif
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<StoredElement>;
#if BIAS
@group(0) @binding(2) var<storage, read> bias: array<f32>;
#else
@group(0) @binding(2) var<storage, read> k: array<StoredElement>;
@group(0) @binding(3) var<storage, read> v: array<StoredElement>;
#endif
@group(0) @binding(${4 - BIAS}) var<storage, read> mask_or_starts: array<i32>;

// CHUNKS, unknown to compilers.
fn chunks() -> u32 {
  return (params.size + 3u) / 4u;
}

#include <common/sequence>

// Whether the key in a row may be seen.
fn visible(row: u32) -> bool {
  return params.masked == 0u || mask_or_starts[params.first_token + row] != 0;
}

// The part of a range of keys that queries `first` to before `first + count` may see, or the other way round.
fn within(range: vec2u, first: u32, count: u32) -> vec2u {
#if WINDOW
  return vec2u(max(range.x, first - min(first, params.window)), min(range.y, first + count + params.window));
#else
  return range;
#endif
}

#if WINDOW
// 1 if the query may see the key, else 0.
fn near(query: u32, key: u32) -> f32 {
  return select(0.0, 1.0, max(query, key) - min(query, key) <= params.window);
}

#endif
// The number of a sequence's head among all.
fn plane_of(group: u32, head: u32) -> u32 {
  return (params.first_sequence + group) * params.heads + head;
}

// The index of a row's statistics for a head.
fn stats_of(head: u32, row: u32) -> u32 {
  return head * params.tokens + params.first_token + row;
}

// Dropout of an attention weight, which is number ((b · heads + head) · length + query) · length + key.
fn dropout_of(plane: u32, query: u32, key: u32) -> f32 {
  let element = (plane * params.length + query) * params.length + key;
  return dropout_scale(element, params.seed, params.stream, params.threshold, params.keep_scale);
}
