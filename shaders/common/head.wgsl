// A row of one attention head held in registers: CHUNKS four-vectors. VEC: the head size is a multiple of four and
// rows are read as four-vectors; otherwise elementwise, padded with zeros.
#if VEC
alias Element = vec4f;
#else
alias Element = f32;
#endif
const CHUNKS: u32 = ${CHUNKS}u;
