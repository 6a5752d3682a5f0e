// Functions of numbers with the special values of IEEE 754, which WGSL leaves to the adapter.
#include <common/activation>

// The float with these bits. WGSL rejects an infinity or a NaN that its compiler can see.
fn special(bits: u32) -> f32 {
  var hidden = bits;
  return bitcast<f32>(hidden);
}

fn infinity() -> f32 { return special(0x7f800000u); }
fn not_a_number() -> f32 { return special(0x7fc00000u); }

fn reciprocal(x: f32) -> f32 {
  if (x == 0.0) { return infinity(); }
  return 1.0 / x;
}

fn log_value(x: f32) -> f32 {
  if (is_nan(x) || x < 0.0) { return not_a_number(); }
  if (x == 0.0) { return -infinity(); }
  if (!is_finite(x)) { return x; }
  return log(x);
}
fn log_slope(x: f32) -> f32 { return reciprocal(x); }

fn sqrt_value(x: f32) -> f32 {
  if (is_nan(x) || x < 0.0) { return not_a_number(); }
  if (!is_finite(x)) { return x; }
  return sqrt(x);
}
fn sqrt_slope(x: f32) -> f32 { return 0.5 * reciprocal(sqrt_value(x)); }

fn abs_value(x: f32) -> f32 { return abs(x); }
fn abs_slope(x: f32) -> f32 { return select(0.0, 1.0, x > 0.0) - select(0.0, 1.0, x < 0.0); }

// Of a whole number.
fn is_odd(x: f32) -> bool {
  return abs(x) < 16777216.0 && (u32(abs(x)) & 1u) == 1u;
}

// base^exponent. Whole exponents up to 32 are products, so that a square is exactly one.
fn pow_of(base: f32, exponent: f32) -> f32 {
  if (exponent == 0.0 || base == 1.0) { return 1.0; }
  if (is_nan(base) || is_nan(exponent)) { return not_a_number(); }
  let whole = !is_finite(exponent) || exponent == floor(exponent);
  if (base < 0.0 && is_finite(base) && !whole) { return not_a_number(); }
  if (whole && abs(exponent) <= 32.0) {
    var rest = u32(abs(exponent));
    var square = base;
    var product = 1.0;
    while (rest != 0u) {
      if ((rest & 1u) != 0u) { product *= square; }
      square *= square;
      rest >>= 1u;
    }
    if (exponent > 0.0) { return product; }
    return reciprocal(product);
  }
  let size = abs(base);
  var raised = 1.0;
  if (size == 0.0 || !is_finite(size) || !is_finite(exponent)) {
    // (−1)^∞ is one, too.
    if (size != 1.0) { raised = select(0.0, infinity(), (size > 1.0) == (exponent > 0.0)); }
  } else if (exponent == 0.5) {
    raised = sqrt(size);
  } else {
    raised = pow(size, exponent);
  }
  return select(raised, -raised, base < 0.0 && whole && is_odd(exponent));
}
fn slope_of_pow(base: f32, exponent: f32) -> f32 {
  if (exponent == 0.0) { return 0.0; }
  return exponent * pow_of(base, exponent - 1.0);
}
