// One row for each column along the middle axis of [outer, n, inner], by `rows` [outer, inner]. The axis may be
// seen through a window, which begins at row `first`.
//   TAKE:   y[o, i] = x[o, rows[o, i], i].
//   SPREAD: dx is dy in those rows, and zero in the others.
#include <common/index>
#include <common/stored>
struct Params { outer: u32, n: u32, inner: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read> source: array<Stored>;
@group(0) @binding(3) var<storage, read_write> destination: array<Stored>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = flat_index(group, groups, local, 64u);
#if PART == take
  if (i >= params.outer * params.inner) { return; }
  let row = rows[i] - params.first;
  if (row < params.n) {
    destination[i] = source[(i / params.inner * params.n + row) * params.inner + i % params.inner];
  }
#else
  if (i >= params.outer * params.n * params.inner) { return; }
  let block = i / params.inner;
  let at = block / params.n * params.inner + i % params.inner;
  destination[i] = select(Stored(), source[at], rows[at] == params.first + block % params.n);
#endif
}
