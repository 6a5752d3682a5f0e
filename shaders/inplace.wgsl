// Overwrites y. ADD: y += scale · x, both of type T; or, if WIDE, a y of f32 (common/wide.wgsl). FILL: every
// four bytes of y = `bits`, whatever T is.
#include <common/index>
#include <common/wide>
struct Params { count: u32, index: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
#if OP == fill
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
#else
@group(0) @binding(1) var<storage, read> x: array<StoredElement>;
@group(0) @binding(2) var<storage, read_write> y: array<Wide>;
#endif

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let chunk = chunk_of(group, groups, params.count);
  for (var i = chunk.x + local; i < chunk.y; i += 64u) {
#if OP == add
    y[i] = store_wide(fma(Element(params.scale), load(x[i]), load_wide(y[i])));
#endif
#if OP == fill
    y[i] = params.index;
#endif
  }
}
