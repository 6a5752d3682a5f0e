// What activations are made of.
const SQRT_HALF: f32 = 0.70710678118654752;
const INV_SQRT_2PI: f32 = 0.39894228040143268;
const SQRT_2_OVER_PI: f32 = 0.79788456080286536;
const GELU_CUBIC: f32 = 0.044715;
const QUICK_GELU: f32 = 1.702;

// erf as a ratio of odd and even polynomials on [-4, 4] (the coefficients of Eigen's single-precision erf);
// within 5e-7 of the true value.
fn erf_approx(value: f32) -> f32 {
  let x = clamp(value, -4.0, 4.0);
  let t = x * x;
  var p = -2.72614225801306e-10;
  p = fma(p, t, 2.77068142495902e-08);
  p = fma(p, t, -2.10102402082508e-06);
  p = fma(p, t, -5.69250639462346e-05);
  p = fma(p, t, -7.34990630326855e-04);
  p = fma(p, t, -2.95459980854025e-03);
  p = fma(p, t, -1.60960333262415e-02);
  var q = -1.45660718464996e-05;
  q = fma(q, t, -2.13374055278905e-04);
  q = fma(q, t, -1.68282697438203e-03);
  q = fma(q, t, -7.37332916720468e-03);
  q = fma(q, t, -1.42647390514189e-02);
  return clamp(x * p / q, -1.0, 1.0);
}

// By bits: WGSL may assume that there is no NaN. Clamps would turn one into a number that looks healthy.
fn is_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn is_finite(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

// WGSL's tanh may overflow for large arguments; past 10 it is 1 in f32.
fn tanh_safe(x: f32) -> f32 {
  return select(tanh(clamp(x, -10.0, 10.0)), x, is_nan(x));
}

// What the approximate GELU takes tanh of. Past 10 that is 1 in f32, and the cube must not overflow.
fn gelu_inner(value: f32) -> f32 {
  let x = clamp(value, -10.0, 10.0);
  return SQRT_2_OVER_PI * fma(GELU_CUBIC * x, x * x, x);
}

fn sigmoid(x: f32) -> f32 {
  return select(1.0 / (1.0 + exp(-clamp(x, -80.0, 80.0))), x, is_nan(x));
}

// The largest finite result is that of 88.72.
fn exp_safe(x: f32) -> f32 {
  return select(exp(min(x, 88.72)), x, is_nan(x));
}
