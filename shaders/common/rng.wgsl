// Counter-based random bits: pcg3d (Jarzynski and Olano, "Hash Functions for GPU Rendering", 2020) of
// (element, seed, stream). Integers only, so every adapter draws the same.
fn random_bits(element: u32, seed: u32, stream: u32) -> vec3u {
  var v = vec3u(element, seed, stream) * 1664525u + 1013904223u;
  v.x += v.y * v.z;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v ^= v >> vec3u(16u);
  v.x += v.y * v.z;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  return v;
}

// 1/(1 − p) if the element is kept, else 0. `threshold` is p·2^32.
fn dropout_scale(element: u32, seed: u32, stream: u32, threshold: u32, scale: f32) -> f32 {
  return select(0.0, scale, random_bits(element, seed, stream).x >= threshold);
}
