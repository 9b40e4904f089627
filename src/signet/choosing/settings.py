"""How a choice is made: what may be spent, on what, and which seed decides."""

from __future__ import annotations

from dataclasses import dataclass

from signet.errors import BadRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseSettings:
    """How a choice is made.

    Attributes:
        share: of the cost of running all candidates over all images that may be spent, above 0, at most 1.
        budget_seconds: wall time in place of the share; None for none.
        least: images that every candidate sees, whatever the share, 20 or more.
        small: images for each candidate, on average, that may be run however small a share that is, 20 or
            more: what tells two networks apart is a number of images, whatever share of the set they are.
        seed: of the subset, folds and draws, 0 or more.
        threads: of decoding and networks; None for all that are usable.
        inspect: whether the dataset is audited first.
        offline: never ask the network.
    """

    share: float = 0.1
    budget_seconds: float | None = None
    least: int = 100
    small: int = 200
    seed: int = 0
    threads: int | None = None
    inspect: bool = True
    offline: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise BadRequest(f"share: expected a fraction above 0 and at most 1, got {self.share}.")
        if self.budget_seconds is not None and not self.budget_seconds > 0:
            raise BadRequest(f"budget: expected seconds above 0, got {self.budget_seconds}.")
        if self.least < 20:
            raise BadRequest(f"least: expected at least 20 images, got {self.least}.")
        if self.small < 20:
            raise BadRequest(f"small: expected at least 20 images, got {self.small}.")
        if self.seed < 0:
            raise BadRequest(f"seed: expected 0 or more, got {self.seed}.")
        if self.threads is not None and self.threads < 1:
            raise BadRequest(f"threads: expected at least 1, got {self.threads}.")
