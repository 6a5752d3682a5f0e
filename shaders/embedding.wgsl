// Rows of a table by index. The table may be seen through a window of rows [first, first + window).
//   GATHER:  y[t] = table[ids[t]] for the ids in the window. The first window also writes `stray` for ids
//            outside the table, so that y keeps nothing of what was in its memory before.
//   SCATTER: for each id's first position, the sum of dy over its chain (embedding_chains.wgsl), written to
//            the window's row. One team writes a row, in the order of positions, so the sum is the same each
//            run.
#include <common/rows>
#if PART == gather
struct Params { rows: u32, cols: u32, share: u32, first: u32, window: u32, table: u32, stray: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<i32>;
@group(0) @binding(2) var<storage, read> weights: array<StoredElement>;
@group(0) @binding(3) var<storage, read_write> y: array<StoredElement>;

#include <common/pinned_rows>
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let width = params.cols / WIDTH;
  let share = rows_of(group, groups, params.share, params.rows);
  for (var t = share.x; t < share.y; t += 1u) {
    let id = u32(ids[t]);
    let row = id - params.first;
    if (row < params.window) {
      for (var i = lane; i < width; i += TEAM) {
        y[t * width + i] = weights[row * width + i];
      }
    } else if (id >= params.table && params.first == 0u) {
      for (var i = lane; i < width; i += TEAM) {
        y[t * width + i] = store(Element(params.stray));
      }
    }
  }
}
#else
struct Params { rows: u32, cols: u32, share: u32, first: u32, window: u32, padding: i32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<i32>;
@group(0) @binding(2) var<storage, read> next: array<u32>;
@group(0) @binding(3) var<storage, read> ends: array<vec2u>;
@group(0) @binding(4) var<storage, read> dy: array<StoredElement>;
@group(0) @binding(5) var<storage, read_write> dtable: array<StoredElement>;

#include <common/pinned_rows>
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let width = params.cols / WIDTH;
  let share = rows_of(group, groups, params.share, params.rows);
  for (var first = share.x; first < share.y; first += 1u) {
    let id = ids[first];
    let row = u32(id) - params.first;
    if (id != params.padding && row < params.window && ends[u32(id)].x == params.rows - first) {
      for (var i = lane; i < width; i += TEAM) {
        var total = Element();
        for (var t = first; t < params.rows; t = next[t]) {
          total += load(dy[t * width + i]);
        }
        dtable[row * width + i] = store(total);
      }
    }
  }
}
#endif
