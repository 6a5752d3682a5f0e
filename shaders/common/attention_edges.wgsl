// For attention over blocks of rows: rows past a sequence's end, and scores of keys that are not seen.
#include <common/attention>
// The score of a key that is not seen, so that it is never the highest.
const UNSEEN: f32 = -1.0e30;

// The row of a token; past the end, of the last one.
fn row_of(own: vec2u, i: u32) -> u32 {
  return own.x + min(i, max(own.y, 1u) - 1u);
}
