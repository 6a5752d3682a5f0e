// Before the entry point of a kernel that knows its subgroups: they have LANES invocations.
#if PINNED
enable subgroup_size_control;
@subgroup_size(${LANES})
#endif
