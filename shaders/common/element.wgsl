// WIDTH numbers, which a kernel reads at once: an Element in registers, a StoredElement in memory.
#include <common/stored>
const WIDTH: u32 = ${WIDTH}u;
#if WIDTH == 1
alias Element = f32;
alias StoredElement = Stored;
#else
alias Element = vec${WIDTH}f;
alias StoredElement = vec${WIDTH}<Stored>;
#endif

fn load(stored: StoredElement) -> Element {
  return Element(stored);
}

fn store(value: Element) -> StoredElement {
  return StoredElement(value);
}
