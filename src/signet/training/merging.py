"""Adapters written into the matrices beside which they learned, and the proof of what the sum consists of.

What stayed and what changed are told apart. Every tensor of the pretrained network that has no adapter is the
same bits afterwards. A matrix that has one is the same bits until then, and another one after: the sum of it
and its adapter, each element as near to the exact sum as float arithmetic must come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from signet.errors import CheckFailed
from signet.training.adapters import Adapted, factors_of, own_name
from signet.training.holding import Held, tensors_digest

MERGED_TOLERANCE = 1e-4
"""Of the logits, relative to the greatest of them: the merged matrix rounds its sum once, the adapter each
product."""


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """A network with its adapters written into it.

    Attributes:
        module: the network.
        kept: what is the same bits in it as in the pretrained network.
        matrices: the matrices that had adapters: in the pretrained network, and in the learned one until they
            were merged.
        digest: of the matrices when they had been learned beside, right before they were merged.
        error: greatest difference of an element of theirs now to the exact base + adapter.
    """

    module: nn.Module
    kept: Held
    matrices: Held
    digest: str
    error: float


def merged(adapted: Adapted, example_NCHW: Tensor) -> Merged:
    """Write the adapters into the matrices, and see that this is all that was done.

    Args:
        adapted: the network as it was learned; changed in place.
        example_NCHW: images to compare the answers on.

    Raises:
        CheckFailed: a tensor of the pretrained network has moved; a merged matrix is not base + adapter
            within rounding; or the network answers otherwise than before, by more than rounding.
    """
    state = {own_name(name): tensor for name, tensor in adapted.module.state_dict().items()}
    adapted.kept.check(state)
    adapted.matrices.check(state)
    # `clone`, since merging writes into the same memory.
    bases = {name: state[name].clone() for name in adapted.matrices.names}
    factors = {name: factors_of(adapted, name.rpartition(".")[0]) for name in bases}
    with torch.no_grad():
        before = _logits(adapted.module(example_NCHW))
        module: nn.Module = adapted.tuner.merge_and_unload().eval()
        after = _logits(module(example_NCHW))
        error = float((after - before).abs().max())
        if not error <= MERGED_TOLERANCE * max(1.0, float(before.abs().max())):
            raise CheckFailed(
                f"merging the adapters: expected the logits that they gave, got others by {error:.2g}. "
                "Nothing is sealed; use --strategy partial."
            )
        state = module.state_dict()
        adapted.kept.check(state)
        greatest = max(
            merging_error(name, state[name], base, factors[name], adapted.scale)
            for name, base in bases.items()
        )
    return Merged(module, adapted.kept, adapted.matrices, tensors_digest(bases), greatest)


def merging_error(
    name: str, sum_OI: Tensor, base_OI: Tensor, factors: tuple[Tensor, Tensor], scale: float
) -> float:
    """How far a merged matrix is from the exact base + scale B A, once it is seen to be within rounding.

    Args:
        name: of the matrix, for the message.
        sum_OI: (outputs, inputs), the merged matrix.
        base_OI: the matrix before.
        factors: A (rank, inputs) and B (outputs, rank).
        scale: of their product.

    Returns:
        The greatest absolute difference of an element.

    Raises:
        CheckFailed: an element is further away than rounding explains.

    Source: N. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd edition (2002), section 3.5: a
        matrix product with R inner terms errs by at most gamma_R |B| |A|, in any order of summation; one
        rounding more for the scale and one for the sum. To first order in the unit roundoff, with one
        roundoff to spare.
    """
    inner_RI, outer_OR = (factor.double() for factor in factors)
    base = base_OI.double()
    exact = base + scale * (outer_OR @ inner_RI)
    size = base.abs() + abs(scale) * (outer_OR.abs() @ inner_RI.abs())
    limits = torch.finfo(sum_OI.dtype)
    terms = inner_RI.shape[0]
    allowed = (terms + 3) * limits.eps / 2 * size + terms * limits.tiny
    difference = (sum_OI.double() - exact).abs()
    if not bool((difference <= allowed).all()):
        raise CheckFailed(
            f"merging the adapters: expected {name} to be the matrix before and its adapter within rounding, "
            f"got a difference of {float(difference.max()):.2g}. Nothing is sealed; use --strategy partial."
        )
    return float(difference.max())


def _logits(answer: Any) -> Tensor:
    return answer if isinstance(answer, Tensor) else answer[0]
