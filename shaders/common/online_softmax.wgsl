    // The largest element of a row of `x`, which begins at `at`, and Σ exp(x − largest), in one pass: each
    // block brings its own largest element, and the sum so far is scaled to it.
    var top = LOWEST;
    var sums = Element();
#for rest in 0..2
    for (var i = from${rest}; i < to${rest}; i += STEP${rest}) {
#for u in 0..UNROLL * (1 - rest) + rest
      let v${u} = load(x[at + i + ${u}u * TEAM]);
#end
      var block = v0;
#for u in 1..UNROLL * (1 - rest) + rest
      block = higher_Element(block, v${u});
#end
      let next = higher_f32(top, highest_of(block));
      sums *= exp(top - next);
#for u in 0..UNROLL * (1 - rest) + rest
      sums += exp(v${u} - next);
#end
      top = next;
    }
#end
    let highest = team_higher(top, lane);
    let total = team_sum(total_of(sums) * exp(top - highest), lane);
