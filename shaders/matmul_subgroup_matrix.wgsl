// C = act(op(A) · op(B) + bias), as in matmul.wgsl, by a GPU's subgroup matrices: a workgroup computes DOWN ×
// ACROSS blocks, and a subgroup one block of ROWS × COLUMNS matrices of M rows and N columns, K of k at a
// time. Lines come through workgroup memory, STEP of k at a time, as COMPONENT, with k adjacent whatever the
// order in memory: a row of a matrix is then one wide load.
enable chromium_experimental_subgroup_matrix;
enable subgroups;
#if COMPONENT == f16
enable f16;
#endif
#include <common/matmul_blocks>

alias Part = vec4<${COMPONENT}>;
alias Left = subgroup_matrix_left<${COMPONENT}, ${K}, ${M}>;
alias Right = subgroup_matrix_right<${COMPONENT}, ${N}, ${K}>;
alias Result = subgroup_matrix_result<f32, ${N}, ${M}>;

const GROUP = ${DOWN * ACROSS * LANES}u;
const BLOCKS = ${DOWN * ACROSS}u;
const TILE_ROWS = ${DOWN * ROWS * M}u;
const TILE_COLUMNS = ${ACROSS * COLUMNS * N}u;
#let LINES_A = ROWS * M
#let LINES_B = COLUMNS * N
// Blocks of four lines by four k that an invocation brings in each round, and 1 if some invocations bring less.
#let GROUP = DOWN * ACROSS * LANES
#let PER_A = (DOWN * LINES_A * STEP / 16 + GROUP - 1) / GROUP
#let PER_B = (ACROSS * LINES_B * STEP / 16 + GROUP - 1) / GROUP
#let PARTLY_A = (DOWN * LINES_A * STEP / 16 % GROUP + GROUP - 1) / GROUP
#let PARTLY_B = (ACROSS * LINES_B * STEP / 16 % GROUP + GROUP - 1) / GROUP
// Four-vectors from one line of a tile to the next: 16 bytes more than it holds, so that lines begin in
// different banks.
#let LINE = STEP / 4 + PAD
// 1 if the first round's products come before the loop, so that an invocation's place in a matrix is known in it:
// for small blocks. With larger ones, and if only B lies across k, AMD's compiler would copy the sums each round.
#let SMALL = (4 / (ROWS * COLUMNS) + 3) / 4
#let PEELED = (TRANSPOSE_A + TRANSPOSE_B + 1) / 2 * SMALL
// [block of lines][line][k / 4]. A subgroup's block is a dimension of its own: matrices are then at constant
// places of it, and their addresses a register plus a constant that needs no bounds check.
var<workgroup> tile_a: array<array<Part, ${LINES_A * LINE}>, ${DOWN}>;
var<workgroup> tile_b: array<array<Part, ${LINES_B * LINE}>, ${ACROSS}>;
// One row of matrices of each block, on its way to C.
const LINE_C = ${COLUMNS * N / 4}u;
var<workgroup> tile_c: array<vec4f, ${DOWN * ACROSS * M * COLUMNS * N / 4}>; // [block][row M][column / 4]

// The first line and the first k of what invocation `index` brings of an operand: neighbours read adjacent
// memory, and write to different banks.
fn place_across_k(index: u32) -> vec2u {
  return vec2u(index % 8u + index / ${2 * STEP}u * 8u, index / 8u % ${STEP / 4}u) * 4u;
}

fn place_along_k(index: u32) -> vec2u {
  return vec2u(index / ${STEP / 4}u, index % ${STEP / 4}u) * 4u;
}

#let ACROSS_a = TRANSPOSE_A
#let ACROSS_b = 1 - TRANSPOSE_B
#for x in a b
fn place_${x}(index: u32) -> vec2u {
#if ACROSS_${x}
  return place_across_k(index);
#else
  return place_along_k(index);
#endif
}
#end

#if SUM_A
// The sums of op(A)'s rows. Apart from the products, which other columns' workgroups make too; the loads of
// SUMMED rounds are in flight at once.
#let SUMMED = 4
fn sum_rows(z: u32, first_row: u32, size_k: u32, index: u32) {
#for t in 0..PER_A
  let pa${t} = place_a(${t}u * GROUP + index);
  let a${t} = block_of_a(z, first_row + pa${t}.x, pa${t}.y);
  var sum${t} = vec4f();
#end
  let last = (size_k - 1u) / ${STEP}u * ${STEP}u;
  for (var k = 0u; k < size_k; k += ${SUMMED * STEP}u) {
#for t in 0..PER_A
#for s in 0..SUMMED
    let va${t}_${s} = bring_a(a${t}, min(k + ${s * STEP}u, last), size_k);
#end
#for s in 0..SUMMED
    if (k + ${s * STEP}u <= last) { sum${t} += va${t}_${s}[0] + va${t}_${s}[1] + va${t}_${s}[2] + va${t}_${s}[3]; }
#end
#end
  }
  // Each four rows were brought by STEP / 4 invocations.
#for t in 0..PER_A
  if (pa${t}.x < TILE_ROWS) { tile_c[${t}u * GROUP + index] = sum${t}; }
#end
  workgroupBarrier();
  if (index < TILE_ROWS / 4u) {
    var total = vec4f();
    for (var s = 0u; s < ${STEP / 4}u; s += 1u) {
      total += tile_c[index % 8u + s * 8u + index / 8u * ${2 * STEP}u];
    }
    store_sum(z, first_row + index * 4u, total);
  }
  workgroupBarrier();
}
#endif

