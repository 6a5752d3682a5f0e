enable subgroups;
diagnostic(off, subgroup_uniformity);
// Backward of attention for adapters that compute on the CPU and have subgroups, as attention_broadcast.wgsl:
// lanes hold ROWS queries each and broadcasts bring the keys (PART query), or the other way round (PART key).
#include <common/attention_backward>
#include <common/attention_lanes>

#include <common/pinned_lanes>
@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let head = group.z;
  let plane = plane_of(group.y, head);
  let own = sequence(group.y);
  let column = head * params.size;
  let width = params.heads * params.size;
  let first_stats = stats_of(head, 0u);
  let first = group.x * ${LANES * ROWS}u;
#if PART == query
#for r in 0..ROWS
  let i${r} = first + ${r * LANES}u + lane;
  let row${r} = row_of(own, i${r});
  var delta${r} = 0.0;
#for c in 0..CHUNKS
  let q${r}_${c} = load_q(row${r} * params.stride + column, ${c}u) * params.scale;
  let g${r}_${c} = load_grad(row${r} * width + column, ${c}u);
  delta${r} += dot(g${r}_${c}, load_o(row${r} * width + column, ${c}u));
  var d${r}_${c} = vec4f();
#end
  let lse${r} = stats[first_stats + row${r}].x;
#if BIAS
  let biases${r} = bias_start(own, head, i${r});
#endif
#end
  let keys = within(seen_keys(own, lane), first, ${LANES * ROWS}u);
  // Nothing to do for a workgroup past the sequence's end.
  let end = select(0u, keys.y, first < own.y);
  for (var line = keys.x; line < end; line += ${LANES}u) {
    let row = row_of(own, line + lane);
    let at = row * params.stride + column;
    let shown = select(0.0, params.scale, line + lane < end && visible(row));
#for t in 0..LANES
#for r in 0..ROWS
#if BIAS
    var s${r}_${t} = bias_of(own, biases${r}, line + ${t}u) - lse${r};
#else
    var s${r}_${t} = -lse${r};
#endif
    var p${r}_${t} = 0.0;
#end
#end
#for c in 0..CHUNKS
    let k${c} = load_k(at + params.column_k, ${c}u);
    let v${c} = load_v(at + params.column_v, ${c}u);
#for t in 0..LANES
    let k${c}_${t} = subgroupBroadcast(k${c}, ${t}u);
    let v${c}_${t} = subgroupBroadcast(v${c}, ${t}u);
#for r in 0..ROWS
#for e in 0..4
    s${r}_${t} = fma(q${r}_${c}[${e}], k${c}_${t}[${e}], s${r}_${t});
    p${r}_${t} = fma(g${r}_${c}[${e}], v${c}_${t}[${e}], p${r}_${t});
#end
#end
#end
#end
#for t in 0..LANES
    let shown${t} = subgroupBroadcast(shown, ${t}u);
#for r in 0..ROWS
#if DROPOUT
    p${r}_${t} *= dropout_of(plane, i${r}, line + ${t}u);
#endif
    s${r}_${t} = exp(min(s${r}_${t}, 0.0)) * (p${r}_${t} - delta${r}) * shown${t};
#if WINDOW
    s${r}_${t} *= near(i${r}, line + ${t}u);
#endif
#if BIAS
    store_dbias(own, head, i${r}, line + ${t}u, s${r}_${t});
#endif
#end
#end
#for c in 0..CHUNKS
#for t in 0..LANES
    let again${c}_${t} = subgroupBroadcast(k${c}, ${t}u);
#for r in 0..ROWS
    d${r}_${c} = fma(vec4f(s${r}_${t}), again${c}_${t}, d${r}_${c});
#end
#end
#end
  }
#for r in 0..ROWS
  if (i${r} < own.y) {
    stats[first_stats + row${r}] = vec2f(lse${r}, delta${r});
#for c in 0..CHUNKS
    store_dq(row${r} * params.stride + column, ${c}u, d${r}_${c});
#end
  }
