// Does nothing. Whether it compiles tells if the adapter takes subgroups of LANES.
enable subgroups;
#include <common/pinned_lanes>
@compute @workgroup_size(${LANES}) fn main() {}
