// The activation that ACTIVATION names, and its derivative. Chosen when the shader is made: an adapter that
// computes on the CPU runs every branch of a switch for every element.
#include <common/activation>
fn activate(x: f32) -> f32 {
#if ACTIVATION == gelu
  return 0.5 * x * (1.0 + erf_approx(x * SQRT_HALF));
#endif
#if ACTIVATION == gelu_tanh
  return 0.5 * x * (1.0 + tanh_safe(gelu_inner(x)));
#endif
#if ACTIVATION == quick_gelu
  return x * sigmoid(QUICK_GELU * x);
#endif
#if ACTIVATION == tanh
  return tanh_safe(x);
#endif
#if ACTIVATION == relu
  return select(max(x, 0.0), x, is_nan(x));
#endif
#if ACTIVATION == sigmoid
  return sigmoid(x);
#endif
#if ACTIVATION == silu
  return x * sigmoid(x);
#endif
#if ACTIVATION == exp
  return exp_safe(x);
#endif
#if ACTIVATION == none
  return x;
#endif
}

// The derivative at the activation's input x.
fn activate_slope(x: f32) -> f32 {
#if ACTIVATION == gelu
  let density = INV_SQRT_2PI * exp(-0.5 * min(x * x, 160.0));
  return 0.5 * (1.0 + erf_approx(x * SQRT_HALF)) + x * density;
#endif
#if ACTIVATION == gelu_tanh
  let t = tanh_safe(gelu_inner(x));
  let near = clamp(x, -10.0, 10.0);
  let inner_slope = SQRT_2_OVER_PI * fma(3.0 * GELU_CUBIC * near, near, 1.0);
  return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner_slope;
#endif
#if ACTIVATION == quick_gelu
  let y = sigmoid(QUICK_GELU * x);
  return y * (1.0 + QUICK_GELU * x * (1.0 - y));
#endif
#if ACTIVATION == tanh
  let y = tanh_safe(x);
  return 1.0 - y * y;
#endif
#if ACTIVATION == relu
  return select(0.0, 1.0, x > 0.0);
#endif
#if ACTIVATION == sigmoid
  let y = sigmoid(x);
  return y * (1.0 - y);
#endif
#if ACTIVATION == silu
  let y = sigmoid(x);
  return y * (1.0 + x * (1.0 - y));
#endif
#if ACTIVATION == exp
  return exp_safe(x);
#endif
#if ACTIVATION == none
  return 1.0;
#endif
}

fn activate4(x: vec4f) -> vec4f {
  return vec4f(activate(x.x), activate(x.y), activate(x.z), activate(x.w));
}

fn activate_slope4(x: vec4f) -> vec4f {
  return vec4f(activate_slope(x.x), activate_slope(x.y), activate_slope(x.z), activate_slope(x.w));
}
