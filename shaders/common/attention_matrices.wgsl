// For attention by subgroup matrices: a workgroup computes BLOCKS blocks of M rows by COLUMNS columns of scores. Rows
// are queries and columns keys, or the other way round. SPLIT subgroups share a block: each has WIDTH of its columns,
// and sums up a part of the head. Operands are f16, sums f32. Rows of a head that stay are in `own`; those of the
// columns come through `tile`. Scores go through `scores` to the invocations, TEAM / M for each row, and come back
// through `weights`, rounded to f16 as in PyTorch's fused kernels. The head size, SIZE, is a multiple of 32.
//
// Indices that are not constants are dimensions of their own: addresses are a register plus a constant then.
enable chromium_experimental_subgroup_matrix;
enable subgroups;
enable f16;
#include <common/attention_seen>
#let TEAM = SPLIT * LANES
#let WIDTH = COLUMNS / SPLIT
// The part of a head that a subgroup sums up.
#let HEAD = SIZE / SPLIT

alias Part = vec4<f16>;
alias Left = subgroup_matrix_left<f16, ${K}, ${M}>;
alias Right = subgroup_matrix_right<f16, ${N}, ${K}>;
alias Result = subgroup_matrix_result<f32, ${N}, ${M}>;
alias Sums = array<Result, ${HEAD / N}>;

const GROUP = ${BLOCKS * TEAM}u;
const ROWS = ${BLOCKS * M}u;
const COLUMNS = ${COLUMNS}u;
// The scores of a row that an invocation has.
alias Own = array<vec4f, ${OWN}>;
// Blocks of four columns by four elements of a head that an invocation brings to the tile, and 1 if some bring
// less.
#let GROUP = BLOCKS * TEAM
#let BROUGHT_BLOCKS = (COLUMNS * SIZE / 16 + GROUP - 1) / GROUP
#let PARTLY = (COLUMNS * SIZE / 16 % GROUP + GROUP - 1) / GROUP
alias Brought = array<mat4x4<f16>, ${BROUGHT_BLOCKS}>;
// Four-vectors from one line of an array to the next; padded where matrices are read by rows.
#let LINE = SIZE / 4 + 2
#let LINE_ACROSS = COLUMNS / 4 + 1
#let LINE_SCORES = WIDTH / 4 + 1
#let LINE_WEIGHTS = COLUMNS / 4

// Rows of a head, a part of them for each subgroup of a block: [column][chunk]. Or, to be summed over the columns,
// a part of the head: [element][column / 4]. TILE: four-vectors of a part.
var<workgroup> tile: array<array<Part, ${TILE}>, ${SPLIT}>;
// OPERANDS rows of a head for each row of the workgroup: [block][row][chunk].
#for n in 0..OPERANDS
var<workgroup> own_${n}: array<array<Part, ${M * LINE}>, ${BLOCKS}>;
#end
// [subgroup][row][column / 4].
var<workgroup> scores: array<array<vec4f, ${M * LINE_SCORES}>, ${BLOCKS * SPLIT}>;
// [block][row][column / 4].
var<workgroup> weights: array<array<Part, ${M * LINE_WEIGHTS}>, ${BLOCKS}>;

// The chunk and the first column of block `index` of what comes to the tile: neighbours read adjacent memory.
fn place_of(index: u32) -> vec2u {
  return vec2u(index % 8u + index / ${2 * COLUMNS}u * 8u, index / 8u % ${COLUMNS / 4}u * 4u);
}

// Four-vectors from one token's row of a head to the next, and the one at which token `row`'s begins.
#for x in q k v
fn stride_${x}() -> u32 { return params.stride / 4u; }
#end
fn stride_grad() -> u32 { return params.heads * ${SIZE / 4}u; }
fn start_q(row: u32, head: u32) -> u32 { return row * stride_q() + head * ${SIZE / 4}u; }
fn start_k(row: u32, head: u32) -> u32 { return start_q(row, head) + params.column_k / 4u; }
fn start_v(row: u32, head: u32) -> u32 { return start_q(row, head) + params.column_v / 4u; }
// o and its gradient.
fn start_grad(row: u32, head: u32) -> u32 { return row * stride_grad() + head * ${SIZE / 4}u; }

