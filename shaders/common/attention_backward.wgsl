// Backward of attention, the scores computed again from q, k and the saved logsumexp (Dao et al., 2022):
//   p = exp(q·k − lse), with dropout mask d (0 or 1/(1−p)): dv = Σ p·d·do, ds = p · (d · (do·v) − Δ), Δ = do·o.
//   PART query: dq = scale · Σ ds·k of each query, and Δ into `stats` beside the logsumexp.
//   PART key:   dk = scale · Σ ds·q and dv of each key; after the other part.
// The gradients lie as q, k and v do; FUSED: those of k and v in one buffer.
#include <common/attention>
@group(0) @binding(5) var<storage, read> grad: array<StoredElement>;
#if PART == query
@group(0) @binding(6) var<storage, read_write> stats: array<vec2f>;
@group(0) @binding(7) var<storage, read> o: array<StoredElement>;
@group(0) @binding(8) var<storage, read_write> dq: array<StoredElement>;
#else
@group(0) @binding(6) var<storage, read> stats: array<vec2f>;
@group(0) @binding(7) var<storage, read_write> dk: array<StoredElement>;
#if !FUSED
@group(0) @binding(8) var<storage, read_write> dv: array<StoredElement>;
#endif
#endif

fn load_grad(at: u32, c: u32) -> vec4f {
#if VEC
  return vec4f(grad[at / 4u + c]);
#else
  let last = at + params.size - 1u;
  let i = at + 4u * c;
  return inside(c, vec4f(vec4<Stored>(grad[i], grad[min(i + 1u, last)], grad[min(i + 2u, last)], grad[min(i + 3u, last)])));
#endif
}

#if PART == query
fn load_o(at: u32, c: u32) -> vec4f {
#if VEC
  return vec4f(o[at / 4u + c]);
#else
  let last = at + params.size - 1u;
  let i = at + 4u * c;
  return inside(c, vec4f(vec4<Stored>(o[i], o[min(i + 1u, last)], o[min(i + 2u, last)], o[min(i + 3u, last)])));
#endif
}

fn store_dq(at: u32, c: u32, value: vec4f) {
#if VEC
  dq[at / 4u + c] = StoredElement(value);
#else
#for e in 0..4
  if (4u * c + ${e}u < params.size) { dq[at + 4u * c + ${e}u] = Stored(value[${e}]); }
#end
#endif
}
#else
fn store_dk(at: u32, c: u32, value: vec4f) {
#if VEC
  dk[at / 4u + c] = StoredElement(value);
#else
#for e in 0..4
  if (4u * c + ${e}u < params.size) { dk[at + 4u * c + ${e}u] = Stored(value[${e}]); }
#end
#endif
}

fn store_dv(at: u32, c: u32, value: vec4f) {
#if FUSED
  store_dk(at, c, value);
#else
#if VEC
  dv[at / 4u + c] = StoredElement(value);
#else
#for e in 0..4
  if (4u * c + ${e}u < params.size) { dv[at + 4u * c + ${e}u] = Stored(value[${e}]); }
#end
#endif
#endif
}
#endif
