// Blocks of four lines by four k of the operands, as an invocation brings them. A line is a row of op(A) or a
// column of op(B).
#include <common/matmul>

// An item of an operand's array is a four-vector if VEC_A (VEC_B), else one element.
#if VEC_A
const ITEM_a = 4u;
fn load_items_a(item: u32, left: u32) -> vec4f { return vec4f(a[item]); }
#else
const ITEM_a = 1u;
fn load_items_a(item: u32, left: u32) -> vec4f { return load_a(item, left); }
#endif
#if VEC_B
const ITEM_b = 4u;
fn load_items_b(item: u32, left: u32) -> vec4f { return vec4f(b[item]); }
#else
const ITEM_b = 1u;
fn load_items_b(item: u32, left: u32) -> vec4f { return load_b(item, left); }
#endif

#for x in a b
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

// The starts of four lines from `line` on; past the edge, that of the last line.
fn starts_along_${x}(at: u32, line: u32, lines: u32) -> vec4u {
  return (at + min(line + vec4u(0u, 1u, 2u, 3u), vec4u(lines - 1u)) * params.stride_${x}) / ITEM_${x};
}
#end

// What an invocation knows of its block of an operand: the items of its lines at k = of_k (if lines are adjacent
// in memory, of the first one), the lines from there to the edge, and k.
struct Block { starts: vec4u, left: u32, of_k: u32 }

// Blocks past the edge hold the last lines instead, whose products are not stored.
fn block_of_a(z: u32, line: u32, of_k: u32) -> Block {
  let base = params.offset_a + z * params.batch_a;
#if TRANSPOSE_A
  let first = clamp_start_a(line, params.m);
  return Block(vec4u((base + of_k * params.stride_a + first) / ITEM_a), params.m - first, of_k);
#else
  return Block(starts_along_a(base + of_k, line, params.m), 4u, of_k);
#endif
}

fn block_of_b(z: u32, line: u32, of_k: u32) -> Block {
  let base = params.offset_b + z * params.batch_b;
#if TRANSPOSE_B
  return Block(starts_along_b(base + of_k, line, params.n), 4u, of_k);
#else
  let first = clamp_start_b(line, params.n);
  return Block(vec4u((base + of_k * params.stride_b + first) / ITEM_b), params.n - first, of_k);
#endif
}

fn bring_a(block: Block, k0: u32, size_k: u32) -> mat4x4f {
#if TRANSPOSE_A
  return across_a(block.starts.x, block.left, k0, block.of_k, size_k);
#else
  return along_a(block.starts, k0, block.of_k, size_k);
#endif
}

fn bring_b(block: Block, k0: u32, size_k: u32) -> mat4x4f {
#if TRANSPOSE_B
  return along_b(block.starts, k0, block.of_k, size_k);
#else
  return across_b(block.starts.x, block.left, k0, block.of_k, size_k);
#endif
}
