"""Gradual unfreezing: when each stage begins to learn.

Source: J. Howard, S. Ruder, "Universal Language Model Fine-tuning for Text Classification" (2018), section
3.3: the last layer first, then one more after another. There one an epoch; here as many as it takes for all
to learn in the second half, since networks have more stages than small runs have epochs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def thawing(stages: Sequence[str], epochs: int) -> tuple[tuple[str, int], ...]:
    """For each stage, as `TrainSettings.thaw` takes it, the epoch from whose beginning it learns.

    Args:
        stages: names below the head, from the input on; those that stay frozen left out.
        epochs: of the run; the first is 1, in which the head alone learns.

    Raises:
        ValueError: fewer than 2 epochs, in which nothing could thaw.

    Example:
        >>> thawing(("stem", "body"), 4)
        (('stem', 3), ('body', 2))
    """
    if epochs < 2:
        raise ValueError(f"thawing: expected at least 2 epochs, got {epochs}.")
    span = max(1, epochs // 2)
    count = len(stages)
    return tuple((name, 1 + math.ceil((count - place) * span / count)) for place, name in enumerate(stages))
