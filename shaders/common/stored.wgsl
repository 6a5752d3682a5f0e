// T: the type of a tensor's elements in memory, f32 or f16. Kernels compute in f32 whatever T is: their load
// functions widen, their store functions round; a value too large for f16 becomes infinite.
#if T == f16
enable f16;
#endif
alias Stored = ${T};
