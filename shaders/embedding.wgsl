// Rows of a table by index, the table possibly seen through a window of rows [first, first + window).
//   GATHER: y[t] = table[ids[t]] for the ids in the window.
//   LINK:   next[t] = the next position with the same id (count where there is none); head[t] = 1 at an id's first position.
//   SCATTER: for each first position, the sum of dy over its chain, written to the window's row. Every row is written by one
//            invocation in the order of positions, so the sum is the same each run.
#include <common/index>
#if PART == gather
struct Params { tokens: u32, cols: u32, first: u32, window: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<i32>;
@group(0) @binding(2) var<storage, read> table: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = flat_index(group, groups, local, 64u);
  if (i >= params.tokens * params.cols) { return; }
  let row = u32(ids[i / params.cols]) - params.first;
  if (row >= params.window) { return; }
  y[i] = table[row * params.cols + i % params.cols];
}
#endif
#if PART == link
struct Params { tokens: u32, padding: i32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<i32>;
@group(0) @binding(2) var<storage, read_write> next: array<u32>;
@group(0) @binding(3) var<storage, read_write> head: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let t = flat_index(group, groups, local, 64u);
  if (t >= params.tokens) { return; }
  let id = ids[t];
  var after = params.tokens;
  var is_head = 0u;
  if (id != params.padding) {
    after = t + 1u;
    while (after < params.tokens && ids[after] != id) {
      after += 1u;
    }
    is_head = 1u;
    for (var before = t; before > 0u; before -= 1u) {
      if (ids[before - 1u] == id) {
        is_head = 0u;
        break;
      }
    }
  }
  next[t] = after;
  head[t] = is_head;
}
#endif
#if PART == scatter
struct Params { tokens: u32, cols: u32, first: u32, window: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<i32>;
@group(0) @binding(2) var<storage, read> next: array<u32>;
@group(0) @binding(3) var<storage, read> head: array<u32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> dtable: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = flat_index(group, groups, local, 64u);
  if (i >= params.tokens * params.cols) { return; }
  let first_position = i / params.cols;
  let column = i % params.cols;
  if (head[first_position] == 0u) { return; }
  let row = u32(ids[first_position]) - params.first;
  if (row >= params.window) { return; }
  var total = 0.0;
  var t = first_position;
  while (t < params.tokens) {
    total += dy[t * params.cols + column];
    t = next[t];
  }
  dtable[row * params.cols + column] = total;
}
#endif
