// With x̂ = (x − mean)/σ and g = dy · weight:
//   INPUT:   dx = (g − mean(g) − x̂ · mean(g·x̂)) / σ
//   WEIGHTS: per chunk of rows, Σ dy·x̂ and Σ dy (partial sums of the gradients of weight and bias).
#if PART == input
#include <common/rows>
struct Params { rows: u32, cols: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> moments: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = row_of(group, groups, local);
  let lane = lane_of(local);
  if (row >= params.rows) { return; }
  let start = row * params.cols;
  let n = f32(params.cols);
  let mean = moments[2u * row];
  let rstd = moments[2u * row + 1u];
  var sum_g = 0.0;
  var sum_gx = 0.0;
  for (var c = lane; c < params.cols; c += ROW_THREADS) {
    let g = dy[start + c] * weight[c];
    sum_g += g;
    sum_gx = fma(g, (x[start + c] - mean) * rstd, sum_gx);
  }
  let mean_g = row_sum(sum_g, lane) / n;
  let mean_gx = row_sum(sum_gx, lane) / n;
  for (var c = lane; c < params.cols; c += ROW_THREADS) {
    let normal = (x[start + c] - mean) * rstd;
    dx[start + c] = (dy[start + c] * weight[c] - mean_g - normal * mean_gx) * rstd;
  }
}
#else
#include <common/index>
struct Params { rows: u32, cols: u32, chunk: u32, chunks: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> moments: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(5) var<storage, read_write> dbias: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = flat_index(group, groups, local, 64u);
  if (i >= params.chunks * params.cols) { return; }
  let column = i % params.cols;
  let first = (i / params.cols) * params.chunk;
  let end = min(first + params.chunk, params.rows);
  var dw = 0.0;
  var db = 0.0;
  for (var row = first; row < end; row += 1u) {
    let g = dy[row * params.cols + column];
    let normal = (x[row * params.cols + column] - moments[2u * row]) * moments[2u * row + 1u];
    dw = fma(g, normal, dw);
    db += g;
  }
  dweight[i] = dw;
  dbias[i] = db;
}
#endif
