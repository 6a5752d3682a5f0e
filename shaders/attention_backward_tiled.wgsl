// Backward of attention for GPUs, by tiles, as attention_tiled.wgsl. PART query: rows are queries, a workgroup
// keeps their gradients in registers while tiles of keys pass. PART key: rows are keys, and queries pass.
#include <common/attention_backward>
#let BROUGHT = "q k v grad"
#include <common/attention_tiles>

#if PART == query
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
  let width = params.heads * params.size;
  let first_stats = stats_of(head, 0u);
  var lse: vec4f;
  var delta = vec4f();
#for i in 0..4
  let row${i} = row_of(own, first + y + ${Y * i}u);
  lse[${i}] = stats[first_stats + row${i}].x;
#for j in 0..J
  if (x + ${X * j}u < chunks()) {
    delta[${i}] += dot(
      load_grad(row${i} * width + column, x + ${X * j}u),
      load_o(row${i} * width + column, x + ${X * j}u),
    );
  }
#end
#end
  delta = sum_over_x(delta, x, y);
#if BIAS
  let biases = bias_starts(own, head, first + y);
#endif
  var sums: array<vec4f, ${4 * J}>;
  let starts_q = starts_${Y}(own, first, params.stride, column, index);
  let starts_grad = starts_${Y}(own, first, width, column, index);
  let keys = within(seen_keys(own, index), first, ROWS);
  for (var line = keys.x; line < keys.y; line += COLUMNS) {
    let starts_k = starts_${X}(own, line, params.stride, column + params.column_k, index);
    let starts_v = starts_k - params.column_k + params.column_v;
    var scores = array<vec4f, 4>();
    for (var c = 0u; c < chunks(); c += 4u) {
      bring_${Y}_q(starts_q, c, index);
      bring_${X}_k(starts_k, c, index);
      workgroupBarrier();
      multiply(&scores, x, y, c, min(c + 4u, chunks()));
      workgroupBarrier();
    }
    var slopes = array<vec4f, 4>();
    for (var c = 0u; c < chunks(); c += 4u) {
      bring_${Y}_grad(starts_grad, c, index);
      bring_${X}_v(starts_v, c, index);
      workgroupBarrier();
      multiply(&slopes, x, y, c, min(c + 4u, chunks()));
      workgroupBarrier();
    }
    let count = min(COLUMNS, keys.y - line);
#for e in 0..4
    let key${e} = line + x + ${X * e}u;
    let shown${e} = key${e} < keys.y && visible(row_of(own, key${e}));
#if DROPOUT
#for i in 0..4
    slopes[${e}][${i}] *= dropout_of(plane, first + y + ${Y * i}u, key${e});
#end
#endif
#if BIAS
    let score${e} = scores[${e}] * params.scale + biases_of(own, biases, key${e});
#else
    let score${e} = scores[${e}] * params.scale;
#endif
    scores[${e}] = exp(min(score${e} - lse, vec4f())) * (slopes[${e}] - delta)
      * select(0.0, params.scale, shown${e});
#if WINDOW
    scores[${e}] *= near_rows(first + y, ${Y}u, key${e});
#endif
#if BIAS
#for i in 0..4
    store_dbias(own, head, first + y + ${Y * i}u, key${e}, scores[${e}][${i}]);
#end
#endif
#end
    put_weights(&scores, x, y);
    for (var at = 0u; at < count; at += ${4 * LINES}u) {
      bring_all_k(own, line + at, params.stride, column + params.column_k, index);
      workgroupBarrier();
      accumulate(&sums, x, y, at, min(at + ${4 * LINES}u, count));
      workgroupBarrier();
    }
  }
#for i in 0..4
  if (first + y + ${Y * i}u < own.y) {
#for j in 0..J
    if (x + ${X * j}u < chunks()) { store_dq(row${i} * params.stride + column, x + ${X * j}u, sums[${i * J + j}]); }
#end
    if (x == 0u) { stats[first_stats + row${i}] = vec2f(lse[${i}], delta[${i}]); }
  }
