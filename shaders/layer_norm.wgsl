// LayerNorm over rows of `cols` (Ba, Kiros and Hinton, 2016), with mean and variance in one pass (Chan, Golub
// and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979). RESIDUAL:
// of residual + x, which is kept in `sums` for backward. DROPOUT: of residual + dropout(x), with the mask of
// dropout.wgsl. WIDE: the residual, the sums and the result are f32 beside an x of f16, and the result is
// also stored in `rounded` as f16.
#include <common/rows>
#include <common/wide>
#include <common/rng>
struct Params { rows: u32, cols: u32, share: u32, first: u32, seed: u32, stream: u32, threshold: u32, eps: f32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<StoredElement>;
@group(0) @binding(2) var<storage, read> weight: array<Element>;
@group(0) @binding(3) var<storage, read> bias: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Wide>;
// Per row: mean and 1/σ.
@group(0) @binding(5) var<storage, read_write> moments: array<vec2f>;
#if RESIDUAL
@group(0) @binding(6) var<storage, read> residual: array<Wide>;
@group(0) @binding(7) var<storage, read_write> sums: array<Wide>;
#if WIDE
@group(0) @binding(8) var<storage, read_write> rounded: array<StoredElement>;
#endif

#if DROPOUT
#include <common/dropout_element>
#endif
fn summand(i: u32) -> Element {
#if DROPOUT
  let value = fma(load(x[i]), dropout_element(params.first + i * WIDTH), load_wide(residual[i]));
#else
  let value = load(x[i]) + load_wide(residual[i]);
#endif
  sums[i] = store_wide(value);
  return value;
}
fn summed(i: u32) -> Element {
  return load_wide(sums[i]);
}
#else
fn summand(i: u32) -> Element {
  return load(x[i]);
}
fn summed(i: u32) -> Element {
  return load(x[i]);
}
#endif

#include <common/pinned_rows>
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
#include <common/row_ranges>
  for (var row = share.x; row < share.y; row += ${ROWS}u) {
    // Past the last row it is done again.
#for k in 0..ROWS
    let row${k} = min(row + ${k}u, share.y - 1u);
    let at${k} = row${k} * width;
#end
    var mean = Each();
    var squares = Each();
    var seen = 0.0;
#for rest in 0..2
    for (var i = from${rest}; i < to${rest}; i += STEP${rest}) {
      let size = f32(WIDTH * ${UNROLL * (1 - rest) + rest}u);
      let rate = size / (seen + size);
#for k in 0..ROWS
      {
#for u in 0..UNROLL * (1 - rest) + rest
        let v${u} = summand(at${k} + i + ${u}u * TEAM);
#end
        var block = v0;
#for u in 1..UNROLL * (1 - rest) + rest
        block += v${u};
#end
        let middle = total_of(block) / size;
        var spread = (v0 - middle) * (v0 - middle);
#for u in 1..UNROLL * (1 - rest) + rest
        spread = fma(v${u} - middle, v${u} - middle, spread);
#end
        let off = middle - mean[${k}];
        mean[${k}] = fma(off, rate, mean[${k}]);
        squares[${k}] += fma(off * off, seen * rate, total_of(spread));
      }
#end
      seen += size;
    }
#end
    let n = f32(params.cols);
    let average = team_sum(mean * seen, lane) / n;
    let off = mean - average;
    let variance = team_sum(fma(off * off, Each(seen), squares), lane) / n;
    let rstd = 1.0 / sqrt(variance + params.eps);
#for rest in 0..2
    for (var i = from${rest}; i < to${rest}; i += STEP${rest}) {
#for u in 0..UNROLL * (1 - rest) + rest
      {
        let column = i + ${u}u * TEAM;
        let w = weight[column];
        let b = bias[column];
#for k in 0..ROWS
        let value${k} = fma((summed(at${k} + column) - average[${k}]) * rstd[${k}], w, b);
        y[at${k} + column] = store_wide(value${k});
#if WIDE
        rounded[at${k} + column] = store(value${k});
#endif
#end
      }
#end
    }
#end
    if (lane == 0u) {
#for k in 0..ROWS
      moments[row${k}] = vec2f(average[${k}], rstd[${k}]);
#end
    }
  }
}
