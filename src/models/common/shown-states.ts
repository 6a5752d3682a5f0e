/** What heads take of the states of tokens that a mask shows. */
import { byDistance } from '../../tensor/ops/distances.ts';
import { add, div, type FloatDtype, mul, relu, scale, to } from '../../tensor/ops/elementwise.ts';
import { matmul } from '../../tensor/ops/matmul.ts';
import { mean, sum } from '../../tensor/ops/reduction.ts';
import { reshape, select } from '../../tensor/ops/view.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { hidingMask, shownAs } from './inputs.ts';
import { distanceRule, lengthTable } from './length-tables.ts';

/** 1 for a token, 0 for one that the mask hides: float32 [B, 1, L]. */
const rowOf = (mask: Tensor): Tensor => shownAs(mask, [mask.shape[0]!, 1, mask.shape[1]!]);

/** The sum of states [B, L, H] by weights float32 [B, 1, L]: [B, H]. */
function weighted(states: Tensor, weights: Tensor): Tensor {
  const [batch, , width] = states.shape as [number, number, number];
  return reshape(matmul(to(weights, states.dtype as FloatDtype), states), [batch, width]);
}

/** [B, L, H] → [B, H], the mean of the tokens that the mask shows. */
export function meanShown(states: Tensor, mask: Tensor | undefined): Tensor {
  const hiding = hidingMask(mask);
  if (hiding === undefined) return mean(states, 1);
  const shown = rowOf(hiding);
  return weighted(states, div(shown, sum(shown, 2, true)));
}

/** 1 for tokens that come no later than another. */
const before = distanceRule(2, (distance) => Number(distance <= 0), { saturates: true, floats: true });

/** [B, L, H] → [B, H], the first token that the mask shows; of a text without any, the first one. */
export function firstShown(states: Tensor, mask: Tensor | undefined): Tensor {
  const hiding = hidingMask(mask);
  if (hiding === undefined) return select(states, 1, 0);
  const shown = rowOf(hiding);
  const upTo = byDistance(lengthTable(states.device, hiding.shape[1]!, before), 'none');
  // Of the tokens shown up to each, itself among them, only the first has one.
  const counts = to(matmul(shown, upTo), 'float32');
  const first = mul(shown, relu(scale(counts, -1, 2)));
  const none = to(reshape(scale(sum(first, 2), -1, 1), [-1, 1]), states.dtype as FloatDtype);
  return add(weighted(states, first), mul(none, select(states, 1, 0)));
}
