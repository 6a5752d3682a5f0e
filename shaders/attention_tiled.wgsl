// Forward of attention for GPUs, by tiles (FlashAttention-2; Dao, 2023): a workgroup keeps the sums of its
// queries in registers while tiles of keys pass. The invocations of a query agree on its highest score once a
// tile, and on its denominator at the end.
#include <common/attention_forward>
#let BROUGHT = "q k v"
#include <common/attention_tiles>

#include <common/pinned_tiles>
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32) {
  let head = group.z;
  let plane = plane_of(group.y, head);
  let own = sequence(group.y);
  let first = group.x * ROWS;
  if (first >= own.y) { return; }
  let x = index % ${X}u;
  let y = index / ${X}u;
  let column = head * params.size;
  var sums: array<vec4f, ${4 * J}>;
  var highest = vec4f(UNSEEN);
  var total = vec4f();
  let starts_q = starts_${Y}(own, first, params.stride, column, index);
#if BIAS
  let biases = bias_starts(own, head, first + y);
#endif
  let keys = within(seen_keys(own, index), first, ROWS);
  for (var line = keys.x; line < keys.y; line += COLUMNS) {
    var scores = array<vec4f, 4>();
    let starts_k = starts_${X}(own, line, params.stride, column + params.column_k, index);
    for (var c = 0u; c < chunks(); c += 4u) {
      bring_${Y}_q(starts_q, c, index);
      bring_${X}_k(starts_k, c, index);
      workgroupBarrier();
      multiply(&scores, x, y, c, min(c + 4u, chunks()));
      workgroupBarrier();
    }
    let count = min(COLUMNS, keys.y - line);
    let before = highest;
#for e in 0..4
    let key${e} = line + x + ${X * e}u;
#if WINDOW
    let shown${e} = near_rows(first + y, ${Y}u, key${e}) > vec4f(select(1.0, 0.0, key${e} < keys.y && visible(row_of(own, key${e}))));
#else
    let shown${e} = key${e} < keys.y && visible(row_of(own, key${e}));
#endif
#if BIAS
    scores[${e}] = select(vec4f(UNSEEN), scores[${e}] * params.scale + biases_of(own, biases, key${e}), shown${e});
#else
    scores[${e}] = select(vec4f(UNSEEN), scores[${e}] * params.scale, shown${e});
#endif
    highest = max(highest, scores[${e}]);
#end
    share(highest, x, y);
    workgroupBarrier();
#for n in 0..X
    highest = max(highest, shared_by(${n}u, y));
#end
    workgroupBarrier();
    let shrink = exp(max(before - highest, vec4f(-100.0)));
    total *= shrink;
#for i in 0..4
#for j in 0..J
    sums[${i * J + j}] *= shrink[${i}];
#end
#end
#for e in 0..4
    scores[${e}] = select(vec4f(), exp(max(scores[${e}] - highest, vec4f(-100.0))), shown${e});
    total += scores[${e}];
#if DROPOUT
#for i in 0..4
    scores[${e}][${i}] *= dropout_of(plane, first + y + ${Y * i}u, key${e});
#end
#endif
#end
    put_weights(&scores, x, y);
    for (var at = 0u; at < count; at += ${4 * LINES}u) {
      bring_all_v(own, line + at, params.stride, column + params.column_v, index);
      workgroupBarrier();
      accumulate(&sums, x, y, at, min(at + ${4 * LINES}u, count));
      workgroupBarrier();
    }
  }
  total = sum_over_x(total, x, y);
#for i in 0..4
  if (first + y + ${Y * i}u < own.y) {
    let row = own.x + first + y + ${Y * i}u;
    let inverse = select(0.0, 1.0 / total[${i}], total[${i}] > 0.0);
#for j in 0..J
    if (x + ${X * j}u < chunks()) {
      store_o(row * params.heads * params.size + column, x + ${X * j}u, sums[${i * J + j}] * inverse);
    }
#end
    if (x == 0u) { store_stats(stats_of(head, row), highest[${i}], total[${i}]); }
  }
#end
}