#end
}
#else
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
  let width = params.heads * params.size;
  let first_stats = stats_of(head, 0u);
  var dkey: array<vec4f, ${4 * J}>;
  var dvalue: array<vec4f, ${4 * J}>;
  let starts_k = starts_${Y}(own, first, params.stride, column + params.column_k, index);
  let starts_v = starts_k - params.column_k + params.column_v;
  // Keys that are all masked need no query.
  let keys = seen_keys(own, index);
  let end = select(0u, own.y, first < keys.y && first + ROWS > keys.x);
  let queries = within(vec2u(0u, end), first, ROWS);
  for (var line = queries.x; line < queries.y; line += COLUMNS) {
    let starts_q = starts_${X}(own, line, params.stride, column, index);
    let starts_grad = starts_${X}(own, line, width, column, index);
    var scores = array<vec4f, 4>();
    for (var c = 0u; c < chunks(); c += 4u) {
      bring_${Y}_k(starts_k, c, index);
      bring_${X}_q(starts_q, c, index);
      workgroupBarrier();
      multiply(&scores, x, y, c, min(c + 4u, chunks()));
      workgroupBarrier();
    }
    var slopes = array<vec4f, 4>();
    for (var c = 0u; c < chunks(); c += 4u) {
      bring_${Y}_v(starts_v, c, index);
      bring_${X}_grad(starts_grad, c, index);
      workgroupBarrier();
      multiply(&slopes, x, y, c, min(c + 4u, chunks()));
      workgroupBarrier();
    }
    let count = min(COLUMNS, queries.y - line);
#for e in 0..4
    let query${e} = line + x + ${X * e}u;
    let stats${e} = stats[first_stats + row_of(own, query${e})];
    let inside${e} = select(0.0, 1.0, query${e} < queries.y);
#if BIAS
    let biases${e} = bias_start(own, head, query${e});
    scores[${e}] *= params.scale;
#for i in 0..4
    scores[${e}][${i}] += bias_of(own, biases${e}, first + y + ${Y * i}u);
#end
#else
    scores[${e}] *= params.scale;
#endif
#if WINDOW
    let weight${e} = exp(min(scores[${e}] - stats${e}.x, vec4f())) * inside${e} * near_rows(first + y, ${Y}u, query${e});
#else
    let weight${e} = exp(min(scores[${e}] - stats${e}.x, vec4f())) * inside${e};
#endif
    var kept${e} = vec4f(1.0);
#if DROPOUT
#for i in 0..4
    kept${e}[${i}] = dropout_of(plane, query${e}, first + y + ${Y * i}u);
#end
#endif
    scores[${e}] = weight${e} * kept${e};
    slopes[${e}] = weight${e} * (slopes[${e}] * kept${e} - stats${e}.y) * params.scale;
#end
    put_weights(&scores, x, y);
    for (var at = 0u; at < count; at += ${4 * LINES}u) {
      bring_all_grad(own, line + at, width, column, index);
      workgroupBarrier();
      accumulate(&dvalue, x, y, at, min(at + ${4 * LINES}u, count));
      workgroupBarrier();
    }
    put_weights(&slopes, x, y);
    for (var at = 0u; at < count; at += ${4 * LINES}u) {
      bring_all_q(own, line + at, params.stride, column, index);
      workgroupBarrier();
      accumulate(&dkey, x, y, at, min(at + ${4 * LINES}u, count));
      workgroupBarrier();
    }
  }
#for i in 0..4
  if (first + y + ${Y * i}u < own.y) {
    let row = own.x + first + y + ${Y * i}u;
    let shown = select(0.0, 1.0, visible(row));
#for j in 0..J
    if (x + ${X * j}u < chunks()) {
      store_dk(row * params.stride + column + params.column_k, x + ${X * j}u, dkey[${i * J + j}] * shown);
      store_dv(row * params.stride + column + params.column_v, x + ${X * j}u, dvalue[${i * J + j}] * shown);
    }
#end
  }
#end
}
#endif