#include <common/pinned_lanes>
@compute @workgroup_size(GROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) index: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(num_subgroups) subgroups: u32,
) {
  let first_row = group.y * TILE_ROWS;
  let first_column = group.x * TILE_COLUMNS;
  let size_k = inner_size(group.z);
#if SUM_A
  if (group.x == 0u) { sum_rows(group.z, first_row, size_k, index); }
#endif
  // One round if subgroups have LANES invocations. Larger ones leave blocks for another round, smaller ones
  // do the last block again.
  for (var first = 0u; first < BLOCKS; first += subgroups) {
    let block = min(first + subgroup, BLOCKS - 1u);
    let of_a = &tile_a[block / ${ACROSS}u];
    // `min` changes nothing, but lets compilers see that constants may be added to the address.
    let of_b = &tile_b[min(block % ${ACROSS}u, ${ACROSS - 1}u)];
#for i in 0..ROWS
#for j in 0..COLUMNS
    var c${i}_${j} = Result();
#end
#end
    // What an invocation brings in each round.
#for t in 0..PER_A
    let pa${t} = place_a(${t}u * GROUP + index);
    let a${t} = block_of_a(group.z, first_row + pa${t}.x, pa${t}.y);
    let slot_a${t} = min(pa${t}.x % ${LINES_A}u * ${LINE}u + pa${t}.y / 4u, ${LINES_A * LINE - 3 * LINE - 1}u);
#end
#for t in 0..PER_B
    let pb${t} = place_b(${t}u * GROUP + index);
    let b${t} = block_of_b(group.z, first_column + pb${t}.x, pb${t}.y);
    let slot_b${t} = min(pb${t}.x % ${LINES_B}u * ${LINE}u + pb${t}.y / 4u, ${LINES_B * LINE - 3 * LINE - 1}u);
#end
    // A round fetches the next blocks, multiplies the tiles and replaces them; the last fetches once more what
    // it has.
    let rounds = (size_k + ${STEP - 1}u) / ${STEP}u;
#for at in 0..2 + PEELED
#let LAST = (at + 1) / (2 + PEELED)
#if LAST
    for (var round = ${at}u; round <= rounds; round += 1u) {
      let k = min(round, rounds - 1u) * ${STEP}u;
#else
    {
      let k = min(${at}u, rounds - 1u) * ${STEP}u;
#endif
#for t in 0..PER_A
      let va${t} = transpose(bring_a(a${t}, k, size_k));
#end
#for t in 0..PER_B
      let vb${t} = transpose(bring_b(b${t}, k, size_k));
#end
#if at
#for s in 0..STEP / K
#for j in 0..COLUMNS
      let right${s}_${j} = subgroupMatrixLoad<Right, col_major>(of_b, ${j * N * LINE + s * K / 4}u, ${LINE}u);
#end
#for i in 0..ROWS
      let left${s}_${i} = subgroupMatrixLoad<Left, row_major>(of_a, ${i * M * LINE + s * K / 4}u, ${LINE}u);
#for j in 0..COLUMNS
      c${i}_${j} = subgroupMatrixMultiplyAccumulate(left${s}_${i}, right${s}_${j}, c${i}_${j});
#end
#end
#end
      workgroupBarrier();
#endif
#for t in 0..PER_A
#for guard in 0..PARTLY_A
      if (pa${t}.x < TILE_ROWS)
#end
      {
#for e in 0..4
        tile_a[pa${t}.x / ${LINES_A}u][slot_a${t} + ${e * LINE}u] = Part(va${t}[${e}]);
#end
      }
#end
#for t in 0..PER_B
#for guard in 0..PARTLY_B
      if (pb${t}.x < TILE_COLUMNS)
#end
      {
#for e in 0..4
        tile_b[pb${t}.x / ${LINES_B}u][slot_b${t} + ${e * LINE}u] = Part(vb${t}[${e}]);
#end
      }
#end
      workgroupBarrier();
    }
#end
    // Row of matrices by row: a loop, because unrolled the epilogue would be most of the program.
    for (var i = 0u; i < ${ROWS}u; i += 1u) {
      if (first + subgroup < BLOCKS) {
        switch i {
#for i in 0..ROWS
          case ${i}u: {
#for j in 0..COLUMNS
            subgroupMatrixStore<row_major>(&tile_c, block * ${M}u * LINE_C + ${j * N / 4}u, c${i}_${j}, LINE_C);
#end
          }
#end
          default: {}
        }
      }
      workgroupBarrier();
      for (var e = index; e < BLOCKS * ${M}u * LINE_C; e += GROUP) {
        let owner = e / (${M}u * LINE_C);
        let row = first_row + owner / ${ACROSS}u * ${ROWS * M}u + i * ${M}u + e / LINE_C % ${M}u;
        let column = first_column + owner % ${ACROSS}u * ${COLUMNS * N}u + e % LINE_C * 4u;
        if (owner >= first && owner < first + subgroups) {
          store_c(group.z, row, column, tile_c[e], load_bias(column));
        }
      }
      workgroupBarrier();
    }
  }
}
