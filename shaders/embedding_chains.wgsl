// The positions of each id, chained in order for embedding's backward.
//   MARK: ends[id] = (count − its first position, its last position + 1), by atomic maxima from zeros: the
//         same in any order.
//   LINK: next[t] = the next position with the same id, or count if there is none.
#include <common/index>
struct Params { tokens: u32, padding: i32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<i32>;
#if PART == mark
@group(0) @binding(2) var<storage, read_write> ends: array<atomic<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let t = flat_index(group, groups, local, 64u);
  if (t >= params.tokens) { return; }
  let id = ids[t];
  if (id == params.padding) { return; }
  atomicMax(&ends[2u * u32(id)], params.tokens - t);
  atomicMax(&ends[2u * u32(id) + 1u], t + 1u);
}
#else
@group(0) @binding(2) var<storage, read> ends: array<vec2u>;
@group(0) @binding(3) var<storage, read_write> next: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let t = flat_index(group, groups, local, 64u);
  if (t >= params.tokens) { return; }
  let id = ids[t];
  var after = params.tokens;
  // There is one to be found before the id's last position.
  if (id != params.padding && t + 1u < ends[u32(id)].y) {
    after = t + 1u;
    while (after < params.tokens && ids[after] != id) {
      after += 1u;
    }
  }
  next[t] = after;
}
#endif
