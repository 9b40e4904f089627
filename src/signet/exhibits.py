"""What a verdict rests on, golden image by golden image: for the page that shows it. Plain values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from signet.arrays import Array


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A golden image at the first stage that differs.

    Attributes:
        image: its file in the seal.
        expected: what the stage gave when it was sealed; None where that is not kept whole.
        found: what it gives now; None where it gives nothing.
        sealed: labels with scores as they were sealed, best first; empty but for classifiers.
        now: the same now.
    """

    image: Path
    expected: Array | None = None
    found: Array | None = None
    sealed: tuple[tuple[str, float], ...] = ()
    now: tuple[tuple[str, float], ...] = ()
