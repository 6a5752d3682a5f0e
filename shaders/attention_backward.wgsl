// Backward of attention, the scores computed again from q, k and the saved logsumexp (Dao et al., 2022):
//   p = exp(q·k − lse), with dropout mask d (0 or 1/(1−p)): dv = Σ p·d·do, ds = p · (d · (do·v) − Δ), Δ = do·o.
//   DELTA: per query row the pair (lse, Δ).
//   QUERY: one invocation a query: dq = scale · Σ ds·k.
//   KEY:   one invocation a key: dk = scale · Σ ds·q, dv.
#include <common/head>
#include <common/rng>
struct Params {
  batch: u32, heads: u32, length: u32, size: u32,
  has_mask: u32, seed: u32, stream: u32, threshold: u32,
  scale: f32, keep_scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
#if PART == delta
@group(0) @binding(1) var<storage, read> o: array<Element>;
@group(0) @binding(2) var<storage, read> grad: array<Element>;
@group(0) @binding(3) var<storage, read> lse: array<f32>;
@group(0) @binding(4) var<storage, read_write> rows: array<vec2f>;
#else
@group(0) @binding(1) var<storage, read> q: array<Element>;
@group(0) @binding(2) var<storage, read> k: array<Element>;
@group(0) @binding(3) var<storage, read> v: array<Element>;
@group(0) @binding(4) var<storage, read> mask: array<i32>;
@group(0) @binding(5) var<storage, read> grad: array<Element>;
@group(0) @binding(6) var<storage, read> rows: array<vec2f>;
#if PART == query
@group(0) @binding(7) var<storage, read_write> dq: array<Element>;
#else
@group(0) @binding(7) var<storage, read_write> dk: array<Element>;
@group(0) @binding(8) var<storage, read_write> dv: array<Element>;
#endif
#endif

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = id.x;
  let head = id.y;
  let b = id.z;
  if (at >= params.length) { return; }
  let width = params.heads * params.size;
  let own = (b * params.length + at) * width + head * params.size;
  let plane = (b * params.heads + head) * params.length;
#if PART == delta
#for c in 0..CHUNKS
#if VEC
  let g${c} = grad[own / 4u + ${c}u];
#else
  var g${c} = vec4f();
#for e in 0..4
  if (${4 * c + e}u < params.size) { g${c}[${e}] = grad[own + ${4 * c + e}u]; }
#end
#endif
#end
#for c in 0..CHUNKS
#if VEC
  let out${c} = o[own / 4u + ${c}u];
#else
  var out${c} = vec4f();
#for e in 0..4
  if (${4 * c + e}u < params.size) { out${c}[${e}] = o[own + ${4 * c + e}u]; }
#end
#endif
#end
  var delta = 0.0;
#for c in 0..CHUNKS
  delta += dot(g${c}, out${c});
#end
  rows[plane + at] = vec2f(lse[plane + at], delta);
#endif
#if PART == query
#for c in 0..CHUNKS
#if VEC
  let q${c} = q[own / 4u + ${c}u] * params.scale;
#else
  var q${c} = vec4f();
#for e in 0..4
  if (${4 * c + e}u < params.size) { q${c}[${e}] = q[own + ${4 * c + e}u] * params.scale; }
#end
#endif
#end
#for c in 0..CHUNKS
#if VEC
  let g${c} = grad[own / 4u + ${c}u];
#else
  var g${c} = vec4f();
#for e in 0..4
  if (${4 * c + e}u < params.size) { g${c}[${e}] = grad[own + ${4 * c + e}u]; }
#end
#endif
#end
#for c in 0..CHUNKS
  var d${c} = vec4f();
#end
  let stats = rows[plane + at];
  for (var j = 0u; j < params.length; j += 1u) {
    if (params.has_mask != 0u && mask[b * params.length + j] == 0) { continue; }
    let other = (b * params.length + j) * width + head * params.size;
    var score = 0.0;
    var slope = 0.0;
#for c in 0..CHUNKS
#if VEC
  let key${c} = k[other / 4u + ${c}u];
#else
  var key${c} = vec4f();
#for e in 0..4
  if (${4 * c + e}u < params.size) { key${c}[${e}] = k[other + ${4 * c + e}u]; }
#end
#endif
#end
#for c in 0..CHUNKS
#if VEC
  let value${c} = v[other / 4u + ${c}u];
#else
  var value${c} = vec4f();
#for e in 0..4
  if (${4 * c + e}u < params.size) { value${c}[${e}] = v[other + ${4 * c + e}u]; }
#end
#endif
#end
#for c in 0..CHUNKS
    score += dot(q${c}, key${c});
    slope += dot(g${c}, value${c});
#end
    if (params.threshold != 0u) {
      slope *= dropout_scale((plane + at) * params.length + j, params.seed, params.stream, params.threshold, params.keep_scale);
    }
    let ds = exp(min(score - stats.x, 0.0)) * (slope - stats.y) * params.scale;
#for c in 0..CHUNKS
    d${c} = fma(vec4f(ds), key${c}, d${c});
#end
  }
#for c in 0..CHUNKS
#if VEC
  dq[own / 4u + ${c}u] = d${c};
#else
#for e in 0..4
  if (${4 * c + e}u < params.size) { dq[own + ${4 * c + e}u] = d${c}[${e}]; }
#end
#endif
#end
#endif
#if PART == key
#for c in 0..CHUNKS
#if VEC
  let key${c} = k[own / 4u + ${c}u] * params.scale;
#else
  var key${c} = vec4f();
#for e in 0..4
  if (${4 * c + e}u < params.size) { key${c}[${e}] = k[own + ${4 * c + e}u] * params.scale; }
#end
#endif
#end
#for c in 0..CHUNKS
#if VEC
  let value${c} = v[own / 4u + ${c}u];
#else
  var value${c} = vec4f();
#for e in 0..4
  if (${4 * c + e}u < params.size) { value${c}[${e}] = v[own + ${4 * c + e}u]; }
#end
#endif
#end
#for c in 0..CHUNKS
  var dkey${c} = vec4f();
  var dvalue${c} = vec4f();
#end
  let seen = params.has_mask == 0u || mask[b * params.length + at] != 0;
  for (var i = 0u; seen && i < params.length; i += 1u) {
    let other = (b * params.length + i) * width + head * params.size;
    var score = 0.0;
    var slope = 0.0;
#for c in 0..CHUNKS
#if VEC
  let query${c} = q[other / 4u + ${c}u];
#else
  var query${c} = vec4f();
#for e in 0..4
  if (${4 * c + e}u < params.size) { query${c}[${e}] = q[other + ${4 * c + e}u]; }
#end
#endif
#end
#for c in 0..CHUNKS
#if VEC
  let g${c} = grad[other / 4u + ${c}u];
#else
  var g${c} = vec4f();
#for e in 0..4
  if (${4 * c + e}u < params.size) { g${c}[${e}] = grad[other + ${4 * c + e}u]; }
#end
#endif
#end
#for c in 0..CHUNKS
    score += dot(query${c}, key${c});
    slope += dot(g${c}, value${c});
#end
    var keep = 1.0;
    if (params.threshold != 0u) {
      keep = dropout_scale((plane + i) * params.length + at, params.seed, params.stream, params.threshold, params.keep_scale);
    }
    let stats = rows[plane + i];
    let weight = exp(min(score - stats.x, 0.0));
    let ds = weight * (slope * keep - stats.y) * params.scale;
#for c in 0..CHUNKS
    dvalue${c} = fma(vec4f(weight * keep), g${c}, dvalue${c});
    dkey${c} = fma(vec4f(ds), query${c}, dkey${c});
#end
  }
#for c in 0..CHUNKS
#if VEC
  dk[own / 4u + ${c}u] = dkey${c};
#else
#for e in 0..4
  if (${4 * c + e}u < params.size) { dk[own + ${4 * c + e}u] = dkey${c}[${e}]; }
#end
#endif
#end
#for c in 0..CHUNKS
#if VEC
  dv[own / 4u + ${c}u] = dvalue${c};
#else
#for e in 0..4
  if (${4 * c + e}u < params.size) { dv[own + ${4 * c + e}u] = dvalue${c}[${e}]; }
#end
#endif
#end
#endif
}
