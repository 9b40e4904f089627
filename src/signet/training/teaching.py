"""What a teacher says of the training images: a model that knows the same labels, however it is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from signet.arrays import Array, Floats, frozen
from signet.errors import BadInput

Teach = Callable[[Array], Floats]
"""From uint8 (N, H, W, 3) views, as the learner sees them, to float32 (N, C) logits."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Teaching:
    """A teacher's answers, or the teacher.

    Attributes:
        digest: of the teacher, by which a resumed run knows it.
        logits: float32 (N, C), what it says of each training image as an evaluation shows it: asked once.
        teach: asked in each step, of the very views that the learner sees; the other is then None.

    Source: L. Beyer et al., "Knowledge distillation: A good teacher is patient and consistent" (2021), figure
        2, which compares both ways: with changed pictures a teacher that sees the same views teaches better.
    """

    digest: str
    logits: Floats | None = None
    teach: Teach | None = None

    def facts(self) -> list[str]:
        """What the result depends on: plain JSON."""
        return [self.digest, "once" if self.teach is None else "each"]

    def check(self, shape: tuple[int, int]) -> None:
        """Refuse answers that are not of these images and classes.

        Raises:
            BadInput: another shape, no finite numbers, or both ways at once.
        """
        if (self.logits is None) == (self.teach is None):
            raise BadInput("teaching: expected a teacher's logits or the teacher, and not both.")
        if self.logits is not None:
            table = frozen(self.logits, "a teacher's logits", "float32", shape)
            if not np.isfinite(table).all():
                raise BadInput("a teacher's logits: expected finite numbers, got NaN or infinity.")
            object.__setattr__(self, "logits", table)
