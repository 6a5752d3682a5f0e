// C = act(op(A) · op(B) + bias), batched; each invocation computes an 8 × 8 tile of C in registers and reads A and B
// directly (software adapters: workgroup memory only costs there).
// A: [m, k], or [k, m] where TRANSPOSE_A; B: [k, n], or [n, k] where TRANSPOSE_B. VEC: every row starts on a multiple of four.
#include <common/matmul>

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row0 = id.y * 8u;
  let column0 = id.x * 8u;
  if (row0 >= params.m || column0 >= params.n) { return; }
  let base_a = params.offset_a + id.z * params.batch_a;
  let base_b = params.offset_b + id.z * params.batch_b;
#for i in 0..8
#for h in 0..2
  var c${i}_${h} = vec4f();
#end
#end
  // Rows past the edge read the last row again; their results are not stored.
#if TRANSPOSE_A
#for h in 0..2
  let ra${h} = base_a + clamp_start(row0 + ${4 * h}u, params.m);
#end
#else
#for i in 0..8
  let ra${i} = base_a + min(row0 + ${i}u, params.m - 1u) * params.stride_a;
#end
#endif
#if TRANSPOSE_B
#for j in 0..8
  let rb${j} = base_b + min(column0 + ${j}u, params.n - 1u) * params.stride_b;
#end
#else
#for h in 0..2
  let rb${h} = base_b + clamp_start(column0 + ${4 * h}u, params.n);
#end
#endif
  for (var k = 0u; k < params.k; k += 4u) {
#if TRANSPOSE_A
#for e in 0..4
#for h in 0..2
    let at${e}_${h} = load_a(ra${h} + min(k + ${e}u, params.k - 1u) * params.stride_a, params.m - min(row0 + ${4 * h}u, params.m)) * in_k(k + ${e}u);
#end
#end
#for i in 0..8
    let a${i} = vec4f(at0_${i / 4}[${i % 4}], at1_${i / 4}[${i % 4}], at2_${i / 4}[${i % 4}], at3_${i / 4}[${i % 4}]);
#end
#else
#for i in 0..8
    let a${i} = load_a(ra${i} + k, params.k - k);
#end
#endif
#if TRANSPOSE_B
#for j in 0..8
    let bt${j} = load_b(rb${j} + k, params.k - k);
#end
#for e in 0..4
#for h in 0..2
    let b${e}_${h} = vec4f(bt${4 * h}[${e}], bt${4 * h + 1}[${e}], bt${4 * h + 2}[${e}], bt${4 * h + 3}[${e}]);
#end
#end
#else
#for e in 0..4
#for h in 0..2
    let b${e}_${h} = load_b(rb${h} + min(k + ${e}u, params.k - 1u) * params.stride_b, params.n - min(column0 + ${4 * h}u, params.n)) * in_k(k + ${e}u);
#end
#end
#endif
#for e in 0..4
#for i in 0..8
#for h in 0..2
    c${i}_${h} = fma(vec4f(a${i}[${e}]), b${e}_${h}, c${i}_${h});
#end
#end
#end
  }
#for i in 0..8
#for h in 0..2
  store_c(id.z, row0 + ${i}u, column0 + ${4 * h}u, c${i}_${h});
#end
#end
}
