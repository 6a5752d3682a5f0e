// The activation that ACTIVATION names, and its derivative. Chosen when the shader is made: an adapter that
// computes on the CPU runs every branch of a switch for every element.
#include <common/activation>
fn none_value(x: f32) -> f32 { return x; }
fn none_slope(x: f32) -> f32 { return 1.0; }

fn gelu_value(x: f32) -> f32 { return 0.5 * x * (1.0 + erf_approx(x * SQRT_HALF)); }
fn gelu_slope(x: f32) -> f32 {
  let density = INV_SQRT_2PI * exp(-0.5 * min(x * x, 160.0));
  return 0.5 * (1.0 + erf_approx(x * SQRT_HALF)) + x * density;
}

fn gelu_tanh_value(x: f32) -> f32 { return 0.5 * x * (1.0 + tanh_safe(gelu_inner(x))); }
fn gelu_tanh_slope(x: f32) -> f32 {
  let t = tanh_safe(gelu_inner(x));
  let near = clamp(x, -10.0, 10.0);
  let inner_slope = SQRT_2_OVER_PI * fma(3.0 * GELU_CUBIC * near, near, 1.0);
  return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner_slope;
}

fn quick_gelu_value(x: f32) -> f32 { return x * sigmoid(QUICK_GELU * x); }
fn quick_gelu_slope(x: f32) -> f32 {
  let y = sigmoid(QUICK_GELU * x);
  return y * (1.0 + QUICK_GELU * x * (1.0 - y));
}

fn tanh_value(x: f32) -> f32 { return tanh_safe(x); }
fn tanh_slope(x: f32) -> f32 {
  let y = tanh_safe(x);
  return 1.0 - y * y;
}

fn relu_value(x: f32) -> f32 { return select(max(x, 0.0), x, is_nan(x)); }
fn relu_slope(x: f32) -> f32 { return select(0.0, 1.0, x > 0.0); }

fn sigmoid_value(x: f32) -> f32 { return sigmoid(x); }
fn sigmoid_slope(x: f32) -> f32 {
  let y = sigmoid(x);
  return y * (1.0 - y);
}

fn silu_value(x: f32) -> f32 { return x * sigmoid(x); }
fn silu_slope(x: f32) -> f32 {
  let y = sigmoid(x);
  return y * (1.0 + x * (1.0 - y));
}

fn exp_value(x: f32) -> f32 { return exp_safe(x); }
fn exp_slope(x: f32) -> f32 { return exp_safe(x); }

// Of a number, or of four at once (FOUR).
#for f in value slope
#if FOUR
fn activation_${f}(x: vec4f) -> vec4f {
  return vec4f(
#for e in 0..4
    ${ACTIVATION}_${f}(x[${e}]),
#end
  );
}
#else
fn activation_${f}(x: f32) -> f32 { return ${ACTIVATION}_${f}(x); }
#endif
#end
