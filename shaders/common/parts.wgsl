// Several tensors walked as one: each begins at a multiple of 64 elements, with unused gaps between them.
#include <common/index>
fn padded(count: u32) -> u32 {
  return (count + 63u) & ~63u;
}

// The elements [x, y) inside a chunk, of a tensor of `count` elements that begins at `first`.
fn part_of(chunk: vec2u, first: u32, count: u32) -> vec2u {
  return clamp(chunk, vec2u(first), vec2u(first + count)) - first;
}
