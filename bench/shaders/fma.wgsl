// The adapter's multiply-add ceiling: chains of fma on registers, nothing else. Each invocation runs CHAINS
// independent chains of four-vectors for `steps` rounds of UNROLL: 8 · CHAINS · UNROLL · steps floating-point
// operations.
#if HALF
enable f16;
alias Scalar = f16;
alias Vector = vec4<f16>;
#else
alias Scalar = f32;
alias Vector = vec4f;
#endif
struct Params { steps: u32, seed: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> result: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  // These values depend on the invocation and the host, so the compiler cannot precompute anything.
  let factor = Vector(Scalar(params.seed * 0.5));
  let term = Vector(Scalar(params.seed + f32(id.x % 7u) * 0.125));
#for i in 0..CHAINS
  var x${i} = term * Scalar(${i + 1});
#end
  for (var s = 0u; s < params.steps; s += 1u) {
#for u in 0..UNROLL
#for i in 0..CHAINS
    x${i} = fma(x${i}, factor, term);
#end
#end
  }
  var total = Vector();
#for i in 0..CHAINS
  total += x${i};
#end
  result[id.x] = f32(total.x + total.y + total.z + total.w);
}
