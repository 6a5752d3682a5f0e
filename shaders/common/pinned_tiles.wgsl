// Before the entry point of a kernel over tiles, whose workgroups are whole subgroups.
#if PINNED_TILES
enable subgroups;
enable subgroup_size_control;
@subgroup_size(32)
#endif
