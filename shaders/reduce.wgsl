// Sums the middle axis of [outer, n, inner] in chunks: y[outer, chunk, inner] = scale · Σ over the chunk's
// rows. An element is WIDTH numbers.
#include <common/index>
#include <common/element>
struct Params { outer: u32, n: u32, inner: u32, chunks: u32, chunk: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<StoredElement>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = flat_index(group, groups, local, 64u);
  if (i >= params.outer * params.chunks * params.inner) { return; }
  let column = i % params.inner;
  let part = (i / params.inner) % params.chunks;
  let block = i / (params.inner * params.chunks);
  let first = part * params.chunk;
  let end = min(first + params.chunk, params.n);
  var total = Element();
  var at = (block * params.n + first) * params.inner + column;
  // By fours, whose sums do not wait for one another.
  let stride = params.inner;
  var row = first;
  for (; row + 3u < end; row += 4u) {
    total += (load(x[at]) + load(x[at + stride])) + (load(x[at + 2u * stride]) + load(x[at + 3u * stride]));
    at += 4u * stride;
  }
  for (; row < end; row += 1u) {
    total += load(x[at]);
    at += stride;
  }
  y[i] = total * params.scale;
}
