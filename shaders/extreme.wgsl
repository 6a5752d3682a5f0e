// The largest (OP >) or smallest (OP <) numbers of the middle axis of [outer, n, inner] in chunks, and the rows
// that they are in: values and rows [outer, chunk, inner]. NaN beats every number, and of equal numbers the first
// counts. CARRIED: x are such values already, and come with their rows.
#include <common/index>
#include <common/stored>
#include <common/activation>
struct Params { outer: u32, n: u32, inner: u32, chunks: u32, chunk: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;
@group(0) @binding(3) var<storage, read_write> rows: array<u32>;
#if CARRIED
@group(0) @binding(4) var<storage, read> carried: array<u32>;
#endif

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = flat_index(group, groups, local, 64u);
  if (i >= params.outer * params.chunks * params.inner) { return; }
  let column = i % params.inner;
  let part = (i / params.inner) % params.chunks;
  let block = i / (params.inner * params.chunks);
  let first = part * params.chunk;
  let end = min(first + params.chunk, params.n);
  let start = block * params.n * params.inner + column;
  var found = first;
  var best = f32(x[start + first * params.inner]);
  for (var row = first + 1u; row < end; row += 1u) {
    let value = f32(x[start + row * params.inner]);
    let better = !is_nan(best) && (is_nan(value) || value ${OP} best);
    best = select(best, value, better);
    found = select(found, row, better);
  }
  values[i] = best;
#if CARRIED
  rows[i] = carried[start + found * params.inner];
#else
  rows[i] = params.first + found;
#endif
}
