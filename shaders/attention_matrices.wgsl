// Forward of attention by subgroup matrices, as attention_tiled.wgsl. Weights are relative to a score that is
// their row's highest or a little lower: sums stay in matrices, and only if a tile's scores are far above are
// they taken out and scaled.
#include <common/attention_forward>
#let BROUGHT = "k v"
#let OPERANDS = 1
#include <common/attention_matrices>
// Scores are powers of two. Weights may be 2^12, which is far below the largest f16.
const GROWTH = 12.0;
const LOG2_E = 1.4426950408889634;
// Lower than any score of a key that is seen.
const LOWEST = 0.1 * UNSEEN;
// Zero for a key that is seen, else UNSEEN.
var<workgroup> hidden: array<array<f32, 4>, ${COLUMNS / 4}>;
var<workgroup> grew: atomic<u32>;

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
  let query = first + row_of_invocation(index);
  let row = row_of(own, query);
  let line_of_own = own_line(index);
  let part = part_of_invocation(index) * ${OWN}u;
  for (var c = part_of_invocation(index); c < ${SIZE / 4}u; c += ${SPLIT * LANES / M}u) {
    own_0[index / ${SPLIT * LANES}u][line_of_own + c] = q[start_q(row, head) + c];
  }
  var sums: Sums;
  clear(&sums);
  let scale = params.scale * LOG2_E;
  var reference = LOWEST;
  var total = 0.0;
  let keys = seen_keys(own, index);
  for (var line = keys.x; line < keys.y; line += COLUMNS) {
    put(fetch_k(own, line, head, index), index);
    if (index < COLUMNS) {
      let key = line + index;
      hidden[index / 4u][index % 4u] = select(UNSEEN, 0.0, key < keys.y && visible(row_of(own, key)));
    }
    if (index == 0u) { atomicStore(&grew, 0u); }
    workgroupBarrier();
    let values = fetch_v(own, line, head, index);
    multiply_0(mine);
    workgroupBarrier();
    var own_weights = own_scores(index);
    var highest = vec4f(UNSEEN);
#for c in 0..OWN
    let hidden${c} = hidden[part + ${c}u];
    own_weights[${c}] = fma(own_weights[${c}], vec4f(scale), vec4f(hidden${c}[0], hidden${c}[1], hidden${c}[2], hidden${c}[3]));
    highest = max(highest, own_weights[${c}]);
#end
    var peak = max(max(highest.x, highest.y), max(highest.z, highest.w));
    if (peak > reference + GROWTH) { atomicStore(&grew, 1u); }
    share(peak, index);
    if (workgroupUniformLoad(&grew) != 0u) {
#for n in 0..SPLIT * LANES / M
      peak = max(peak, shared_by_${n}(index));
#end
      let shrink = exp2(max(reference - max(reference, peak), -126.0));
      reference = max(reference, peak);
      total *= shrink;
      if (line > keys.x) {
        workgroupBarrier();
#for h in 0..SIZE / COLUMNS
        spread_${h}(&sums, mine);
        workgroupBarrier();
        var scaled${h} = own_scores(index);
#for c in 0..OWN
        scaled${h}[${c}] *= shrink;
#end
        put_scores(scaled${h}, index);
        workgroupBarrier();
        collect_${h}(&sums, mine);
        workgroupBarrier();
#end
      }
    }
#for c in 0..OWN
    own_weights[${c}] = exp2(own_weights[${c}] - reference);
    total += dot(own_weights[${c}], vec4f(1.0));
#if DROPOUT
#for e in 0..4
    if (dropout_of(plane, query, line + 4u * (part + ${c}u) + ${e}u) == 0.0) { own_weights[${c}][${e}] = 0.0; }
#end
#endif
#end
    put_weights(own_weights, index);
    put_across(values, index);
    workgroupBarrier();
    accumulate(&sums, mine);
    workgroupBarrier();
  }
  total = sum_of_row(total, index);
  let inverse = select(0.0, params.keep_scale / total, total > 0.0);
#for h in 0..SIZE / COLUMNS
  spread_${h}(&sums, mine);
  workgroupBarrier();
  let result${h} = own_scores(index);
  if (query < own.y) {
#for c in 0..OWN
    store_o(4u * start_grad(row, head), chunk_of_invocation(index) + ${h * COLUMNS / SPLIT / 4 + c}u, result${h}[${c}] * inverse);
#end
  }
  workgroupBarrier();
#end
  if (query < own.y && part == 0u) { store_stats(stats_of(head, row), reference / LOG2_E, total); }
}
