// The dynamic scale of a loss (Micikevicius et al., 2018), by PyTorch's rule: it shrinks after a step whose
// gradients were not finite, and grows after `interval` consecutive steps whose gradients were.
struct Params { interval: f32, growth: f32, backoff: f32 }
@group(0) @binding(0) var<uniform> params: Params;
// [norm, factor] of the step's gradients.
@group(0) @binding(1) var<storage, read> norm: array<f32>;
// Scale, finite steps since it last changed, and steps left out.
@group(0) @binding(2) var<storage, read_write> state: array<f32>;
#include <common/activation>

@compute @workgroup_size(1)
fn main() {
  if (!is_finite(norm[0])) {
    state[0] *= params.backoff;
    state[1] = 0.0;
    state[2] += 1.0;
    return;
  }
  let good = state[1] + 1.0;
  let grows = good >= params.interval;
  // Never infinite.
  state[0] = select(state[0], min(state[0] * params.growth, 0x1p+100f), grows);
  state[1] = select(good, 0.0, grows);
}
