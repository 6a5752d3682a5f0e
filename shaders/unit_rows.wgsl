// Rows of unit length: y = x / max(‖x‖, eps); backward: dx = (dy − y · Σ y·dy) / max(‖x‖, eps), without the
// second term for a row shorter than eps.
#include <common/rows>
struct Params { rows: u32, cols: u32, share: u32, eps: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<StoredElement>;
#if BACKWARD
@group(0) @binding(2) var<storage, read> dy: array<StoredElement>;
@group(0) @binding(3) var<storage, read_write> y: array<StoredElement>;
#else
@group(0) @binding(2) var<storage, read_write> y: array<StoredElement>;
#endif

#include <common/pinned_rows>
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
#include <common/row_ranges>
  for (var row = share.x; row < share.y; row += 1u) {
    let at = row * width;
    var squares = Element();
#if BACKWARD
    var products = Element();
#endif
#for rest in 0..2
    for (var i = from${rest}; i < to${rest}; i += STEP${rest}) {
#for u in 0..UNROLL * (1 - rest) + rest
      let x${u} = load(x[at + i + ${u}u * TEAM]);
      squares = fma(x${u}, x${u}, squares);
#if BACKWARD
      products = fma(x${u}, load(dy[at + i + ${u}u * TEAM]), products);
#endif
#end
    }
#end
    let length = sqrt(team_sum(total_of(squares), lane));
    let scale = 1.0 / max(length, params.eps);
#if BACKWARD
    let product = team_sum(total_of(products), lane);
    let along = select(0.0, product * scale * scale, length > params.eps);
#endif
#for rest in 0..2
    for (var i = from${rest}; i < to${rest}; i += STEP${rest}) {
#for u in 0..UNROLL * (1 - rest) + rest
#if BACKWARD
      y[at + i + ${u}u * TEAM] = store((load(dy[at + i + ${u}u * TEAM]) - load(x[at + i + ${u}u * TEAM]) * along) * scale);
#else
      y[at + i + ${u}u * TEAM] = store(load(x[at + i + ${u}u * TEAM]) * scale);
#endif
#end
    }
#end
  }
}
