// Softmax over rows of `cols`, with the largest element and the sum in one pass (Milakov and Gimelshein,
// "Online normalizer calculation for softmax", 2018); backward: dx = y · (dy − Σ y·dy).
#include <common/rows>
struct Params { rows: u32, cols: u32, share: u32 }
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
#if BACKWARD
    var dot = Element();
#for rest in 0..2
    for (var i = from${rest}; i < to${rest}; i += STEP${rest}) {
#for u in 0..UNROLL * (1 - rest) + rest
      dot = fma(load(x[at + i + ${u}u * TEAM]), load(dy[at + i + ${u}u * TEAM]), dot);
#end
    }
#end
    let mean = team_sum(total_of(dot), lane);
#for rest in 0..2
    for (var i = from${rest}; i < to${rest}; i += STEP${rest}) {
#for u in 0..UNROLL * (1 - rest) + rest
      y[at + i + ${u}u * TEAM] = store(load(x[at + i + ${u}u * TEAM]) * (load(dy[at + i + ${u}u * TEAM]) - mean));
#end
    }
#end
#else
#include <common/online_softmax>
    let scale = 1.0 / total;
#for rest in 0..2
    for (var i = from${rest}; i < to${rest}; i += STEP${rest}) {
#for u in 0..UNROLL * (1 - rest) + rest
      y[at + i + ${u}u * TEAM] = store(exp(load(x[at + i + ${u}u * TEAM]) - highest) * scale);
#end
    }
#end
#endif
  }
}
