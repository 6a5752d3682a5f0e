// For attention over tiles: a workgroup of X × Y = 128 invocations computes a block of 4 · Y rows by 4 · X
// columns of scores, 4 × 4 each: rows y + Y · i by columns x + X · e. Rows are queries and columns keys, or the
// other way round. A score is a product of two rows of a head, 16 elements of which come through workgroup
// memory at a time. `weights` passes the block on, and it is multiplied by the columns' rows of a head, 4 ·
// LINES of which come at a time: an invocation sums 4 rows by J four-vectors, chunks x + X · j of rows y + Y · i.
//
// The tiles take 14.5 KiB; adapters grant at least 16. An index that is not a constant has a dimension of its
// own and the constants come after it: an address is one register plus a constant, which needs no bounds check.
// Loops over four chunks, or parts, begin at a number that compilers do not know. Else they unroll them, and
// programs of four times the size take software adapters a minute to compile.
#include <common/attention_seen>
const GROUP = 128u;
const ROWS = ${4 * Y}u;
const COLUMNS = ${4 * X}u;
// Padded, so that neighbours read different banks.
struct Line { chunks: array<array<vec4f, 4>, 4>, padding: vec4f }
// Lines y or x: [chunk][i or e]. Or, of the columns' rows, lines x: [part][slot % 4], slots from 4 on in the
// second half of the lines; chunk x + X · j of a part's row n is in slot n · J + j.
var<workgroup> tile_8: array<array<Line, 8>, 1>;
var<workgroup> tile_16: array<array<Line, 8>, 2>;
// [y][column / LINES][column % LINES], a vector for the four rows.
var<workgroup> weights: array<array<array<vec4f, ${LINES}>, ${4 * X / LINES}>, ${Y}>;
#if WINDOW
// `near` of four rows, `step` apart from `first` on.
fn near_rows(first: u32, step: u32, other: u32) -> vec4f {
  return vec4f(near(first, other), near(first + step, other), near(first + 2u * step, other), near(first + 3u * step, other));
}

#endif
#if BIAS
// `bias_start` of the rows' four queries, and what is added to their scores.
fn bias_starts(own: vec2u, head: u32, first: u32) -> vec4u {
  return vec4u(
    bias_start(own, head, first), bias_start(own, head, first + ${Y}u),
    bias_start(own, head, first + ${2 * Y}u), bias_start(own, head, first + ${3 * Y}u),
  );
}

fn biases_of(own: vec2u, starts: vec4u, key: u32) -> vec4f {
  return vec4f(
    bias_of(own, starts.x, key), bias_of(own, starts.y, key), bias_of(own, starts.z, key), bias_of(own, starts.w, key),
  );
}

#endif
// Where the rows of a head begin that an invocation brings to the tile of N lines: 32 or 64, from token `first`
// on.
#for N in 8 16
fn starts_${N}(own: vec2u, first: u32, stride: u32, column: u32, index: u32) -> vec2u {
  let row = vec2u(0u, 32u) + first + index / 4u;
  return vec2u(row_of(own, row.x), row_of(own, row.y)) * stride + column;
}

#for t in ${BROUGHT}
// Brings chunks c to c + 3 of them.
fn bring_${N}_${t}(starts: vec2u, c: u32, index: u32) {
  let chunk = index % 4u;
#for r in 0..N / 8
  let line${r} = ${32 * r}u + index / 4u;
  tile_${N}[line${r} / 8u % ${N / 8}u][line${r} % 8u].chunks[chunk][line${r} / ${N}u] =
    load_${t}(starts[${r}], c + chunk);
#end
}
#end
#end

#for t in ${BROUGHT}
// Brings 4 · LINES rows of a head, from token `first` on. What is past the head's end is never stored.
fn bring_all_${t}(own: vec2u, first: u32, stride: u32, column: u32, index: u32) {
  let chunk = index % ${J * X}u;
#for r in 0..2
  let row${r} = ${128 * r / (J * X)}u + index / ${J * X}u;
  let slot${r} = row${r} % ${LINES}u * ${J}u + chunk / ${X}u;
  let line${r} = chunk % ${X}u + 8u * (slot${r} / 4u);
  tile_16[line${r} / 8u][line${r} % 8u].chunks[row${r} / ${LINES}u][slot${r} % 4u] =
    load_${t}(row_of(own, first + row${r}) * stride + column, chunk);
#end
}
#end

// Adds the products of chunks c to before `end` to the scores: a vector for the four rows by column.
fn multiply(scores: ptr<function, array<vec4f, 4>>, x: u32, y: u32, c: u32, end: u32) {
  // `min` changes nothing, but lets AMD's compiler multiply the index in 24 bits, which is faster.
  let of_rows = &tile_${Y}[y / 8u][min(y % 8u, 7u)].chunks;
  let of_columns = &tile_${X}[x / 8u][min(x % 8u, 7u)].chunks;
  for (var q = c; q < end; q += 1u) {
    let rows = transpose(mat4x4f((*of_rows)[q % 4u][0], (*of_rows)[q % 4u][1], (*of_rows)[q % 4u][2], (*of_rows)[q % 4u][3]));
#for e in 0..4
    let column${e} = (*of_columns)[q % 4u][${e}];
#for d in 0..4
    (*scores)[${e}] = fma(rows[${d}], vec4f(column${e}[${d}]), (*scores)[${e}]);
#end
#end
  }
}

fn put_weights(values: ptr<function, array<vec4f, 4>>, x: u32, y: u32) {
#for e in 0..4
  weights[y][(x + ${X * e}u) / ${LINES}u][(x + ${X * e}u) % ${LINES}u] = (*values)[${e}];
#end
}

// Adds the weights of columns `first` to before `end`, times their rows, which `bring_all` brought.
fn accumulate(sums: ptr<function, array<vec4f, ${4 * J}>>, x: u32, y: u32, first: u32, end: u32) {
  let of_weights = &weights[y];
#if X == 8
#for h in 0..2
  let half${h} = &tile_16[${h}][x].chunks;
#end
#else
  let half0 = &tile_16[x / 8u][x % 8u].chunks;
#endif
  for (var at = first; at < end; at += ${LINES}u) {
    let part = at / ${LINES}u;
#for n in 0..LINES
    let weight${n} = (*of_weights)[part][${n}];
#for j in 0..J
    let row${n}_${j} = (*half${(n * J + j) / 4})[part % 4u][${(n * J + j) % 4}];
#for i in 0..4
    (*sums)[${i * J + j}] = fma(vec4f(weight${n}[${i}]), row${n}_${j}, (*sums)[${i * J + j}]);
#end
#end
#end
  }
}

// Puts a vector for the four rows where `shared_by` finds those of all x. Barriers before and after.
fn share(value: vec4f, x: u32, y: u32) {
  weights[y][x / ${LINES}u][x % ${LINES}u] = value;
}

fn shared_by(n: u32, y: u32) -> vec4f {
  return weights[y][n / ${LINES}u][n % ${LINES}u];
}

// The sum of a vector for the four rows over all x.
fn sum_over_x(value: vec4f, x: u32, y: u32) -> vec4f {
  share(value, x, y);
  workgroupBarrier();
  var sum = vec4f();
#for n in 0..X
  sum += shared_by(${n}u, y);
#end
  workgroupBarrier();
  return sum;
}
