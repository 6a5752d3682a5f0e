// C = act(op(A) · op(B) + bias), as in matmul.wgsl, for GPUs: a workgroup of DOWN × ACROSS invocations computes
// a tile, of which each invocation has ROWS rows of VECTORS four-vectors. A line is a row of op(A) or a column
// of op(B). Lines come through workgroup memory, 16 of k at a time: an invocation brings a block of four lines
// and four k of one operand, and transposes it if k is adjacent in memory. PREFETCH: the next block is loaded
// while this one is multiplied, which takes registers.
#include <common/matmul_blocks>

const TILE_ROWS = ${DOWN * ROWS}u;
const TILE_COLUMNS = ${4 * ACROSS * VECTORS}u;
// Four-vectors of one k that are of A.
const VECTORS_A = ${DOWN * ROWS / 4}u;
// [k / 4][k % 4][line / 4]: the lines of A, then those of B. Nested, because compilers check each index and drop
// the checks of numbers and of an invocation's id: what remains is an address of a register plus a number.
var<workgroup> tile: array<array<array<vec4f, ${DOWN * ROWS / 4 + ACROSS * VECTORS}>, 4>, 4>;

// The first line and the first k of block `index` of an operand, if lines are adjacent in memory: neighbours
// read adjacent four-vectors, and write them.
fn place_across_k(index: u32, lines: u32) -> vec2u {
  return vec2u(4u * index % lines, 4u * index / lines * 4u);
}

// The same if k is adjacent in memory. Workgroup memory has 32 banks of 4 bytes: it takes the four-vectors of 8
// invocations at once if their banks differ. A k has a multiple of 128 bytes, so the same lines of two k share
// banks. (Padding would separate them, but the large tile fills the 16 KiB that every adapter has.) Therefore
// 8 invocations write adjacent lines of two k only. From memory, two neighbours read 32 adjacent bytes of
// float32, and 16 invocations 64 of each line.
fn place_along_k(index: u32) -> vec2u {
  return vec2u(index / 16u * 16u + index / 2u % 4u * 4u, index % 2u * 4u + index / 8u % 2u * 8u);
}

fn bring(is_a: bool, own: Block, k0: u32, size_k: u32) -> mat4x4f {
  if (is_a) { return bring_a(own, k0, size_k); }
  return bring_b(own, k0, size_k);
}

#include <common/pinned_tiles>
@compute @workgroup_size(${DOWN * ACROSS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32) {
  // Scalars, and `min`, which changes nothing: compilers know their bounds.
  let x = min(index % ${ACROSS}u, ${ACROSS - 1}u);
  let y = index / ${ACROSS}u;
  let first_row = group.y * TILE_ROWS;
  let first_column = group.x * TILE_COLUMNS;
  let size_k = inner_size(group.z);
  let is_a = index < TILE_ROWS;
  var place: vec2u;
  var own: Block;
  if (is_a) {
#if TRANSPOSE_A
    place = place_across_k(index, TILE_ROWS);
#else
    place = place_along_k(index);
#endif
    own = block_of_a(group.z, first_row + place.x, place.y);
  } else {
#if TRANSPOSE_B
    place = place_along_k(index - TILE_ROWS);
#else
    place = place_across_k(index - TILE_ROWS, TILE_COLUMNS);
#endif
    own = block_of_b(group.z, first_column + place.x, place.y);
  }
  let slot = select(VECTORS_A, 0u, is_a) + place.x / 4u;
#for i in 0..ROWS
#for j in 0..VECTORS
  var c${i}_${j} = vec4f();
#end
#end
#if SUM_A
  // An invocation brings the same four rows, and k that differ by multiples of 16.
#for e in 0..4
  var sum${e} = vec4f();
#end
#endif
#if PREFETCH
  var next = bring(is_a, own, 0u, size_k);
#endif
  for (var k0 = 0u; k0 < size_k; k0 += 16u) {
#if PREFETCH
    let block = next;
#else
    let block = bring(is_a, own, k0, size_k);
#endif
    // Not all invocations have a block if the tile has fewer lines than invocations.
    if (index < TILE_ROWS + TILE_COLUMNS) {
#for e in 0..4
      tile[place.y / 4u][${e}][slot] = block[${e}];
#end
    }
#if SUM_A
    if (is_a) {
#for e in 0..4
      sum${e} += block[${e}];
#end
    }
#endif
    workgroupBarrier();
#if PREFETCH
    if (k0 + 16u < size_k) { next = bring(is_a, own, k0 + 16u, size_k); }
#endif
    // Compilers that know the number of rounds unroll the loop and take more registers.
    for (var q = 0u; q < (min(size_k - k0, 16u) + 3u) / 4u; q += 1u) {
#for e in 0..4
#for j in 0..VECTORS
      let b${e}_${j} = tile[q][${e}][VECTORS_A + ${ACROSS * j}u + x];
#end
#for h in 0..ROWS / 4
      let a${e}_${h} = tile[q][${e}][y * ${ROWS / 4}u + ${h}u];
#for i in 0..4
#for j in 0..VECTORS
      c${4 * h + i}_${j} = fma(vec4f(a${e}_${h}[${i}]), b${e}_${j}, c${4 * h + i}_${j});
#end
#end
#end
#end
    }
    workgroupBarrier();
  }
#if SUM_A
  // Per row, 16 sums: of every 16th k.
  if (is_a) {
#for e in 0..4
    tile[place.y / 4u][${e}][slot] = sum${e};
#end
  }
  workgroupBarrier();
  if (group.x == 0u && index < VECTORS_A) {
    var total = vec4f();
#for q in 0..4
#for e in 0..4
    total += tile[${q}][${e}][index];
#end
#end
    store_sum(group.z, first_row + 4u * index, total);
  }
#endif
#for j in 0..VECTORS
  let column${j} = first_column + 4u * (${ACROSS * j}u + x);
  let added${j} = load_bias(column${j});
#for i in 0..ROWS
  store_c(group.z, first_row + y * ${ROWS}u + ${i}u, column${j}, c${i}_${j}, added${j});
#end
#end
}
