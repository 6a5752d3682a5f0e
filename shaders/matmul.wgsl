// C = act(op(A) · op(B) + bias) for adapters that compute on the CPU without subgroups of a known size. Each
// invocation computes ROWS × 4 elements of C in registers and reads A and B from memory directly: staging
// them in workgroup memory only costs there. See common/matmul.wgsl for the operands, the batch, the epilogue
// and the defines that all techniques share.
#include <common/matmul>

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row0 = group.y * ${ROWS}u;
  let column0 = (group.x * ${LANES}u + lane) * 4u;
  if (column0 >= params.n) { return; }
  let base_a = params.offset_a + group.z * params.batch_a;
  let base_b = params.offset_b + group.z * params.batch_b;
  let size_k = inner_size(group.z);
#for i in 0..ROWS
  var c${i} = vec4f();
#end
  // Rows past the edge read the last row again; their results are not stored.
#if TRANSPOSE_A
#for h in 0..ROWS / 4
#if SUM_A
  var sum${h} = vec4f();
#endif
  let ra${h} = base_a + clamp_start_a(row0 + ${4 * h}u, params.m);
#end
#else
#for i in 0..ROWS
  let ra${i} = base_a + min(row0 + ${i}u, params.m - 1u) * params.stride_a;
#end
#endif
#if TRANSPOSE_B
#for j in 0..4
  let rb${j} = base_b + min(column0 + ${j}u, params.n - 1u) * params.stride_b;
#end
#else
  let rb = base_b + clamp_start_b(column0, params.n);
#endif
  for (var k = 0u; k < size_k; k += 4u) {
#if TRANSPOSE_B
#for j in 0..4
    let bt${j} = load_b(rb${j} + k, size_k - k);
#end
#for e in 0..4
    let b${e} = vec4f(bt0[${e}], bt1[${e}], bt2[${e}], bt3[${e}]);
#end
#else
#for e in 0..4
    let b${e} = inside_k(k + ${e}u, size_k, load_b(rb + min(k + ${e}u, size_k - 1u) * params.stride_b, params.n - min(column0, params.n)));
#end
#endif
#if TRANSPOSE_A
#for e in 0..4
#for h in 0..ROWS / 4
    let at${e}_${h} = inside_k(k + ${e}u, size_k, load_a(ra${h} + min(k + ${e}u, size_k - 1u) * params.stride_a, params.m - min(row0 + ${4 * h}u, params.m)));
#if SUM_A
    sum${h} += at${e}_${h};
#endif
#for i in 0..4
    c${4 * h + i} = fma(vec4f(at${e}_${h}[${i}]), b${e}, c${4 * h + i});
#end
#end
#end
#else
#for i in 0..ROWS
    let a${i} = load_a(ra${i} + k, size_k - k);
#for e in 0..4
    c${i} = fma(vec4f(a${i}[${e}]), b${e}, c${i});
#end
#end
#endif
  }
#if SUM_A
  if (column0 == 0u) {
#for h in 0..ROWS / 4
    store_sum(group.z, row0 + ${4 * h}u, sum${h});
#end
  }
#endif
  let added = load_bias(column0);
#for i in 0..ROWS
  store_c(group.z, row0 + ${i}u, column0, c${i}, added);
#end
}
