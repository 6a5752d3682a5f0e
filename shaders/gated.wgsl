// A gated linear unit (Shazeer, "GLU variants improve transformer", 2020) of rows that hold two halves a and
// b: y = activation(a) · b. BACKWARD: dx of such rows.
#include <common/index>
#include <common/element>
#let FOUR = WIDTH / 4
#include <common/activate>
// Elements of y, and of half a row.
struct Params { count: u32, width: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<StoredElement>;
#if BACKWARD
@group(0) @binding(2) var<storage, read> dy: array<StoredElement>;
@group(0) @binding(3) var<storage, read_write> dx: array<StoredElement>;
#else
@group(0) @binding(2) var<storage, read_write> y: array<StoredElement>;
#endif

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let chunk = chunk_of(group, groups, params.count);
  for (var i = chunk.x + local; i < chunk.y; i += 64u) {
    let at = i + i / params.width * params.width;
    let a = load(x[at]);
    let b = load(x[at + params.width]);
#if BACKWARD
    let slope = load(dy[i]);
    dx[at] = store(slope * b * activation_slope(a));
    dx[at + params.width] = store(slope * activation_value(a));
#else
    y[i] = store(activation_value(a) * b);
#endif
  }
}
