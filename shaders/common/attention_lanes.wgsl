// For attention over subgroups: rows past a sequence's end, and the range of keys that are seen.
#include <common/attention>
// Added to the score of a key that is not seen, so that it is never the highest.
const UNSEEN: f32 = -1.0e30;

// The row of a token; past the end, of the last one.
fn row_of(own: vec2u, i: u32) -> u32 {
  return own.x + min(i, max(own.y, 1u) - 1u);
}

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
