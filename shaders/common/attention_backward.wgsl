// Backward of attention, the scores computed again from q, k and the saved logsumexp (Dao et al., 2022):
//   p = exp(q·k − lse), with dropout mask d (0 or 1/(1−p)): dv = Σ p·d·do, ds = p · (d · (do·v) − Δ), Δ =
//   do·o.
//   PART query: dq = scale · Σ ds·k of each query, and Δ into `stats` beside the logsumexp.
//   PART key:   dk = scale · Σ ds·q and dv of each key; after the other part.
// The gradients are laid out as q, k and v are. FUSED: those of k and v are in one buffer.
// BIAS: the query part also gives ds / scale, the gradient of what was added to the scores.
#include <common/attention>
@group(0) @binding(${5 - BIAS}) var<storage, read> grad: array<StoredElement>;
#if PART == query
@group(0) @binding(${6 - BIAS}) var<storage, read_write> stats: array<vec2f>;
@group(0) @binding(${7 - BIAS}) var<storage, read> o: array<StoredElement>;
@group(0) @binding(${8 - BIAS}) var<storage, read_write> dq: array<StoredElement>;
#if BIAS
// [tokens, heads, length].
@group(0) @binding(8) var<storage, read_write> dbias: array<f32>;
#let READ = "q grad o"
#let WRITTEN = "dq"
#include <common/attention_rows>
#include <common/attention_bias>

// `ds`: the gradient of a score before it is scaled.
fn store_dbias(own: vec2u, head: u32, query: u32, key: u32, ds: f32) {
  if (query >= own.y || key >= own.y) { return; }
  dbias[((own.x + query) * params.heads + head) * params.length + key] = ds / params.scale;
}
#else
#let READ = "q k v grad o"
#let WRITTEN = "dq"
#include <common/attention_rows>
#endif
#else
@group(0) @binding(${6 - BIAS}) var<storage, read> stats: array<vec2f>;
@group(0) @binding(${7 - BIAS}) var<storage, read_write> dk: array<StoredElement>;
#if FUSED
#if BIAS
#let READ = "q grad"
#let WRITTEN = "dk"
#include <common/attention_rows>
#include <common/attention_bias>
#else
#let READ = "q k v grad"
#let WRITTEN = "dk"
#include <common/attention_rows>
#endif

fn store_dv(at: u32, c: u32, value: vec4f) {
  store_dk(at, c, value);
}
#else
@group(0) @binding(8) var<storage, read_write> dv: array<StoredElement>;
#let READ = "q k v grad"
#let WRITTEN = "dk dv"
#include <common/attention_rows>
#endif
#endif
