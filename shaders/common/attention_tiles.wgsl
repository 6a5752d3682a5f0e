// For attention over tiles: a workgroup of X × Y = 128 invocations computes a block of 4 · Y rows by 4 · X
// columns of scores, 4 × 4 each: rows y + Y · i by columns x + X · e. Rows are queries and columns keys, or
// the other way round. A score is a product of two rows of a head, which come through workgroup memory 16
// elements at a time. Products of the block with rows of a head (4 · Y rows of the head's size) are 4 rows by J
// four-vectors each: chunks x + X · j of rows y + Y · i. The block is passed on in `weights`, the columns' rows of the
// head KEYS at a time in `tile_16`.
//
// All of it takes at most 15 KiB, the least that adapters grant is 16. Where an index is not a constant it is
// alone in its dimension: the address is one register, computed once, plus a constant. Rows of 17 four-vectors
// let neighbours read different banks.
// TAIL: the head is not a multiple of 4 · J · X wide; what lies past it counts as zero.
#include <common/attention_edges>
const ROWS = ${4 * Y}u;
const COLUMNS = ${4 * X}u;
var<workgroup> tile_8: array<array<vec4f, 17>, 8>;
var<workgroup> tile_16: array<array<vec4f, 17>, 16>;
// [y][column / KEYS][column % KEYS], a vector for the four rows.
var<workgroup> weights: array<array<array<vec4f, ${KEYS}>, ${4 * X / KEYS}>, ${Y}>;
var<workgroup> before_seen: atomic<u32>;
var<workgroup> end_seen: atomic<u32>;
var<workgroup> seen: vec2u;

// The first key of a sequence that is seen, and the one after the last: padding at either end costs nothing.
fn seen_keys(own: vec2u, index: u32) -> vec2u {
  if (params.masked == 0u) { return vec2u(0u, own.y); }
  for (var j = index; j < own.y; j += 128u) {
    if (visible(own.x + j)) {
      atomicMax(&before_seen, own.y - j);
      atomicMax(&end_seen, j + 1u);
    }
  }
  workgroupBarrier();
  if (index == 0u) { seen = vec2u(own.y - atomicLoad(&before_seen), atomicLoad(&end_seen)); }
  return workgroupUniformLoad(&seen);
}

#for x in ${BROUGHT}
fn chunk_of_${x}(at: u32, c: u32) -> vec4f {
#if TAIL
  if (c >= ${CHUNKS}u) { return vec4f(); }
#endif
  return load_${x}(at, c);
}

// Brings chunks c to c + 3 of the block's rows, or columns, from token `first` on.
#for N in ${Y} ${X}
fn bring_${N}_${x}(own: vec2u, first: u32, stride: u32, column: u32, c: u32, index: u32) {
#for t in 0..N / 8
  let line${t} = ${32 * t}u + index / 4u;
  tile_${N}[line${t} % ${N}u][4u * (line${t} / ${N}u) + index % 4u] = chunk_of_${x}(row_of(own, first + line${t}) * stride + column, c + index % 4u);
#end
}
#end

// Brings all of the KEYS rows of a head from token `first` on.
fn bring_all_${x}(own: vec2u, first: u32, stride: u32, column: u32, index: u32) {
#for t in 0..2
  let at${t} = ${128 * t}u + index;
  tile_16[at${t} / 16u][at${t} % 16u] = chunk_of_${x}(row_of(own, first + at${t} / ${J * X}u) * stride + column, at${t} % ${J * X}u);
#end
}
#end

// Adds the products of 16 elements to the scores: a vector for the four rows by column.
fn multiply(scores: ptr<function, array<vec4f, 4>>, x: u32, y: u32) {
#for q in 0..4
  let rows${q} = transpose(mat4x4f(tile_${Y}[y][${q}], tile_${Y}[y][${4 + q}], tile_${Y}[y][${8 + q}], tile_${Y}[y][${12 + q}]));
#for e in 0..4
  let column${q}_${e} = tile_${X}[x][${4 * e + q}];
#for d in 0..4
  (*scores)[${e}] = fma(rows${q}[${d}], vec4f(column${q}_${e}[${d}]), (*scores)[${e}]);
#end
#end
#end
}

fn put_weights(values: ptr<function, array<vec4f, 4>>, x: u32, y: u32) {
#for e in 0..4
  weights[y][(x + ${X * e}u) / ${KEYS}u][(x + ${X * e}u) % ${KEYS}u] = (*values)[${e}];
#end
}

// Adds KEYS columns' weights times the rows that `bring_all` brought.
fn accumulate(sums: ptr<function, array<vec4f, ${4 * J}>>, x: u32, y: u32, round: u32) {
#for n in 0..KEYS
  let weight${n} = weights[y][round][${n}];
#for j in 0..J
  let row${n}_${j} = tile_16[${(n * J + j) * X / 16}][${(n * J + j) * X % 16}u + x];
#for i in 0..4
  (*sums)[${i * J + j}] = fma(vec4f(weight${n}[${i}]), row${n}_${j}, (*sums)[${i * J + j}]);
#end
#end
#end
}

// Puts a vector for the four rows where `gather` finds those of all x. Barriers before and after.
fn share(value: vec4f, x: u32, y: u32) {
  weights[y][x / ${KEYS}u][x % ${KEYS}u] = value;
}

fn shared_by(n: u32, y: u32) -> vec4f {
  return weights[y][n / ${KEYS}u][n % ${KEYS}u];
}
