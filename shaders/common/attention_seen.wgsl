// The keys of a sequence that are seen by a workgroup of GROUP invocations.
#include <common/attention_edges>
var<workgroup> before_seen: atomic<u32>;
var<workgroup> end_seen: atomic<u32>;
var<workgroup> seen: vec2u;

// The first key of a sequence that is seen, and the one after the last: padding at either end costs nothing.
fn seen_keys(own: vec2u, index: u32) -> vec2u {
  if (params.masked == 0u) { return vec2u(0u, own.y); }
  for (var j = index; j < own.y; j += GROUP) {
    if (visible(own.x + j)) {
      atomicMax(&before_seen, own.y - j);
      atomicMax(&end_seen, j + 1u);
    }
  }
  workgroupBarrier();
  if (index == 0u) { seen = vec2u(own.y - atomicLoad(&before_seen), atomicLoad(&end_seen)); }
  return workgroupUniformLoad(&seen);
}
