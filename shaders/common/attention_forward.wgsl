// The results of attention's forward kernels.
#include <common/attention>
@group(0) @binding(${5 - BIAS}) var<storage, read_write> o: array<StoredElement>;
// [heads, tokens]: the logarithm of the row's softmax denominator, and room for what backward adds to it.
@group(0) @binding(${6 - BIAS}) var<storage, read_write> stats: array<vec2f>;
#if BIAS
#let READ = "q"
#let WRITTEN = "o"
#include <common/attention_rows>
#include <common/attention_bias>
#else
#let READ = "q k v"
#let WRITTEN = "o"
#include <common/attention_rows>
#endif

// A row that saw no key has a logarithm that makes every weight zero.
fn store_stats(at: u32, highest: f32, total: f32) {
  stats[at] = vec2f(select(3.0e38, highest + log(total), total > 0.0), 0.0);
}
