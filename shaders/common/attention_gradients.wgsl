// Inside the entry point of attention's backward by subgroup matrices: stores sums_x for each x of GRADIENTS, times
// `shown`.
#for x in ${GRADIENTS}
#for h in 0..SIZE / COLUMNS
  spread_${h}(&sums_${x}, mine);
  workgroupBarrier();
  let result_${x}_${h} = own_scores(index);
  if (token < own.y) {
#for c in 0..OWN
    store_d${x}(4u * start_${x}(row, head), chunk + ${h * COLUMNS / SPLIT / 4 + c}u, result_${x}_${h}[${c}] * shown);
#end
  }
  workgroupBarrier();
#end
#end
