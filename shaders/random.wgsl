// Fills with random numbers. NORMAL: mean `low` and standard deviation `width` (Box-Muller); CUT: those
// further than `cutoff` deviations from the mean are drawn again. Else uniform in [low, low + width).
#include <common/index>
#include <common/rng>
struct Params { count: u32, seed: u32, stream: u32, first: u32, low: f32, width: f32, cutoff: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

#if CUT
fn normal_of(bits: vec3u) -> f32 {
  let u = (f32(bits.x >> 8u) + 0.5) * (1.0 / 16777216.0);
  return sqrt(-2.0 * log(u)) * cos(f32(bits.y >> 8u) * (6.283185307179586 / 16777216.0));
}

#endif
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = flat_index(group, groups, local, 64u);
  if (i >= params.count) { return; }
  let bits = random_bits(params.first + i, params.seed, params.stream);
#if NORMAL
#if CUT
  var value = normal_of(bits);
  // Streams that no other tensor has.
  for (var again = 1u; again < 16u && abs(value) > params.cutoff; again += 1u) {
    value = normal_of(random_bits(params.first + i, params.seed, params.stream ^ (again << 27u)));
  }
  y[i] = params.low + params.width * clamp(value, -params.cutoff, params.cutoff);
#else
  // 24 bits each; the first is never 0, so that its logarithm is finite.
  let u = (f32(bits.x >> 8u) + 0.5) * (1.0 / 16777216.0);
  let angle = f32(bits.y >> 8u) * (6.283185307179586 / 16777216.0);
  y[i] = params.low + params.width * sqrt(-2.0 * log(u)) * cos(angle);
#endif
#else
  y[i] = fma(params.width, f32(bits.x >> 8u) * (1.0 / 16777216.0), params.low);
#endif
}
