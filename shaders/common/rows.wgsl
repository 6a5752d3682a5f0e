// Work on rows. A workgroup is a team of TEAM invocations that share a row and go from row to row, ROWS at
// once, so that what all rows need (weights, barriers) is paid for once. SUBGROUPS: the team is one subgroup
// and sums up without workgroup memory. Invocation `lane` takes the elements lane, lane + TEAM, …; an element
// is WIDTH numbers. A loop over a row comes twice, by `#for rest in 0..2`: over blocks of UNROLL elements,
// then one by one over the rest.
#include <common/element>
#if SUBGROUPS
enable subgroups;
#endif
const TEAM: u32 = ${TEAM}u;
const STEP0: u32 = TEAM * ${UNROLL}u;
const STEP1: u32 = TEAM;
// The lowest float32: rows masked with it still have a maximum.
const LOWEST: f32 = -0x1.fffffep+127f;
#if WIDTH == 4
fn total_of(value: Element) -> f32 { return (value.x + value.y) + (value.z + value.w); }
fn highest_of(value: Element) -> f32 {
  let pair = select(value.xy, value.zw, value.zw > value.xy);
  return higher_f32(pair.x, pair.y);
}
#endif
#if WIDTH == 2
fn total_of(value: Element) -> f32 { return value.x + value.y; }
fn highest_of(value: Element) -> f32 { return higher_f32(value.x, value.y); }
#endif
#if WIDTH == 1
fn total_of(value: Element) -> f32 { return value; }
fn highest_of(value: Element) -> f32 { return value; }
#endif

// The rows [x, y) of a workgroup that takes `share` of them.
fn rows_of(workgroup: vec3u, workgroups: vec3u, share: u32, rows: u32) -> vec2u {
  let first = (workgroup.y * workgroups.x + workgroup.x) * share;
  return vec2u(min(first, rows), min(first + share, rows));
}

// One number for each of the ROWS rows.
#if ROWS == 1
alias Each = f32;
#else
alias Each = vec${ROWS}f;
#endif

// The larger one; `max` costs several times as much on SwiftShader.
#for type in f32 Element Each
fn higher_${type}(a: ${type}, b: ${type}) -> ${type} { return select(a, b, b > a); }
#end
fn sum_Each(a: Each, b: Each) -> Each { return a + b; }

#if SUBGROUPS
fn team_sum(value: Each, lane: u32) -> Each { return subgroupAdd(value); }
fn team_higher(value: Each, lane: u32) -> Each { return subgroupMax(value); }
#else
var<workgroup> team_scratch: array<Each, TEAM>;

#for f in sum higher
fn team_${f}(value: Each, lane: u32) -> Each {
  team_scratch[lane] = value;
  workgroupBarrier();
  for (var width = TEAM / 2u; width > 0u; width /= 2u) {
    if (lane < width) {
      team_scratch[lane] = ${f}_Each(team_scratch[lane], team_scratch[lane + width]);
    }
    workgroupBarrier();
  }
  let result = team_scratch[0];
  workgroupBarrier();
  return result;
}
#end
#endif
