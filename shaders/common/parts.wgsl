// Several tensors walked as one: each begins at a multiple of 64 elements, the gaps between them belong to nobody.
#include <common/index>
fn padded(count: u32) -> u32 {
  return (count + 63u) & ~63u;
}

// The elements [x, y) of a tensor of `count`, laid at `first`, that lie in a chunk.
fn part_of(chunk: vec2u, first: u32, count: u32) -> vec2u {
  return clamp(chunk, vec2u(first), vec2u(first + count)) - first;
}
