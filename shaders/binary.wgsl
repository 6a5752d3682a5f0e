// c = a OP b. SAME: equal shapes. SUFFIX: b repeats every `period` elements. STRIDED: any broadcast, up to
// six dimensions, c from element `first` on; number by number. An element is WIDTH numbers.
//   FORM arithmetic: OP is an operator.
//   FORM function:   OP names a function of two numbers.
//   FORM comparison: OP is an operator, c int32 0 or 1, and UNORDERED what a comparison with NaN gives. T may be
//                    i32.
#include <common/index>
#include <common/element>
#include <common/functions>
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
#if FORM == comparison
#if WIDTH == 1
alias Result = i32;
alias Truth = bool;
alias Bits = u32;
#else
alias Result = vec${WIDTH}i;
alias Truth = vec${WIDTH}<bool>;
alias Bits = vec${WIDTH}u;
#endif
#else
alias Result = StoredElement;
#endif
@group(0) @binding(3) var<storage, read_write> c: array<Result>;

#if FORM == arithmetic
fn combine(x: StoredElement, y: StoredElement) -> Result {
  return store(load(x) ${OP} load(y));
}
#endif
#if FORM == comparison
#if T == i32
fn combine(x: StoredElement, y: StoredElement) -> Result {
  return Result(x ${OP} y);
}
#else
fn nans(x: Element) -> Truth {
  return (bitcast<Bits>(x) & Bits(0x7fffffffu)) > Bits(0x7f800000u);
}

fn combine(x: StoredElement, y: StoredElement) -> Result {
  let unordered = nans(load(x)) | nans(load(y));
  return Result(select(load(x) ${OP} load(y), Truth(${UNORDERED}), unordered));
}
#endif
#endif
#if FORM == function
fn maximum(x: f32, y: f32) -> f32 { return select(select(y, x, x > y), x + y, is_nan(x) || is_nan(y)); }
fn minimum(x: f32, y: f32) -> f32 { return select(select(y, x, x < y), x + y, is_nan(x) || is_nan(y)); }
// The part of a maximum's gradient that x gets.
fn maximum_share(x: f32, y: f32) -> f32 { return select(select(1.0, 0.5, x == y), 0.0, x < y); }
// 1 if both are the same number, or NaN.
fn same(x: f32, y: f32) -> f32 { return select(0.0, 1.0, x == y || (is_nan(x) && is_nan(y))); }
// The derivative of pow by its exponent.
fn exponent_slope_of_pow(x: f32, y: f32) -> f32 {
  if (x == 0.0 && y >= 0.0) { return 0.0; }
  return pow_of(x, y) * log_value(x);
}

fn combine(x: StoredElement, y: StoredElement) -> Result {
#if WIDTH == 1
  return store(${OP}(load(x), load(y)));
#else
  let left = load(x);
  let right = load(y);
  return store(Element(
#for e in 0..4
    ${OP}(left[${e}], right[${e}]),
#end
  ));
#endif
}
#endif

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
    c[i] = combine(a[at_a], b[at_b]);
  }
}
