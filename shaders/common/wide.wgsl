// A tensor that may be f32 beside others of type T: the residual stream of mixed precision. WIDE: it is f32.
#include <common/element>
#if WIDE
alias Wide = Element;
#else
alias Wide = StoredElement;
#endif

fn load_wide(stored: Wide) -> Element {
  return Element(stored);
}

fn store_wide(value: Element) -> Wide {
  return Wide(value);
}
