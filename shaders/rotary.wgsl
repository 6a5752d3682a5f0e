// Rotary positions (Su et al., "RoFormer", 2021) of rows of queries, keys and values: in each head of a query
// or key, number d and the one half a head later are turned by an angle; values are copied. SIGN 1: forward;
// −1: backward, the turn back.
#include <common/index>
#include <common/element>
// Pairs in all, in half a head, and in a row; heads of a row's queries; the first row, and after how many
// rows positions repeat.
struct Params { count: u32, half_size: u32, row_pairs: u32, heads: u32, first: u32, positions: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<StoredElement>;
@group(0) @binding(2) var<storage, read> positions: array<i32>;
// Cosines, then sines, of each position.
@group(0) @binding(3) var<storage, read> angles: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<StoredElement>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let chunk = chunk_of(group, groups, params.count);
  for (var i = chunk.x + local; i < chunk.y; i += 64u) {
    let d = i % params.half_size;
    let head = i % params.row_pairs / params.half_size;
    let at = i / params.half_size * 2u * params.half_size + d;
    let a = load(x[at]);
    let b = load(x[at + params.half_size]);
    let row = params.first + i / params.row_pairs;
    let angle = u32(positions[row % params.positions]) * 2u * params.half_size + d;
    let turned = head < 2u * params.heads;
    let cosine = select(Element(1.0), angles[angle], turned);
    let sine = select(Element(0.0), f32(${SIGN}) * angles[angle + params.half_size], turned);
    y[at] = store(a * cosine - b * sine);
    y[at + params.half_size] = store(b * cosine + a * sine);
  }
}
