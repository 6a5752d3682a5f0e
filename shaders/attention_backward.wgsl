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
  var q: array<vec4f, ${CHUNKS}>;
  var g: array<vec4f, ${CHUNKS}>;
  var d: array<vec4f, ${CHUNKS}>;
  var key: array<vec4f, ${CHUNKS}>;
#each c in 0..CHUNKS | chunks()
  q[${c}] = load_q(first + at * params.stride, ${c}) * params.scale;
  g[${c}] = load_grad(first_grad + at * width, ${c});
  delta += dot(g[${c}], load_o(first_grad + at * width, ${c}));
#end
  let lse = stats[first_stats + at].x;
  stats[first_stats + at] = vec2f(lse, delta);
#if BIAS
  let biases = bias_start(own, head, at);
#endif
  let others = within(vec2u(0u, own.y), at, 1u);
  for (var j = others.x; j < others.y; j += 1u) {
    if (!visible(own.x + j)) { continue; }
    let other = first + j * params.stride;
    var score = 0.0;
    var slope = 0.0;
#each c in 0..CHUNKS | chunks()
    key[${c}] = load_k(other + params.column_k, ${c});
    score += dot(q[${c}], key[${c}]);
    slope += dot(g[${c}], load_v(other + params.column_v, ${c}));
#end
#if DROPOUT
    slope *= dropout_of(plane, at, j);
#endif
#if BIAS
    score += bias_of(own, biases, j);
#endif
    let ds = exp(min(score - lse, 0.0)) * (slope - delta) * params.scale;
#if BIAS
    store_dbias(own, head, at, j, ds);
#endif
#each c in 0..CHUNKS | chunks()
    d[${c}] = fma(vec4f(ds), key[${c}], d[${c}]);
#end
  }
#each c in 0..CHUNKS | chunks()
  store_dq(first + at * params.stride, ${c}, d[${c}]);
#end
#else
  var key: array<vec4f, ${CHUNKS}>;
  var value: array<vec4f, ${CHUNKS}>;
  var dkey: array<vec4f, ${CHUNKS}>;
  var dvalue: array<vec4f, ${CHUNKS}>;
  var query: array<vec4f, ${CHUNKS}>;
  var g: array<vec4f, ${CHUNKS}>;
#each c in 0..CHUNKS | chunks()
  key[${c}] = load_k(first + at * params.stride + params.column_k, ${c}) * params.scale;
  value[${c}] = load_v(first + at * params.stride + params.column_v, ${c});
#end
  let seen = visible(row);
  let others = within(vec2u(0u, own.y), at, 1u);
  for (var i = others.x; seen && i < others.y; i += 1u) {
    var score = 0.0;
    var slope = 0.0;
#each c in 0..CHUNKS | chunks()
    query[${c}] = load_q(first + i * params.stride, ${c});
    g[${c}] = load_grad(first_grad + i * width, ${c});
    score += dot(query[${c}], key[${c}]);
    slope += dot(g[${c}], value[${c}]);
#end
#if BIAS
    score += bias_of(own, bias_start(own, head, i), at);
#endif
    let row_stats = stats[first_stats + i];
    let weight = exp(min(score - row_stats.x, 0.0));
#if DROPOUT
    let keep = dropout_of(plane, i, at);
#else
    let keep = 1.0;
#endif
    let ds = weight * (slope * keep - row_stats.y) * params.scale;
#each c in 0..CHUNKS | chunks()
    dvalue[${c}] = fma(vec4f(weight * keep), g[${c}], dvalue[${c}]);
    dkey[${c}] = fma(vec4f(ds), query[${c}], dkey[${c}]);
#end
  }
#each c in 0..CHUNKS | chunks()
  store_dk(first + at * params.stride + params.column_k, ${c}, dkey[${c}]);
  store_dv(first + at * params.stride + params.column_v, ${c}, dvalue[${c}]);
#end
#endif
}
