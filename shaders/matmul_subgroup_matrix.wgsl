// C = act(op(A) · op(B) + bias), as in matmul.wgsl, by a GPU's subgroup matrices: a workgroup computes DOWN ×
// ACROSS blocks, and a subgroup one block of ROWS × COLUMNS matrices of M rows and N columns, K of k at a
// time. A and B come through workgroup memory, STEP of k at a time, as COMPONENT and in the order they have
// in memory; matrices are loaded from there by rows or by columns, as that order asks. Past the edges the
// tiles are zero. Sums are f32.
enable chromium_experimental_subgroup_matrix;
enable subgroups;
#if COMPONENT == f16
enable f16;
#endif
#include <common/matmul>

alias Part = vec4<${COMPONENT}>;
alias Left = subgroup_matrix_left<${COMPONENT}, ${K}, ${M}>;
alias Right = subgroup_matrix_right<${COMPONENT}, ${N}, ${K}>;
alias Result = subgroup_matrix_result<f32, ${N}, ${M}>;

const GROUP = ${DOWN * ACROSS * LANES}u;
const BLOCKS = ${DOWN * ACROSS}u;
const TILE_ROWS = ${DOWN * ROWS * M}u;
const TILE_COLUMNS = ${ACROSS * COLUMNS * N}u;
// Four-vectors from one line of a tile to the next: 16 bytes more than it holds, so that lines begin in
// different banks.
#if TRANSPOSE_A
const LINE_A = ${DOWN * ROWS * M / 4 + PAD}u;
var<workgroup> tile_a: array<vec4<${COMPONENT}>, ${STEP * (DOWN * ROWS * M / 4 + PAD)}>; // [k STEP][row / 4]
#else
const LINE_A = ${STEP / 4 + PAD}u;
var<workgroup> tile_a: array<vec4<${COMPONENT}>, ${DOWN * ROWS * M * (STEP / 4 + PAD)}>; // [row][k / 4]
#endif
#if TRANSPOSE_B
const LINE_B = ${STEP / 4 + PAD}u;
var<workgroup> tile_b: array<vec4<${COMPONENT}>, ${ACROSS * COLUMNS * N * (STEP / 4 + PAD)}>; // [column][k / 4]
#else
const LINE_B = ${ACROSS * COLUMNS * N / 4 + PAD}u;
var<workgroup> tile_b: array<vec4<${COMPONENT}>, ${STEP * (ACROSS * COLUMNS * N / 4 + PAD)}>; // [k STEP][column / 4]
#endif
// One row of matrices of each block, on its way to C.
const LINE_C = ${COLUMNS * N / 4}u;
var<workgroup> tile_c: array<vec4f, ${DOWN * ACROSS * M * COLUMNS * N / 4}>; // [block][row M][column / 4]

// The place of four-vector `index` of a tile in A: x along k, y along the rows (or columns); its slot in the
// tile follows from it.
fn place_a(index: u32) -> vec2u {
#if TRANSPOSE_A
  return vec2u(index / (TILE_ROWS / 4u), index % (TILE_ROWS / 4u) * 4u);
#else
  return vec2u(index % ${STEP / 4}u * 4u, index / ${STEP / 4}u);
#endif
}

fn slot_a(place: vec2u) -> u32 {
#if TRANSPOSE_A
  return place.x * LINE_A + place.y / 4u;
#else
  return place.y * LINE_A + place.x / 4u;
#endif
}

fn place_b(index: u32) -> vec2u {
#if TRANSPOSE_B
  return vec2u(index % ${STEP / 4}u * 4u, index / ${STEP / 4}u);
#else
  return vec2u(index / (TILE_COLUMNS / 4u), index % (TILE_COLUMNS / 4u) * 4u);
#endif
}

fn slot_b(place: vec2u) -> u32 {
#if TRANSPOSE_B
  return place.y * LINE_B + place.x / 4u;
#else
  return place.x * LINE_B + place.y / 4u;
#endif
}

// Rows (or columns) past the edge and steps past size_k are zero.
fn fetch_a(base: u32, k: u32, row: u32, size_k: u32) -> Part {
  if (row >= params.m || k >= size_k) { return Part(); }
#if TRANSPOSE_A
  return Part(load_a(base + k * params.stride_a + row, params.m - row));
#else
  return Part(load_a(base + row * params.stride_a + k, size_k - k));
#endif
}