#end
#else
#for r in 0..ROWS
  let j${r} = first + ${r * LANES}u + lane;
  let row${r} = row_of(own, j${r});
  let shown${r} = select(0.0, 1.0, visible(row${r}));
#for c in 0..CHUNKS
  let k${r}_${c} = load_k(row${r} * params.stride + column + params.column_k, ${c}u) * params.scale;
  let v${r}_${c} = load_v(row${r} * params.stride + column + params.column_v, ${c}u);
  var dk${r}_${c} = vec4f();
  var dv${r}_${c} = vec4f();
#end
#end
  // Keys that are all masked, or past the sequence's end, need no query.
  let keys = seen_keys(own, lane);
  let end = select(0u, own.y, first < keys.y && first + ${LANES * ROWS}u > keys.x);
  let queries = within(vec2u(0u, end), first, ${LANES * ROWS}u);
  for (var line = queries.x; line < queries.y; line += ${LANES}u) {
    let row = row_of(own, line + lane);
    let inside_sequence = select(0.0, 1.0, line + lane < queries.y);
    let row_stats = stats[first_stats + row];
#for t in 0..LANES
#if BIAS
    let biases${t} = bias_start(own, head, line + ${t}u);
#endif
#for r in 0..ROWS
#if BIAS
    var s${r}_${t} = bias_of(own, biases${t}, j${r});
#else
    var s${r}_${t} = 0.0;
#endif
    var p${r}_${t} = 0.0;
#end
#end
#for c in 0..CHUNKS
    let q${c} = load_q(row * params.stride + column, ${c}u);
    let g${c} = load_grad(row * width + column, ${c}u);
#for t in 0..LANES
    let q${c}_${t} = subgroupBroadcast(q${c}, ${t}u);
    let g${c}_${t} = subgroupBroadcast(g${c}, ${t}u);
#for r in 0..ROWS
#for e in 0..4
    s${r}_${t} = fma(k${r}_${c}[${e}], q${c}_${t}[${e}], s${r}_${t});
    p${r}_${t} = fma(v${r}_${c}[${e}], g${c}_${t}[${e}], p${r}_${t});
#end
#end
#end
#end
#for t in 0..LANES
    let stats${t} = subgroupBroadcast(row_stats, ${t}u);
    let inside${t} = subgroupBroadcast(inside_sequence, ${t}u);
#for r in 0..ROWS
    let weight${r}_${t} = exp(min(s${r}_${t} - stats${t}.x, 0.0)) * inside${t}
#if WINDOW
      * near(line + ${t}u, j${r})
#endif
      ;
#if DROPOUT
    let keep${r}_${t} = dropout_of(plane, line + ${t}u, j${r});
#else
    let keep${r}_${t} = 1.0;
#endif
    s${r}_${t} = weight${r}_${t} * (p${r}_${t} * keep${r}_${t} - stats${t}.y) * params.scale;
    p${r}_${t} = weight${r}_${t} * keep${r}_${t};
#end
#end
#for c in 0..CHUNKS
#for t in 0..LANES
    let query${c}_${t} = subgroupBroadcast(q${c}, ${t}u);
    let slope${c}_${t} = subgroupBroadcast(g${c}, ${t}u);
#for r in 0..ROWS
    dk${r}_${c} = fma(vec4f(s${r}_${t}), query${c}_${t}, dk${r}_${c});
    dv${r}_${c} = fma(vec4f(p${r}_${t}), slope${c}_${t}, dv${r}_${c});
#end
#end
#end
  }
#for r in 0..ROWS
  if (j${r} < own.y) {
    let at = row${r} * params.stride + column;
#for c in 0..CHUNKS
    store_dk(at + params.column_k, ${c}u, dk${r}_${c} * shown${r});
    store_dv(at + params.column_v, ${c}u, dv${r}_${c} * shown${r});
#end
  }
#end
#endif
}
