  // The rows of a workgroup, and the elements of a row that the two loops of an invocation take.
  let width = params.cols / WIDTH;
  let from0 = lane;
  let to0 = width - width % STEP0;
  let from1 = to0 + lane;
  let to1 = width;
  let share = rows_of(group, groups, params.share, params.rows);
