/** What heads take of the states of tokens that a mask shows. */
import { eq, where } from '../../tensor/ops/compare.ts';
import { add, div, type FloatDtype, mul, scale, to } from '../../tensor/ops/elementwise.ts';
import { positionIds } from '../../tensor/ops/embedding.ts';
import { matmul } from '../../tensor/ops/matmul.ts';
import { mean, sum } from '../../tensor/ops/reduction.ts';
import { reshape, select } from '../../tensor/ops/view.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { hidingMask, shownAs } from './inputs.ts';

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

/** [B, L, H] → [B, H], the first token that the mask shows; of a text without any, the first one. */
export function firstShown(states: Tensor, mask: Tensor | undefined): Tensor {
  const firsts = select(states, 1, 0);
  const hiding = hidingMask(mask);
  if (hiding === undefined) return firsts;
  const [batch, length] = hiding.shape as [number, number];
  // Of the tokens that the mask shows, counted from 1.
  const first = where(eq(positionIds(hiding, 0), 1), 1, hiding.device.zeros([]));
  const none = to(scale(sum(first, 1, true), -1, 1), states.dtype as FloatDtype);
  const shown = weighted(states, reshape(first, [batch, 1, length]));
  return add(to(shown, firsts.dtype as FloatDtype), mul(none, firsts));
}