fn fetch_b(base: u32, k: u32, column: u32, size_k: u32) -> Part {
  if (column >= params.n || k >= size_k) { return Part(); }
#if TRANSPOSE_B
  return Part(load_b(base + column * params.stride_b + k, size_k - k));
#else
  return Part(load_b(base + k * params.stride_b + column, params.n - column));
#endif
}

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
  let base_a = params.offset_a + group.z * params.batch_a;
  let base_b = params.offset_b + group.z * params.batch_b;
  let size_k = inner_size(group.z);
  // One round if subgroups have LANES invocations. Larger ones leave blocks for another round, smaller ones
  // do the last block again.
  for (var first = 0u; first < BLOCKS; first += subgroups) {
    let block = min(first + subgroup, BLOCKS - 1u);
    let block_row = block / ${ACROSS}u * ${ROWS * M}u;
    let block_column = block % ${ACROSS}u * ${COLUMNS * N}u;
#for i in 0..ROWS
#for j in 0..COLUMNS
    var c${i}_${j} = Result();
#end
#end
#if SUM_A
    // An invocation brings the same four rows in every round.
    var sum = vec4f();
#endif
    // Four-vectors on their way from memory to a tile, fetched while the tiles before them are multiplied.
#for t in 0..DOWN * ROWS * M * STEP / 4 / (DOWN * ACROSS * LANES)
    let pa${t} = place_a(${t}u * GROUP + index);
    var va${t} = fetch_a(base_a, pa${t}.x, first_row + pa${t}.y, size_k);
#end
#for t in 0..ACROSS * COLUMNS * N * STEP / 4 / (DOWN * ACROSS * LANES)
    let pb${t} = place_b(${t}u * GROUP + index);
    var vb${t} = fetch_b(base_b, pb${t}.x, first_column + pb${t}.y, size_k);
#end
    for (var k0 = 0u; k0 < size_k; k0 += ${STEP}u) {
#for t in 0..DOWN * ROWS * M * STEP / 4 / (DOWN * ACROSS * LANES)
      tile_a[slot_a(pa${t})] = va${t};
#if SUM_A
      sum += vec4f(va${t});
#endif
      va${t} = fetch_a(base_a, k0 + ${STEP}u + pa${t}.x, first_row + pa${t}.y, size_k);
#end
#for t in 0..ACROSS * COLUMNS * N * STEP / 4 / (DOWN * ACROSS * LANES)
      tile_b[slot_b(pb${t})] = vb${t};
      vb${t} = fetch_b(base_b, k0 + ${STEP}u + pb${t}.x, first_column + pb${t}.y, size_k);
#end
      workgroupBarrier();
      for (var k = 0u; k < ${STEP}u; k += ${K}u) {
#for j in 0..COLUMNS
#if TRANSPOSE_B
        let b${j} = subgroupMatrixLoad<Right, col_major>(&tile_b, (block_column + ${j * N}u) * LINE_B + k / 4u, LINE_B);
#else
        let b${j} = subgroupMatrixLoad<Right, row_major>(&tile_b, k * LINE_B + (block_column + ${j * N}u) / 4u, LINE_B);
#endif
#end
#for i in 0..ROWS
#if TRANSPOSE_A
        let a${i} = subgroupMatrixLoad<Left, col_major>(&tile_a, k * LINE_A + (block_row + ${i * M}u) / 4u, LINE_A);
#else
        let a${i} = subgroupMatrixLoad<Left, row_major>(&tile_a, (block_row + ${i * M}u) * LINE_A + k / 4u, LINE_A);
#endif
#for j in 0..COLUMNS
        c${i}_${j} = subgroupMatrixMultiplyAccumulate(a${i}, b${j}, c${i}_${j});
#end
#end
      }
      workgroupBarrier();
    }
#if SUM_A
    // Each four rows were brought by GROUP / (TILE_ROWS / 4) invocations.
    tile_c[index] = sum;
    workgroupBarrier();
    if (group.x == 0u && first == 0u && index < TILE_ROWS / 4u) {
      var total = vec4f();
      for (var s = index; s < GROUP; s += TILE_ROWS / 4u) {
        total += tile_c[s];
      }
      store_sum(group.z, first_row + index * 4u, total);
    }
    workgroupBarrier();
#endif
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
