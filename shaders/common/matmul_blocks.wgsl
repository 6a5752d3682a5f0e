// Blocks of four lines by four k of the operands, as an invocation brings them. A line is a row of op(A) or a
// column of op(B).
#include <common/matmul>

#let VEC_a = VEC_A
#let VEC_b = VEC_B
// Lines are adjacent in memory.
#let ACROSS_a = TRANSPOSE_A
#let ACROSS_b = 1 - TRANSPOSE_B
fn lines_a() -> u32 { return params.m; }
fn lines_b() -> u32 { return params.n; }

// What an invocation knows of its block of an operand: the items of its lines at k = of_k (if lines are adjacent
// in memory, of the first one), the lines from there to the edge, and k.
struct Block { starts: vec4u, left: u32, of_k: u32 }

#for x in a b
// An item of the operand's array is a four-vector if VEC_A (VEC_B), else one element.
fn load_items_${x}(item: u32, left: u32) -> vec4f {
#if VEC_${x}
  return vec4f(${x}[item]);
#else
  return load_${x}(item, left);
#endif
}

// The block from k = k0 + of_k on, a column for each k; zero past size_k. `start`: the item of the block's
// first line at k = of_k. `left`: lines from there to the edge.
fn across_${x}(start: u32, left: u32, k0: u32, of_k: u32, size_k: u32) -> mat4x4f {
  let stride = params.stride_${x} / ITEM_${x};
  var block = mat4x4f();
#for e in 0..4
#if TAIL_K
  if (k0 + of_k + ${e}u < size_k) { block[${e}] = load_items_${x}(start + (k0 + ${e}u) * stride, left); }
#else
  block[${e}] = load_items_${x}(start + (k0 + ${e}u) * stride, left);
#endif
#end
  return block;
}

// The same; `starts`: the items of the four lines at k = of_k.
fn along_${x}(starts: vec4u, k0: u32, of_k: u32, size_k: u32) -> mat4x4f {
#if TAIL_K
  if (k0 + of_k >= size_k) { return mat4x4f(); }
  let left = size_k - k0 - of_k;
#else
  let left = 4u;
#endif
  var block: mat4x4f;
#for e in 0..4
  block[${e}] = load_items_${x}(starts[${e}] + k0 / ITEM_${x}, left);
#end
  return transpose(block);
}

// The block whose first line is `line`. Blocks past the edge hold the last lines instead, whose products are not
// stored.
fn block_of_${x}(z: u32, line: u32, of_k: u32) -> Block {
  let base = params.offset_${x} + z * params.batch_${x};
#if ACROSS_${x}
  let first = clamp_start_${x}(line, lines_${x}());
  return Block(vec4u((base + of_k * params.stride_${x} + first) / ITEM_${x}), lines_${x}() - first, of_k);
#else
  let lines = min(line + vec4u(0u, 1u, 2u, 3u), vec4u(lines_${x}() - 1u));
  return Block((base + of_k + lines * params.stride_${x}) / ITEM_${x}, 4u, of_k);
#endif
}

fn bring_${x}(block: Block, k0: u32, size_k: u32) -> mat4x4f {
#if ACROSS_${x}
  return across_${x}(block.starts.x, block.left, k0, block.of_k, size_k);
#else
  return along_${x}(block.starts, k0, block.of_k, size_k);
#endif
}
#end
