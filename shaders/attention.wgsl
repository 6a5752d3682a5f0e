// Scaled dot-product attention with online softmax (Milakov and Gimelshein, 2018; Dao et al., FlashAttention, 2022):
// no length × length matrix is stored. One invocation computes one query row of one head.
// q, k, v, o: [batch, length, heads · size]; mask: [batch, length], 1 where a key may be seen; lse: [batch, heads, length].
// A row with every key masked gives zeros.
#include <common/head>
#include <common/rng>
struct Params {
  batch: u32, heads: u32, length: u32, size: u32,
  has_mask: u32, seed: u32, stream: u32, threshold: u32,
  scale: f32, keep_scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Element>;
@group(0) @binding(2) var<storage, read> k: array<Element>;
@group(0) @binding(3) var<storage, read> v: array<Element>;
@group(0) @binding(4) var<storage, read> mask: array<i32>;
@group(0) @binding(5) var<storage, read_write> o: array<Element>;
@group(0) @binding(6) var<storage, read_write> lse: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  let head = id.y;
  let b = id.z;
  if (i >= params.length) { return; }
  let width = params.heads * params.size;
  let row = (b * params.length + i) * width + head * params.size;
#for c in 0..CHUNKS
#if VEC
  let q${c} = q[row / 4u + ${c}u] * params.scale;
#else
  var q${c} = vec4f();
#for e in 0..4
  if (${4 * c + e}u < params.size) { q${c}[${e}] = q[row + ${4 * c + e}u] * params.scale; }
#end
#endif
  var acc${c} = vec4f();
#end
  var highest = -3.0e38;
  var total = 0.0;
  let element = ((b * params.heads + head) * params.length + i) * params.length;
  for (var j = 0u; j < params.length; j += 1u) {
    if (params.has_mask != 0u && mask[b * params.length + j] == 0) { continue; }
    let key = (b * params.length + j) * width + head * params.size;
    var score = 0.0;
#for c in 0..CHUNKS
#if VEC
    score += dot(q${c}, k[key / 4u + ${c}u]);
#else
#for e in 0..4
    if (${4 * c + e}u < params.size) { score = fma(q${c}[${e}], k[key + ${4 * c + e}u], score); }
#end
#endif
#end
    if (score > highest) {
      let shrink = exp(max(highest - score, -100.0));
      total *= shrink;
#for c in 0..CHUNKS
      acc${c} *= shrink;
#end
      highest = score;
    }
    let weight = exp(score - highest);
    total += weight;
    var kept = weight;
    if (params.threshold != 0u) {
      kept *= dropout_scale(element + j, params.seed, params.stream, params.threshold, params.keep_scale);
    }
#for c in 0..CHUNKS
#if VEC
    acc${c} = fma(vec4f(kept), v[key / 4u + ${c}u], acc${c});
#else
#for e in 0..4
    if (${4 * c + e}u < params.size) { acc${c}[${e}] = fma(kept, v[key + ${4 * c + e}u], acc${c}[${e}]); }
#end
#endif
#end
  }
  let inverse = select(0.0, 1.0 / total, total > 0.0);
#for c in 0..CHUNKS
#if VEC
  o[row / 4u + ${c}u] = acc${c} * inverse;
#else
#for e in 0..4
  if (${4 * c + e}u < params.size) { o[row + ${4 * c + e}u] = acc${c}[${e}] * inverse; }
#end
#endif
#end
  lse[(b * params.heads + head) * params.length + i] = select(3.0e38, highest + log(total), total > 0.0);
}
