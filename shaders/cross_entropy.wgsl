// Cross-entropy over rows of logits with class indices; a target equal to `ignore` does not count. `clamped` first moves targets
// into 0 to cols, as question answering does with positions outside the text.
//   LOSS: per row logsumexp(x) − x[target], and what MEAN and BACKWARD need.
//   MEAN: result = Σ losses / max(Σ valid, 1), and that count.
//   BACKWARD: dx = (softmax(x) − onehot(target)) · dy / count.
struct Params { rows: u32, cols: u32, ignore: i32, clamped: u32 }
@group(0) @binding(0) var<uniform> params: Params;

fn class_of(value: i32) -> i32 {
  return select(value, clamp(value, 0, i32(params.cols)), params.clamped != 0u);
}
#if PART == loss
#include <common/rows>
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<i32>;
// Per row: loss, 1 if it counts, the largest logit, log Σ exp(x − largest). Apart, the two keep their precision where logits are large.
@group(0) @binding(3) var<storage, read_write> stats: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = row_of(group, groups, local);
  let lane = lane_of(local);
  if (row >= params.rows) { return; }
  let start = row * params.cols;
  let target_class = class_of(targets[row]);
  let counts = target_class != params.ignore;
  var highest = LOWEST;
  for (var c = lane; c < params.cols; c += ROW_THREADS) {
    highest = max(highest, x[start + c]);
  }
  highest = row_max(highest, lane);
  var total = 0.0;
  for (var c = lane; c < params.cols; c += ROW_THREADS) {
    total += exp(x[start + c] - highest);
  }
  let log_total = log(row_sum(total, lane));
  if (lane == 0u) {
    // Labels are checked where they come from the CPU; any other class outside the row gives NaN, which a training refuses.
    let inside = target_class >= 0 && target_class < i32(params.cols);
    let at = select(0u, u32(target_class), inside);
    let loss = select(bitcast<f32>(0x7fc00000u + params.rows * 0u), log_total + (highest - x[start + at]), inside);
    stats[4u * row] = select(0.0, loss, counts);
    stats[4u * row + 1u] = select(0.0, 1.0, counts);
    stats[4u * row + 2u] = highest;
    stats[4u * row + 3u] = log_total;
  }
}
#endif
#if PART == mean
@group(0) @binding(1) var<storage, read> stats: array<f32>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;
@group(0) @binding(3) var<storage, read_write> count: array<f32>;
var<workgroup> sums: array<vec2f, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) local: u32) {
  var total = vec2f();
  for (var row = local; row < params.rows; row += 64u) {
    total += vec2f(stats[4u * row], stats[4u * row + 1u]);
  }
  sums[local] = total;
  workgroupBarrier();
  if (local == 0u) {
    var all = vec2f();
    for (var i = 0u; i < 64u; i += 1u) {
      all += sums[i];
    }
    let n = max(all.y, 1.0);
    loss[0] = all.x / n;
    count[0] = n;
  }
}
#endif
#if PART == backward
#include <common/index>
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<i32>;
@group(0) @binding(3) var<storage, read> stats: array<f32>;
@group(0) @binding(4) var<storage, read> count: array<f32>;
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = flat_index(group, groups, local, 64u);
  if (i >= params.rows * params.cols) { return; }
  let row = i / params.cols;
  let hit = i32(i % params.cols) == class_of(targets[row]);
  let factor = stats[4u * row + 1u] * dy[0] / count[0];
  dx[i] = (exp((x[i] - stats[4u * row + 2u]) - stats[4u * row + 3u]) - select(0.0, 1.0, hit)) * factor;
}
#endif
