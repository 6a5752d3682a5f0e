// Work on rows: ROW_THREADS invocations share one row (64 on hardware; 1 on software adapters, where a barrier costs more
// than it saves). `row_of` gives the row, `lane_of` the invocation's place in it.
const ROW_THREADS: u32 = ${ROW_THREADS}u;
// The lowest float32: rows masked with it still have a maximum.
const LOWEST: f32 = -0x1.fffffep+127f;

fn row_of(workgroup: vec3u, workgroups: vec3u, local: u32) -> u32 {
  let group = workgroup.y * workgroups.x + workgroup.x;
#if ROW_THREADS == 64
  // The same for the whole workgroup, so that barriers may follow a test of it.
  return group;
#else
  return group * 64u + local;
#endif
}

fn lane_of(local: u32) -> u32 {
  return local % ROW_THREADS;
}

#if ROW_THREADS == 1
fn row_sum(value: f32, lane: u32) -> f32 {
  return value;
}
fn row_max(value: f32, lane: u32) -> f32 {
  return value;
}
#else
var<workgroup> row_scratch: array<f32, 64>;

fn row_sum(value: f32, lane: u32) -> f32 {
  row_scratch[lane] = value;
  workgroupBarrier();
  for (var width = ROW_THREADS / 2u; width > 0u; width /= 2u) {
    if (lane < width) {
      row_scratch[lane] += row_scratch[lane + width];
    }
    workgroupBarrier();
  }
  let total = row_scratch[0];
  workgroupBarrier();
  return total;
}

fn row_max(value: f32, lane: u32) -> f32 {
  row_scratch[lane] = value;
  workgroupBarrier();
  for (var width = ROW_THREADS / 2u; width > 0u; width /= 2u) {
    if (lane < width) {
      row_scratch[lane] = max(row_scratch[lane], row_scratch[lane + width]);
    }
    workgroupBarrier();
  }
  let highest = row_scratch[0];
  workgroupBarrier();
  return highest;
}
#endif
