// Cross-entropy over rows of logits with class indices; a target equal to `ignore` does not count. `clamped` first moves targets
// into 0 to cols, as question answering does with positions outside the text.
//   LOSS: losses[row] = logsumexp(x) − x[target], lse[row], and valid[row].
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
// Per row: loss, 1 if it counts, logsumexp.
@group(0) @binding(3) var<storage, read_write> stats: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = row_of(group, groups, local);
  let lane = lane_of(local);
  if (row >= params.rows) { return; }
  let start = row * params.cols;
  let target_class = class_of(targets[row]);
  let counts = target_class != params.ignore;
  var highest = -3.0e38;
  for (var c = lane; c < params.cols; c += ROW_THREADS) {
    highest = max(highest, x[start + c]);
  }
  highest = row_max(highest, lane);
  var total = 0.0;
  for (var c = lane; c < params.cols; c += ROW_THREADS) {
    total += exp(x[start + c] - highest);
  }
  let lse = highest + log(row_sum(total, lane));
  if (lane == 0u) {
    // A class outside the row reads as the last one here; the caller checks labels before they come to the GPU.
    let at = min(u32(max(target_class, 0)), params.cols - 1u);
    stats[3u * row] = select(0.0, lse - x[start + at], counts);
    stats[3u * row + 1u] = select(0.0, 1.0, counts);
    stats[3u * row + 2u] = lse;
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
    total += vec2f(stats[3u * row], stats[3u * row + 1u]);
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
  let factor = stats[3u * row + 1u] * dy[0] / count[0];
  dx[i] = (exp(x[i] - stats[3u * row + 2u]) - select(0.0, 1.0, hit)) * factor;
}
#endif
