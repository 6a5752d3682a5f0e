// Cross-entropy over rows of logits with class indices. A row with the target `ignore` does not count.
// `clamped`: targets are first moved into 0 to cols, as question answering does with positions outside the
// text.
//   LOSS: per row logsumexp(x) − x[target], and what MEAN and BACKWARD need.
//   MEAN: result = Σ losses / max(Σ valid, 1), and that count.
//   BACKWARD: dx = (softmax(x) − onehot(target)) · dy / count.
// WEIGHTED: classes have weights w. As in PyTorch, a row's loss is w[target] · loss, and it counts w[target].
// SMOOTHED: besides, a part s of each target is spread over all classes (label smoothing). A row's loss is then
// (1 − s) · w[target] · loss + s / cols · Σ w[c] · (logsumexp(x) − x[c]).
#if PART == mean
struct Params { rows: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> stats: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;
@group(0) @binding(3) var<storage, read_write> count: array<f32>;
var<workgroup> sums: array<vec2f, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) local: u32) {
  var total = vec2f();
  for (var row = local; row < params.rows; row += 64u) {
    total += stats[row].xy;
  }
  sums[local] = total;
  workgroupBarrier();
  if (local == 0u) {
    var all = vec2f();
    for (var i = 0u; i < 64u; i += 1u) {
      all += sums[i];
    }
    let n = select(1.0, all.y, all.y > 0.0);
    loss[0] = all.x / n;
    count[0] = n;
  }
}
#else
#include <common/rows>
struct Params { rows: u32, cols: u32, share: u32, ignore: i32, clamped: u32,
#if SMOOTHED
  smoothing: f32,
#endif
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> targets: array<i32>;
// Per row: loss, 1 if it counts, the largest logit, log Σ exp(x − largest). Kept apart, the last two stay
// precise for large logits.
#if PART == loss
@group(0) @binding(3) var<storage, read_write> stats: array<vec4f>;
#if WEIGHTED
@group(0) @binding(4) var<storage, read> weights: array<Element>;
#endif
#else
@group(0) @binding(3) var<storage, read> stats: array<vec4f>;
@group(0) @binding(4) var<storage, read> count: array<f32>;
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<Element>;
#if SMOOTHED
@group(0) @binding(7) var<storage, read> weights: array<Element>;
#endif

// The one-hot row of class `hit`, from element `i` on.
fn onehot(i: u32, hit: i32) -> Element {
  let first = i32(i * WIDTH);
  return Element(
#for c in 0..WIDTH
    select(0.0, 1.0, first + ${c} == hit),
#end
  );
}
#endif

fn class_of(value: i32) -> i32 {
  return select(value, clamp(value, 0, i32(params.cols)), params.clamped != 0u);
}

#include <common/pinned_rows>
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
#include <common/row_ranges>
#if SMOOTHED
  // What the other classes have of a target, each times its weight.
  let spread = params.smoothing / f32(params.cols);
#if PART == backward
  var weight_sums = Element();
  for (var i = lane; i < width; i += TEAM) {
    weight_sums += weights[i];
  }
  let all_weights = team_sum(total_of(weight_sums), lane);
#endif
#endif
  for (var row = share.x; row < share.y; row += 1u) {
    let at = row * width;
    let target_class = class_of(targets[row]);
#if PART == loss
#include <common/online_softmax>
#if SMOOTHED
    var far = Element();
    for (var i = lane; i < width; i += TEAM) {
      far += weights[i] * (log(total) + (highest - x[at + i]));
    }
    let smoothed = team_sum(total_of(far), lane);
#endif
    if (lane == 0u) {
      let counts = target_class != params.ignore;
      // Labels from the CPU are checked there. Any other class outside the row gives NaN, which a training
      // refuses.
      let inside = target_class >= 0 && target_class < i32(params.cols);
      let class_at = select(0u, u32(target_class), inside);
#if WIDTH == 1
      let logit = x[at + class_at];
#else
      let logit = x[at + class_at / WIDTH][class_at % WIDTH];
#endif
      let log_total = log(total);
      let loss = select(bitcast<f32>(0x7fc00000u + params.rows * 0u), log_total + (highest - logit), inside);
#if WEIGHTED
#if WIDTH == 1
      let weight = weights[class_at];
#else
      let weight = weights[class_at / WIDTH][class_at % WIDTH];
#endif
#if SMOOTHED
      let row_loss = (1.0 - params.smoothing) * weight * loss + spread * smoothed;
#else
      let row_loss = weight * loss;
#endif
#else
      let weight = 1.0;
      let row_loss = loss;
#endif
      stats[row] = vec4f(select(0.0, row_loss, counts), select(0.0, weight, counts), highest, log_total);
    }
#else
    let stat = stats[row];
#if SMOOTHED
    let factor = select(0.0, dy[0] / count[0], target_class != params.ignore);
    let own = (1.0 - params.smoothing) * stat.y;
#else
    let factor = stat.y * dy[0] / count[0];
#endif
#for rest in 0..2
    for (var i = from${rest}; i < to${rest}; i += STEP${rest}) {
#for u in 0..UNROLL * (1 - rest) + rest
      {
        let column = i + ${u}u * TEAM;
#if SMOOTHED
        let chance = exp((x[at + column] - stat.z) - stat.w);
        let rest = own * (chance - onehot(column, target_class)) + spread * (chance * all_weights - weights[column]);
        dx[at + column] = rest * factor;
#else
        dx[at + column] = (exp((x[at + column] - stat.z) - stat.w) - onehot(column, target_class)) * factor;
#endif
      }
#end
    }
#end
#endif
  }
}
#endif
