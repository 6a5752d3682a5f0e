// C = act(Σ parts + bias) for a product whose inner dimension was split. A holds the products of the parts,
// [parts, m, n], and B, if SUM_A, the sums of their rows, [parts, m]. params.k counts the parts, which are
// added in order.
#include <common/index>
#include <common/matmul>

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = flat_index(group, groups, local, 64u);
#if SUM_A
  if (4u * i < params.m) {
    var sum = vec4f();
    for (var part = 0u; part < params.k; part += 1u) {
      sum += load_b(params.offset_b + part * params.batch_b + 4u * i, params.m - 4u * i);
    }
    store_sum(0u, 4u * i, sum);
  }
#endif
  let vectors = (params.n + 3u) / 4u;
  let row = i / vectors;
  let column = 4u * (i % vectors);
  if (row >= params.m) { return; }
  var total = vec4f();
  for (var part = 0u; part < params.k; part += 1u) {
    total += load_a(params.offset_a + part * params.batch_a + row * params.stride_a + column, params.n - column);
  }
  store_c(0u, row, column, total, load_bias(column));
}
