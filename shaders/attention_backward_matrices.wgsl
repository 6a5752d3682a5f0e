// Backward of attention by subgroup matrices, as attention_backward_tiled.wgsl. PART query: rows are queries.
// PART key: rows are keys.
#include <common/attention_backward>
#let BROUGHT = "q k v grad"
#let OPERANDS = 2
#include <common/attention_matrices>
#if PART == key
// Of the tile's queries: the logarithm of the softmax's denominator, and Δ.
var<workgroup> stats_of_columns: array<vec2f, ${COLUMNS}>;
#endif

#include <common/pinned_lanes>
@compute @workgroup_size(GROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) index: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let head = group.z;
  let plane = plane_of(group.y, head);
  let own = sequence(group.y);
  let first = group.x * ROWS;
  if (first >= own.y) { return; }
  let mine = min(subgroup, ${BLOCKS * SPLIT - 1}u);
  let token = first + row_of_invocation(index);
  let row = row_of(own, token);
  let line_of_own = own_line(index);
  let part = part_of_invocation(index) * ${OWN}u;
  let chunk = chunk_of_invocation(index);
  let first_stats = stats_of(head, 0u);
  let keys = seen_keys(own, index);
#if PART == query
  var delta = 0.0;
  for (var c = part_of_invocation(index); c < ${SIZE / 4}u; c += ${SPLIT * LANES / M}u) {
    own_0[index / ${SPLIT * LANES}u][line_of_own + c] = q[start_q(row, head) + c];
    own_1[index / ${SPLIT * LANES}u][line_of_own + c] = grad[start_grad(row, head) + c];
    delta += dot(vec4f(grad[start_grad(row, head) + c]), vec4f(o[start_grad(row, head) + c]));
  }
  delta = sum_of_row(delta, index);
  let lse = stats[first_stats + row].x;
  if (token < own.y && part == 0u) { stats[first_stats + row] = vec2f(lse, delta); }
  var sums_q: Sums;
  clear(&sums_q);
  for (var line = keys.x; line < keys.y; line += COLUMNS) {
    let tile_k = fetch_k(own, line, head, index);
    put(tile_k, index);
    workgroupBarrier();
    let tile_v = fetch_v(own, line, head, index);
    multiply_0(mine);
    workgroupBarrier();
    var slopes = own_scores(index);
#for c in 0..OWN
    slopes[${c}] = exp(min(slopes[${c}] * params.scale - lse, vec4f()));
#end
    put(tile_v, index);
    workgroupBarrier();
    multiply_1(mine);
    workgroupBarrier();
    let products = own_scores(index);
#for c in 0..OWN
    var kept${c} = products[${c}];
#for e in 0..4
    let key${c}_${e} = line + 4u * (part + ${c}u) + ${e}u;
#if DROPOUT
    kept${c}[${e}] *= dropout_of(plane, token, key${c}_${e});
#endif
    slopes[${c}][${e}] *= select(0.0, params.scale, key${c}_${e} < keys.y && visible(row_of(own, key${c}_${e})));
#end
    slopes[${c}] *= kept${c} - delta;
#end
    put_weights(slopes, index);
    put_across(tile_k, index);
    workgroupBarrier();
    accumulate(&sums_q, mine);
    workgroupBarrier();
  }
  let shown = 1.0;
#let GRADIENTS = "q"
#include <common/attention_gradients>
#else
  for (var c = part_of_invocation(index); c < ${SIZE / 4}u; c += ${SPLIT * LANES / M}u) {
    own_0[index / ${SPLIT * LANES}u][line_of_own + c] = k[start_k(row, head) + c];
    own_1[index / ${SPLIT * LANES}u][line_of_own + c] = v[start_v(row, head) + c];
  }
  var sums_k: Sums;
  clear(&sums_k);
  var sums_v: Sums;
  clear(&sums_v);
  // Keys that are all masked need no query.
  let end = select(0u, own.y, first < keys.y && first + ROWS > keys.x);
  for (var line = 0u; line < end; line += COLUMNS) {
    let tile_q = fetch_q(own, line, head, index);
    put(tile_q, index);
    if (index < COLUMNS) {
      let of_query = stats[first_stats + row_of(own, line + index)];
      // Past the end, a logarithm that makes every weight zero.
      stats_of_columns[index] = vec2f(select(3.0e38, of_query.x, line + index < end), of_query.y);
    }
    workgroupBarrier();
    let tile_grad = fetch_grad(own, line, head, index);
    multiply_0(mine);
    workgroupBarrier();
    // Negative where dropout takes a weight away.
    var signed = own_scores(index);
    var kept: Own;
#for c in 0..OWN
#for e in 0..4
    let column${c}_${e} = 4u * (part + ${c}u) + ${e}u;
    signed[${c}][${e}] = exp(min(signed[${c}][${e}] * params.scale - stats_of_columns[column${c}_${e}].x, 0.0));
#if DROPOUT
    if (dropout_of(plane, line + column${c}_${e}, token) == 0.0) { signed[${c}][${e}] = -signed[${c}][${e}]; }
#endif
#end
    kept[${c}] = max(signed[${c}], vec4f()) * params.keep_scale;
#end
    put_weights(kept, index);
    put(tile_grad, index);
    workgroupBarrier();
    multiply_1(mine);
    workgroupBarrier();
    var slopes = own_scores(index);
#for c in 0..OWN
#for e in 0..4
    slopes[${c}][${e}] = (max(signed[${c}][${e}], 0.0) * params.keep_scale * slopes[${c}][${e}]
      - abs(signed[${c}][${e}]) * stats_of_columns[column${c}_${e}].y) * params.scale;
#end
#end
    put_across(tile_grad, index);
    workgroupBarrier();
    accumulate(&sums_v, mine);
    workgroupBarrier();
    put_weights(slopes, index);
    put_across(tile_q, index);
    workgroupBarrier();
    accumulate(&sums_k, mine);
    workgroupBarrier();
  }
  let shown = select(0.0, 1.0, visible(row));
#let GRADIENTS = "k v"
#include <common/attention_gradients>
#endif
}
