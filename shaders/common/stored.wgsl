// A number of a tensor in storage: float16 where HALF, else float32. All is computed in float32: reading widens, `f32(x[i])` or
// `vec4f(x[i])`; writing rounds, `Stored(value)` or `vec4<Stored>(value)`, and what is too large for a float16 becomes infinite.
#if HALF
enable f16;
alias Stored = f16;
#else
alias Stored = f32;
#endif
