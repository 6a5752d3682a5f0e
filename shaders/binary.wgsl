// c = a OP b. SAME: equal shapes. SUFFIX: b repeats every `period` elements. STRIDED: any broadcast, up to
// six dimensions, c from element `first` on; number by number. An element is WIDTH numbers.
#include <common/index>
#include <common/element>
#if LAYOUT == strided
struct Params {
  count: u32, first: u32,
#for d in 0..6
  size${d}: u32, a${d}: u32, b${d}: u32,
#end
}
#else
struct Params { count: u32, period: u32 }
#endif
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<StoredElement>;
@group(0) @binding(2) var<storage, read> b: array<StoredElement>;
@group(0) @binding(3) var<storage, read_write> c: array<StoredElement>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let chunk = chunk_of(group, groups, params.count);
  for (var i = chunk.x + local; i < chunk.y; i += 64u) {
#if LAYOUT == same
    let at_a = i;
    let at_b = i;
#endif
#if LAYOUT == suffix
    let at_a = i;
    let at_b = i % params.period;
#endif
#if LAYOUT == strided
    var rest = params.first + i;
    var at_a = 0u;
    var at_b = 0u;
#for d in 0..6
    // Dimensions come last first.
    at_a += (rest % params.size${d}) * params.a${d};
    at_b += (rest % params.size${d}) * params.b${d};
    rest /= params.size${d};
#end
#endif
    c[i] = store(load(a[at_a]) ${OP} load(b[at_b]));
  }
}