#for x in ${BROUGHT}
// The rows of a head of COLUMNS tokens from `first` on; past the end, of the last one.
fn fetch_${x}(own: vec2u, first: u32, head: u32, index: u32) -> Brought {
  let stride = stride_${x}();
  let last = row_of(vec2u(0u, own.y), own.y) * stride;
  let start = start_${x}(own.x, head);
  var brought: Brought;
#for t in 0..BROUGHT_BLOCKS
  let place${t} = place_of(${t}u * GROUP + index);
  let at${t} = first * stride + place${t}.y * stride;
#for e in 0..4
  brought[${t}][${e}] = ${x}[start + place${t}.x + min(at${t} + ${e}u * stride, last)];
#end
#end
  return brought;
}
#end

fn put(brought: Brought, index: u32) {
#for t in 0..BROUGHT_BLOCKS
  let place${t} = place_of(${t}u * GROUP + index);
#for partly in 0..PARTLY
  if (place${t}.x < ${SIZE / 4}u)
#end
  {
    let of${t} = place${t}.y / ${WIDTH}u % ${SPLIT}u;
#for e in 0..4
    tile[of${t}][(place${t}.y - of${t} * ${WIDTH}u + ${e}u) * ${LINE}u + place${t}.x] = brought[${t}][${e}];
#end
  }
#end
}

fn put_across(brought: Brought, index: u32) {
#for t in 0..BROUGHT_BLOCKS
  let place${t} = place_of(${t}u * GROUP + index);
#for partly in 0..PARTLY
  if (place${t}.x < ${SIZE / 4}u)
#end
  {
    let across${t} = transpose(brought[${t}]);
    let of${t} = place${t}.x / ${HEAD / 4}u % ${SPLIT}u;
#for e in 0..4
    tile[of${t}][(4u * place${t}.x - of${t} * ${HEAD}u + ${e}u) * ${LINE_ACROSS}u + place${t}.y / 4u] = across${t}[${e}];
#end
  }
#end
}

// Where an invocation's row of the workgroup begins in its block of `own`.
fn own_line(index: u32) -> u32 {
  return index % ${M}u * ${LINE}u;
}

#for n in 0..OPERANDS
// The products of a subgroup's rows and its part of the tile's, to `scores`.
fn multiply_${n}(subgroup: u32) {
  let of_tile = &tile[subgroup % ${SPLIT}u];
#for j in 0..WIDTH / N
  var products${j} = Result();
#end
#for s in 0..SIZE / K
  let rows${s} = subgroupMatrixLoad<Left, row_major>(&own_${n}[subgroup / ${SPLIT}u], ${s * K / 4}u, ${LINE}u);
#for j in 0..WIDTH / N
  products${j} = subgroupMatrixMultiplyAccumulate(rows${s}, subgroupMatrixLoad<Right, col_major>(of_tile, ${j * N * LINE + s * K / 4}u, ${LINE}u), products${j});
#end
#end
#for j in 0..WIDTH / N
  subgroupMatrixStore<row_major>(&scores[subgroup], ${j * N / 4}u, products${j}, ${LINE_SCORES}u);
#end
}
#end

// Assigned, because AMD's driver leaves an array of matrices that nothing is assigned to as it is.
fn clear(sums: ptr<function, Sums>) {
#for j in 0..HEAD / N
  (*sums)[${j}] = Result();
#end
}

