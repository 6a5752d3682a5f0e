// The scales that dropout gives an Element whose first number has the index `first`.
fn dropout_element(first: u32) -> Element {
#if VEC
  return vec4f(
#for c in 0..4
    dropout_scale(first + ${c}u, params.seed, params.stream, params.threshold, params.scale),
#end
  );
#else
  return dropout_scale(first, params.seed, params.stream, params.threshold, params.scale);
#endif
}
