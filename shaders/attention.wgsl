// Scaled dot-product attention with online softmax (Milakov and Gimelshein, 2018; Dao et al., FlashAttention,
// 2022), which stores no length × length matrix. One invocation computes one query row of one head. A row
// with every key masked gives zeros.
#include <common/attention_forward>

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  let head = id.z;
  let plane = plane_of(id.y, head);
  let own = sequence(id.y);
  if (i >= own.y) { return; }
  let row = own.x + i;
  let column = head * params.size;
  var q: array<vec4f, ${CHUNKS}>;
  var acc: array<vec4f, ${CHUNKS}>;
#each c in 0..CHUNKS | chunks()
  q[${c}] = load_q(row * params.stride + column, ${c}) * params.scale;
#end
  var highest = -3.0e38;
  var total = 0.0;
#if BIAS
  let biases = bias_start(own, head, i);
#endif
  let keys = within(vec2u(0u, own.y), i, 1u);
  for (var j = keys.x; j < keys.y; j += 1u) {
    if (!visible(own.x + j)) { continue; }
    let key = (own.x + j) * params.stride + column;
    var score = 0.0;
#each c in 0..CHUNKS | chunks()
    score += dot(q[${c}], load_k(key + params.column_k, ${c}));
#end
#if BIAS
    score += bias_of(own, biases, j);
#endif
    if (score > highest) {
      let shrink = exp(max(highest - score, -100.0));
      total *= shrink;
#each c in 0..CHUNKS | chunks()
      acc[${c}] *= shrink;
#end
      highest = score;
    }
    let weight = exp(score - highest);
    total += weight;
#if DROPOUT
    let kept = weight * dropout_of(plane, i, j);
#else
    let kept = weight;
#endif
#each c in 0..CHUNKS | chunks()
    acc[${c}] = fma(vec4f(kept), load_v(key + params.column_v, ${c}), acc[${c}]);
#end
  }
  let inverse = select(0.0, 1.0 / total, total > 0.0);
#each c in 0..CHUNKS | chunks()
  store_o(row * params.heads * params.size + column, ${c}, acc[${c}] * inverse);
#end
  store_stats(stats_of(head, row), highest, total);
}
