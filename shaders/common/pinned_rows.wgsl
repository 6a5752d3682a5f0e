// The entry point of a kernel on rows.
#if SUBGROUPS
#if PINNED
enable subgroup_size_control;
@subgroup_size(TEAM)
#endif
#endif
@compute @workgroup_size(TEAM)
