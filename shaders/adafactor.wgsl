// One step of Adafactor (Shazeer and Stern, 2018), in the order of operations of transformers' Adafactor. A matrix
// keeps the means of its rows' and of its columns' squares, and is walked in windows of whole rows.
//   ROWS:    row = blend of the mean of g² + ε; a workgroup for each row.
//   COLUMNS: partial[chunk, column] = Σ g² over a chunk of rows; an invocation for each column of each chunk.
//   BLEND:   column = blend of the mean of g² + ε; an invocation for each column.
//   NORM:    partial[row] = Σ g² / column / row; a workgroup for each row.
//   FINISH:  result = [mean of row, factor that clips the update's root mean square]; one workgroup.
//   APPLY:   w = w · decay − rate · update; an invocation for each element.
//   VECTOR:  all of it for a vector, which keeps the blend of g² + ε of each element; one workgroup.
struct Params {
  rows: u32,            // of the matrix; elements of a vector
  cols: u32,
  first_row: u32,       // of the window, and how many
  window: u32,
  gradient_at: u32,     // first element of the window in its buffer
  value_at: u32,
  row_at: u32,          // of the matrix in the state of the rows, of the columns; of a vector in its state
  col_at: u32,
  chunk: u32,           // rows of a chunk
  first_chunk: u32,     // of the window; in BLEND, how many there are
  skip: u32,            // 1: leave everything as it is if the gradients' norm is not finite
  beta: f32,            // how much of the state stays, and how much is new
  rest: f32,
  eps: f32,
  clip: f32,
  decay: f32,           // 1 − lr · weightDecay
  rate: f32,
}
#include <common/index>
#include <common/activation>
@group(0) @binding(0) var<uniform> params: Params;
// [norm, factor]; every gradient is multiplied by the factor.
@group(0) @binding(1) var<storage, read> scale: array<f32>;
#if PART == rows
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read_write> row: array<f32>;
#endif
#if PART == columns
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;
#endif
#if PART == blend
@group(0) @binding(2) var<storage, read> partials: array<f32>;
@group(0) @binding(3) var<storage, read_write> col: array<f32>;
#endif
#if PART == norm
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read> row: array<f32>;
@group(0) @binding(4) var<storage, read> col: array<f32>;
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;
#endif
#if PART == finish
@group(0) @binding(2) var<storage, read> partials: array<f32>;
@group(0) @binding(3) var<storage, read> row: array<f32>;
@group(0) @binding(4) var<storage, read_write> result: array<f32>;
#endif
#if PART == apply
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read> row: array<f32>;
@group(0) @binding(4) var<storage, read> col: array<f32>;
@group(0) @binding(5) var<storage, read> result: array<f32>;
@group(0) @binding(6) var<storage, read_write> value: array<f32>;
#endif
#if PART == vector
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read_write> square: array<f32>;
@group(0) @binding(4) var<storage, read_write> value: array<f32>;
#endif

var<workgroup> sums: array<f32, 64>;

// The sum over the workgroup, for all its invocations.
fn total(local: u32, own: f32) -> f32 {
  sums[local] = own;
  workgroupBarrier();
  for (var width = 32u; width > 0u; width /= 2u) {
    if (local < width) {
      sums[local] += sums[local + width];
    }
    workgroupBarrier();
  }
  let all = sums[0];
  workgroupBarrier();
  return all;
}

fn left_out() -> bool {
  return params.skip != 0u && !is_finite(scale[0]);
}

fn clipped(sum: f32, count: u32) -> f32 {
  return 1.0 / max(sqrt(sum / f32(count)) / params.clip, 1.0);
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let factor = scale[1];
#if PART == rows
  let r = flat_index(group, groups, 0u, 1u);
  var own = 0.0;
  if (r < params.window) {
    for (var c = local; c < params.cols; c += 64u) {
      let g = gradient[params.gradient_at + r * params.cols + c] * factor;
      own += g * g + params.eps;
    }
  }
  let sum = total(local, own);
  if (local == 0u && r < params.window && !left_out()) {
    let at = params.row_at + params.first_row + r;
    row[at] = fma(params.rest, sum / f32(params.cols), row[at] * params.beta);
  }
#endif
#if PART == columns
  let at = flat_index(group, groups, local, 64u);
  let chunk = at / params.cols;
  let c = at % params.cols;
  let begin = chunk * params.chunk;
  if (begin < params.window) {
    var sum = 0.0;
    for (var r = begin; r < min(begin + params.chunk, params.window); r += 1u) {
      let g = gradient[params.gradient_at + r * params.cols + c] * factor;
      sum += g * g + params.eps;
    }
    partials[(params.first_chunk + chunk) * params.cols + c] = sum;
  }
#endif
#if PART == blend
  let c = flat_index(group, groups, local, 64u);
  if (c < params.cols && !left_out()) {
    var sum = 0.0;
    for (var chunk = 0u; chunk < params.first_chunk; chunk += 1u) {
      sum += partials[chunk * params.cols + c];
    }
    let at = params.col_at + c;
    col[at] = fma(params.rest, sum / f32(params.rows), col[at] * params.beta);
  }
#endif
#if PART == norm
  let r = flat_index(group, groups, 0u, 1u);
  var own = 0.0;
  if (r < params.window) {
    for (var c = local; c < params.cols; c += 64u) {
      let g = gradient[params.gradient_at + r * params.cols + c] * factor;
      own += g * (g / col[params.col_at + c]);
    }
  }
  let sum = total(local, own);
  if (local == 0u && r < params.window) {
    partials[params.first_row + r] = sum / row[params.row_at + params.first_row + r];
  }
#endif
#if PART == finish
  var squares = 0.0;
  var means = 0.0;
  for (var r = local; r < params.rows; r += 64u) {
    squares += partials[r];
    means += row[params.row_at + r];
  }
  let mean = total(local, means) / f32(params.rows);
  let sum = total(local, squares);
  if (local == 0u) {
    result[0] = mean;
    result[1] = clipped(sum * mean, params.rows * params.cols);
  }
#endif
#if PART == apply
  let chunk = chunk_of(group, groups, select(params.window * params.cols, 0u, left_out()));
  let mean = result[0];
  let rate = params.rate * result[1];
  for (var i = chunk.x + local; i < chunk.y; i += 64u) {
    let r = i / params.cols;
    let by_row = inverseSqrt(row[params.row_at + params.first_row + r] / mean);
    let by_col = inverseSqrt(col[params.col_at + i % params.cols]);
    let g = gradient[params.gradient_at + i] * factor;
    let at = params.value_at + i;
    value[at] = value[at] * params.decay - rate * (by_row * by_col * g);
  }
#endif
#if PART == vector
  let count = select(params.rows, 0u, left_out());
  var own = 0.0;
  for (var i = local; i < count; i += 64u) {
    let g = gradient[params.gradient_at + i] * factor;
    let at = params.row_at + i;
    let v = fma(params.rest, g * g + params.eps, square[at] * params.beta);
    square[at] = v;
    let update = inverseSqrt(v) * g;
    own += update * update;
  }
  let rate = params.rate * clipped(total(local, own), params.rows);
  for (var i = local; i < count; i += 64u) {
    let update = inverseSqrt(square[params.row_at + i]) * (gradient[params.gradient_at + i] * factor);
    let at = params.value_at + i;
    value[at] = value[at] * params.decay - rate * update;
  }
#endif
}
