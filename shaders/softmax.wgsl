// Softmax over rows of `cols`; backward: dx = y · (dy − Σ y·dy).
#include <common/rows>
struct Params { rows: u32, cols: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
#if BACKWARD
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
#else
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
#endif

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = row_of(group, groups, local);
  let lane = lane_of(local);
  if (row >= params.rows) { return; }
  let start = row * params.cols;
#if BACKWARD
  var dot = 0.0;
  for (var c = lane; c < params.cols; c += ROW_THREADS) {
    dot = fma(x[start + c], dy[start + c], dot);
  }
  dot = row_sum(dot, lane);
  for (var c = lane; c < params.cols; c += ROW_THREADS) {
    y[start + c] = x[start + c] * (dy[start + c] - dot);
  }
#else
  var highest = LOWEST;
  for (var c = lane; c < params.cols; c += ROW_THREADS) {
    highest = max(highest, x[start + c]);
  }
  highest = row_max(highest, lane);
  var total = 0.0;
  for (var c = lane; c < params.cols; c += ROW_THREADS) {
    total += exp(x[start + c] - highest);
  }
  total = row_sum(total, lane);
  for (var c = lane; c < params.cols; c += ROW_THREADS) {
    y[start + c] = exp(x[start + c] - highest) / total;
  }
#endif
}
