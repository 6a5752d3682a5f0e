// The scales that dropout gives an Element whose first number has index `first`.
fn dropout_element(first: u32) -> Element {
  return Element(
#for c in 0..WIDTH
    dropout_scale(first + ${c}u, params.seed, params.stream, params.threshold, params.scale),
#end
  );
}
