// load_x for each x that READ names, store_x for each that WRITTEN names: chunk c of the row of a head that
// begins at element `at` of the tensor bound as x.
#if !VEC
// Zero past the head's end.
fn inside(c: u32, value: vec4f) -> vec4f {
  return select(vec4f(), value, vec4u(0u, 1u, 2u, 3u) + 4u * c < vec4u(params.size));
}
#endif

#for x in ${READ}
fn load_${x}(at: u32, c: u32) -> vec4f {
#if VEC
  return vec4f(${x}[at / 4u + c]);
#else
  let last = at + params.size - 1u;
  let i = at + 4u * c;
  return inside(c, vec4f(vec4<Stored>(${x}[i], ${x}[min(i + 1u, last)], ${x}[min(i + 2u, last)], ${x}[min(i + 3u, last)])));
#endif
}
#end

#if BIAS
fn load_k(at: u32, c: u32) -> vec4f { return load_q(at, c); }
fn load_v(at: u32, c: u32) -> vec4f { return load_q(at, c); }
#endif
#for x in ${WRITTEN}
fn store_${x}(at: u32, c: u32, value: vec4f) {
#if VEC
  ${x}[at / 4u + c] = StoredElement(value);
#else
#for e in 0..4
  if (4u * c + ${e}u < params.size) { ${x}[at + 4u * c + ${e}u] = Stored(value[${e}]); }
#end
#endif
}
#end
