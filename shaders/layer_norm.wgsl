// LayerNorm over rows of `cols` (Ba, Kiros and Hinton, 2016), with the variance in a second pass.
#include <common/rows>
struct Params { rows: u32, cols: u32, eps: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
// Per row: mean, then 1/σ.
@group(0) @binding(5) var<storage, read_write> moments: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = row_of(group, groups, local);
  let lane = lane_of(local);
  if (row >= params.rows) { return; }
  let start = row * params.cols;
  let n = f32(params.cols);
  var total = 0.0;
  for (var c = lane; c < params.cols; c += ROW_THREADS) {
    total += x[start + c];
  }
  let mean = row_sum(total, lane) / n;
  var squares = 0.0;
  for (var c = lane; c < params.cols; c += ROW_THREADS) {
    let d = x[start + c] - mean;
    squares = fma(d, d, squares);
  }
  let rstd = 1.0 / sqrt(row_sum(squares, lane) / n + params.eps);
  for (var c = lane; c < params.cols; c += ROW_THREADS) {
    y[start + c] = fma((x[start + c] - mean) * rstd, weight[c], bias[c]);
  }
  if (lane == 0u) {
    moments[2u * row] = mean;
    moments[2u * row + 1u] = rstd;
  }
}
