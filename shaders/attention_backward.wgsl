// Backward of attention, plain: one invocation computes one query, or one key, of one head.
#include <common/attention_backward>

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = id.x;
  let head = id.z;
  let plane = plane_of(id.y, head);
  let own = sequence(id.y);
  if (at >= own.y) { return; }
  let row = own.x + at;
  let column = head * params.size;
  let width = params.heads * params.size;
  let first_stats = stats_of(head, own.x);
  let first_grad = own.x * width + column;
  let first = own.x * params.stride + column;
#if PART == query
  var delta = 0.0;
#for c in 0..CHUNKS
  let q${c} = load_q(first + at * params.stride, ${c}u) * params.scale;
  let g${c} = load_grad(first_grad + at * width, ${c}u);
  delta += dot(g${c}, load_o(first_grad + at * width, ${c}u));
  var d${c} = vec4f();
#end
  let lse = stats[first_stats + at].x;
  stats[first_stats + at] = vec2f(lse, delta);
  for (var j = 0u; j < own.y; j += 1u) {
    if (!visible(own.x + j)) { continue; }
    let other = first + j * params.stride;
    var score = 0.0;
    var slope = 0.0;
#for c in 0..CHUNKS
    let key${c} = load_k(other + params.column_k, ${c}u);
    score += dot(q${c}, key${c});
    slope += dot(g${c}, load_v(other + params.column_v, ${c}u));
#end
#if DROPOUT
    slope *= dropout_of(plane, at, j);
#endif
    let ds = exp(min(score - lse, 0.0)) * (slope - delta) * params.scale;
#for c in 0..CHUNKS
    d${c} = fma(vec4f(ds), key${c}, d${c});
#end
  }
#for c in 0..CHUNKS
  store_dq(first + at * params.stride, ${c}u, d${c});
#end
#else
#for c in 0..CHUNKS
  let key${c} = load_k(first + at * params.stride + params.column_k, ${c}u) * params.scale;
  let value${c} = load_v(first + at * params.stride + params.column_v, ${c}u);
  var dkey${c} = vec4f();
  var dvalue${c} = vec4f();
#end
  let seen = visible(row);
  for (var i = 0u; seen && i < own.y; i += 1u) {
    var score = 0.0;
    var slope = 0.0;
#for c in 0..CHUNKS
    let query${c} = load_q(first + i * params.stride, ${c}u);
    let g${c} = load_grad(first_grad + i * width, ${c}u);
    score += dot(query${c}, key${c});
    slope += dot(g${c}, value${c});
#end
    let row_stats = stats[first_stats + i];
    let weight = exp(min(score - row_stats.x, 0.0));
#if DROPOUT
    let keep = dropout_of(plane, i, at);
#else
    let keep = 1.0;
#endif
    let ds = weight * (slope * keep - row_stats.y) * params.scale;
#for c in 0..CHUNKS
    dvalue${c} = fma(vec4f(weight * keep), g${c}, dvalue${c});
    dkey${c} = fma(vec4f(ds), query${c}, dkey${c});
#end
  }
#for c in 0..CHUNKS
  store_dk(first + at * params.stride + params.column_k, ${c}u, dkey${c});
  store_dv(first + at * params.stride + params.column_v, ${c}u, dvalue${c});
#end
#endif
}
