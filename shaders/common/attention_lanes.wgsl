// For attention over subgroups: the range of keys that are seen.
#include <common/attention_edges>

// The first key of a sequence that is seen, and the one after the last: padding at either end costs nothing.
fn seen_keys(own: vec2u, lane: u32) -> vec2u {
  var first = own.y;
  var end = 0u;
  let count = select(0u, own.y, params.masked != 0u);
  for (var j = lane; j < count; j += ${LANES}u) {
    let seen = visible(own.x + j);
    first = select(first, min(first, j), seen);
    end = select(end, j + 1u, seen);
  }
  return select(vec2u(0u, own.y), vec2u(subgroupMin(first), subgroupMax(end)), params.masked != 0u);
}