// Adds the weights times the tile's rows, which lie across, to a subgroup's sums.
fn accumulate(sums: ptr<function, Sums>, subgroup: u32) {
  let of_tile = &tile[subgroup % ${SPLIT}u];
#for s in 0..COLUMNS / K
  let weights${s} = subgroupMatrixLoad<Left, row_major>(&weights[subgroup / ${SPLIT}u], ${s * K / 4}u, ${LINE_WEIGHTS}u);
#for j in 0..HEAD / N
  (*sums)[${j}] = subgroupMatrixMultiplyAccumulate(weights${s}, subgroupMatrixLoad<Right, col_major>(of_tile, ${j * N * LINE_ACROSS + s * K / 4}u, ${LINE_ACROSS}u), (*sums)[${j}]);
#end
#end
}

// The row of the workgroup that an invocation works on, and which part of its columns.
fn row_of_invocation(index: u32) -> u32 {
  return index / ${TEAM}u * ${M}u + index % ${M}u;
}

fn part_of_invocation(index: u32) -> u32 {
  return index % ${TEAM}u / ${M}u;
}

// The first chunk of the head of what `own_scores` has of sums.
fn chunk_of_invocation(index: u32) -> u32 {
  return index / ${LANES}u % ${SPLIT}u * ${HEAD / 4}u + index % ${LANES}u / ${M}u * ${OWN}u;
}

// Where part `n` of a subgroup's scores of the invocation's row begins.
fn place_of_scores(index: u32, n: u32) -> u32 {
  return min(index % ${M}u * ${LINE_SCORES}u + n * ${OWN}u, ${M * LINE_SCORES - OWN}u);
}

fn own_scores(index: u32) -> Own {
  let at = place_of_scores(index, index % ${LANES}u / ${M}u);
  return Own(
#for c in 0..OWN
    scores[index / ${LANES}u][at + ${c}u],
#end
  );
}

fn put_scores(values: Own, index: u32) {
  let at = place_of_scores(index, index % ${LANES}u / ${M}u);
#for c in 0..OWN
  scores[index / ${LANES}u][at + ${c}u] = values[${c}];
#end
}

fn put_weights(values: Own, index: u32) {
  let at = min(index % ${M}u * ${LINE_WEIGHTS}u + part_of_invocation(index) * ${OWN}u, ${M * LINE_WEIGHTS - OWN}u);
#for c in 0..OWN
  weights[index / ${TEAM}u][at + ${c}u] = Part(values[${c}]);
#end
}

// Lets the invocations of a row read each other's value by `shared_by`, where its scores were. Barriers before and
// after.
fn share(value: f32, index: u32) {
  scores[index / ${LANES}u][place_of_scores(index, index % ${LANES}u / ${M}u)].x = value;
}

#for n in 0..TEAM / M
fn shared_by_${n}(index: u32) -> f32 {
  return scores[index / ${TEAM}u * ${SPLIT}u + ${n * M / LANES}u][place_of_scores(index, ${n % (LANES / M)}u)].x;
}
#end

// The sum over the invocations of a row.
fn sum_of_row(value: f32, index: u32) -> f32 {
  share(value, index);
  workgroupBarrier();
  var sum = 0.0;
#for n in 0..TEAM / M
  sum += shared_by_${n}(index);
#end
  workgroupBarrier();
  return sum;
}

#for h in 0..SIZE / COLUMNS
// Puts a subgroup's sums of WIDTH elements of its part of the head, from ${h * WIDTH} on, where the scores were.
fn spread_${h}(sums: ptr<function, Sums>, subgroup: u32) {
#for j in 0..WIDTH / N
  subgroupMatrixStore<row_major>(&scores[subgroup], ${j * N / 4}u, (*sums)[${h * WIDTH / N + j}], ${LINE_SCORES}u);
#end
}

// Takes them back from there.
fn collect_${h}(sums: ptr<function, Sums>, subgroup: u32) {
#for j in 0..WIDTH / N
  (*sums)[${h * WIDTH / N + j}] = subgroupMatrixLoad<Result, row_major>(&scores[subgroup], ${j * N / 4}u, ${LINE_SCORES}u);
#end
}
#end
