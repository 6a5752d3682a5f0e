enable subgroups;
diagnostic(off, subgroup_uniformity);
// Forward of attention for adapters that compute on the CPU and have subgroups. There a load costs as much as
// dozens of multiply-adds: a workgroup is one subgroup of LANES invocations with ROWS queries each; each lane
// loads another key, and broadcasts give it to all. Softmax takes lines of LANES keys: the sums are rescaled
// once a line.
#include <common/attention_forward>
#include <common/attention_lanes>

#include <common/pinned_lanes>
@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let head = group.z;
  let plane = plane_of(group.y, head);
  let own = sequence(group.y);
  let column = head * params.size;
  let first = group.x * ${LANES * ROWS}u;
#for r in 0..ROWS
  let i${r} = first + ${r * LANES}u + lane;
#for c in 0..CHUNKS
  let q${r}_${c} = load_q(row_of(own, i${r}) * params.stride + column, ${c}u) * params.scale;
  var acc${r}_${c} = vec4f();
#end
#if BIAS
  let biases${r} = bias_start(own, head, i${r});
#endif
  var highest${r} = UNSEEN;
  var total${r} = 0.0;
#end
  let keys = within(seen_keys(own, lane), first, ${LANES * ROWS}u);
  // Nothing to do for a workgroup past the sequence's end.
  let end = select(0u, keys.y, first < own.y);
  for (var line = keys.x; line < end; line += ${LANES}u) {
    let row = row_of(own, line + lane);
    let key = row * params.stride + column + params.column_k;
    let value = row * params.stride + column + params.column_v;
    let seen = line + lane < end && visible(row);
    let start = select(UNSEEN, 0.0, seen);
    let shown = select(0.0, 1.0, seen);
#for t in 0..LANES
#for r in 0..ROWS
    var s${r}_${t} = subgroupBroadcast(start, ${t}u);
#if BIAS
    s${r}_${t} += bias_of(own, biases${r}, line + ${t}u);
#endif
#if WINDOW
    let near${r}_${t} = near(i${r}, line + ${t}u);
    s${r}_${t} = select(UNSEEN, s${r}_${t}, near${r}_${t} > 0.0);
#endif
#end
#end
#for c in 0..CHUNKS
    let k${c} = load_k(key, ${c}u);
#for t in 0..LANES
#for e in 0..4
    let k${c}_${t}_${e} = subgroupBroadcast(k${c}[${e}], ${t}u);
#for r in 0..ROWS
    s${r}_${t} = fma(q${r}_${c}[${e}], k${c}_${t}_${e}, s${r}_${t});
#end
#end
#end
#end
#for r in 0..ROWS
    let before${r} = highest${r};
#for t in 0..LANES
    highest${r} = max(highest${r}, s${r}_${t});
#end
    let shrink${r} = exp(max(before${r} - highest${r}, -100.0));
    total${r} *= shrink${r};
#end
#for t in 0..LANES
    let shown${t} = subgroupBroadcast(shown, ${t}u);
#for r in 0..ROWS
    s${r}_${t} = exp(max(s${r}_${t} - highest${r}, -100.0)) * shown${t};
#if WINDOW
    s${r}_${t} *= near${r}_${t};
#endif
    total${r} += s${r}_${t};
#if DROPOUT
    s${r}_${t} *= dropout_of(plane, i${r}, line + ${t}u);
#endif
#end
#end
#for c in 0..CHUNKS
    let v${c} = load_v(value, ${c}u);
#for r in 0..ROWS
    acc${r}_${c} *= shrink${r};
#end
#for t in 0..LANES
    let v${c}_${t} = subgroupBroadcast(v${c}, ${t}u);
#for r in 0..ROWS
    acc${r}_${c} = fma(vec4f(s${r}_${t}), v${c}_${t}, acc${r}_${c});
#end
#end
#end
  }
#for r in 0..ROWS
  let inverse${r} = select(0.0, 1.0 / total${r}, total${r} > 0.0);
  if (i${r} < own.y) {
    let at = (own.x + i${r}) * params.heads * params.size + column;
#for c in 0..CHUNKS
    store_o(at, ${c}u, acc${r}_${c} * inverse${r});
#end
    store_stats(stats_of(head, own.x + i${r}), highest${r}, total${r});
  }
#end
}
