// With x̂ = (x − mean)/σ and g = dy · weight:
//   ROWS:    dx = (g − mean(g) − x̂ · mean(g·x̂)) / σ, and each workgroup's Σ dy·x̂ and Σ dy over its rows.
//            APART: also the gradient of what was added to the residual: dx through the mask that forward
//            drew (DROPOUT), as f16 beside a dx of f32 (WIDE).
//   WEIGHTS: the gradients of weight and bias, summed up from those partial sums.
#if PART == rows
#include <common/rows>
#include <common/wide>
#include <common/rng>
// `before`: the workgroups of earlier windows.
struct Params { rows: u32, cols: u32, share: u32, before: u32, first: u32, seed: u32, stream: u32, threshold: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Wide>;
@group(0) @binding(2) var<storage, read> moments: array<vec2f>;
@group(0) @binding(3) var<storage, read> dy: array<Wide>;
@group(0) @binding(4) var<storage, read> weight: array<Element>;
@group(0) @binding(5) var<storage, read_write> dx: array<Wide>;
// [workgroups, 2, cols]: Σ dy·x̂ and Σ dy.
@group(0) @binding(6) var<storage, read_write> partials: array<Element>;
#if APART
@group(0) @binding(7) var<storage, read_write> added: array<StoredElement>;
#endif
#if DROPOUT
#include <common/dropout_element>
#endif

#include <common/pinned_rows>
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
#include <common/row_ranges>
  let sums = (params.before + group.y * groups.x + group.x) * 2u * width;
  for (var row = share.x; row < share.y; row += ${ROWS}u) {
#for k in 0..ROWS
    // Past the last row it is done again, and not counted.
    let row${k} = min(row + ${k}u, share.y - 1u);
    let counts${k} = select(0.0, 1.0, row + ${k}u < share.y);
    let at${k} = row${k} * width;
    let mean${k} = moments[row${k}].x;
    let rstd${k} = moments[row${k}].y;
#end
    var mean_g = Each();
    var mean_gx = Each();
#for rest in 0..2
    for (var i = from${rest}; i < to${rest}; i += STEP${rest}) {
#for u in 0..UNROLL * (1 - rest) + rest
      {
        let column = i + ${u}u * TEAM;
        let w = weight[column];
#for k in 0..ROWS
        let g${k} = load_wide(dy[at${k} + column]) * w;
        mean_g[${k}] += total_of(g${k});
        mean_gx[${k}] += total_of(g${k} * (load_wide(x[at${k} + column]) - mean${k})) * rstd${k};
#end
      }
#end
    }
#end
    mean_g = team_sum(mean_g, lane) / f32(params.cols);
    mean_gx = team_sum(mean_gx, lane) / f32(params.cols);
#for rest in 0..2
    for (var i = from${rest}; i < to${rest}; i += STEP${rest}) {
#for u in 0..UNROLL * (1 - rest) + rest
      {
        let column = i + ${u}u * TEAM;
        let w = weight[column];
        // What the rows before this brought; nothing is there at the first.
        var dw = select(partials[sums + column], Element(), row == share.x);
        var db = select(partials[sums + width + column], Element(), row == share.x);
#for k in 0..ROWS
        {
          let d = load_wide(dy[at${k} + column]);
          let normal = (load_wide(x[at${k} + column]) - mean${k}) * rstd${k};
          let value = (d * w - mean_g[${k}] - normal * mean_gx[${k}]) * rstd${k};
          dx[at${k} + column] = store_wide(value);
#if APART
#if DROPOUT
          added[at${k} + column] = store(value * dropout_element(params.first + (at${k} + column) * WIDTH));
#else
          added[at${k} + column] = store(value);
#endif
#endif
          dw = fma(d * counts${k}, normal, dw);
          db = fma(d, Element(counts${k}), db);
        }
#end
        partials[sums + column] = dw;
        partials[sums + width + column] = db;
      }
#end
    }
#end
  }
}
#else
#include <common/index>
struct Params { groups: u32, cols: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<f32>;
@group(0) @binding(2) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(3) var<storage, read_write> dbias: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let column = flat_index(group, groups, local, 64u);
  if (column >= params.cols) { return; }
  var dw = 0.0;
  var db = 0.0;
  for (var i = column; i < params.groups * 2u * params.cols; i += 2u * params.cols) {
    dw += partials[i];
    db += partials[i + params.cols];
  }
  dweight[column] = dw;
  dbias[column] = db;
}
#endif
