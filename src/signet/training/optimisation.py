"""How a step is made: the optimizer and what it is given, as one part of the settings of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from signet.training.checks import Range, check_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimisation:
    """How a step is made.

    Attributes:
        weight_decay: of AdamW; norms, biases and all other vectors have none.
        warmup: share of all steps in which the rate rises from 0; then it falls as a half cosine to 0.
        clip: greatest norm of the gradient; 0 does not clip.
    """

    weight_decay: float = 0.02
    warmup: float = 0.1
    clip: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, ranges=_RANGES)


_RANGES = (
    Range("weight_decay", 0, 1),
    Range("warmup", 0, 1, "It is a share of all steps.", open_end=True),
    Range("clip", 0, math.inf, open_end=True),
)
