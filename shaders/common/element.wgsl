// What a kernel reads at once, in memory and in registers: WIDTH numbers.
#include <common/stored>
const WIDTH: u32 = ${WIDTH}u;
#if WIDTH == 1
alias Element = f32;
alias StoredElement = Stored;
#else
alias Element = vec${WIDTH}f;
alias StoredElement = vec${WIDTH}<Stored>;
#endif
