// y = a if the condition is not zero, else b. SAME: equal shapes, WIDTH elements at once. STRIDED: any
// broadcast, up to six dimensions, y from element `first` on; element by element.
#include <common/index>
#include <common/stored>
// Bits are moved: four bytes, or two if T is f16.
#if T == f16
alias Bits = f16;
#else
alias Bits = u32;
#endif
#if WIDTH == 1
alias Moved = Bits;
alias Condition = i32;
#else
alias Moved = vec${WIDTH}<Bits>;
alias Condition = vec${WIDTH}i;
#endif
#if LAYOUT == strided
struct Params {
  count: u32, first: u32,
#for d in 0..6
  size${d}: u32, c${d}: u32, a${d}: u32, b${d}: u32,
#end
}
#else
struct Params { count: u32 }
#endif
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> condition: array<Condition>;
@group(0) @binding(2) var<storage, read> a: array<Moved>;
@group(0) @binding(3) var<storage, read> b: array<Moved>;
@group(0) @binding(4) var<storage, read_write> y: array<Moved>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let chunk = chunk_of(group, groups, params.count);
  for (var i = chunk.x + local; i < chunk.y; i += 64u) {
#if LAYOUT == same
    let at_c = i;
    let at_a = i;
    let at_b = i;
#else
    var rest = params.first + i;
    var at_c = 0u;
    var at_a = 0u;
    var at_b = 0u;
#for d in 0..6
    // Dimensions come last first.
    at_c += (rest % params.size${d}) * params.c${d};
    at_a += (rest % params.size${d}) * params.a${d};
    at_b += (rest % params.size${d}) * params.b${d};
    rest /= params.size${d};
#end
#endif
    y[i] = select(b[at_b], a[at_a], condition[at_c] != Condition());
  }
}
