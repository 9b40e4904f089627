"""The page of a trial of learning rates: loss against rate, and what is suggested."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from signet.reporting.evaluation import base_name
from signet.reporting.page import Curves, Line, Page, Panel, Section, Table

_ROWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTrial:
    """What a trial of learning rates was, and came to.

    Attributes:
        model: that would learn.
        dataset: that would be learned.
        head_rates: of the head at each step, rising.
        backbone_rates: of the pretrained stages, likewise; all 0 where they are frozen.
        losses: the smoothed loss at each step.
        suggested: the step whose rates are suggested, or None.
    """

    model: str
    dataset: str
    head_rates: Sequence[float]
    backbone_rates: Sequence[float]
    losses: Sequence[float]
    suggested: int | None

    @property
    def words(self) -> str:
        """The suggestion as a sentence."""
        if self.suggested is None:
            return (
                "The loss never fell: no rate is suggested. The head may be as good as it gets with these "
                "images, or too few stages learn."
            )
        head, backbone = self.head_rates[self.suggested], self.backbone_rates[self.suggested]
        rest = f", backbone_rate = {backbone:.1e}" if backbone else ""
        return f"Suggested: head_rate = {head:.1e}{rest}."


def rates_page(trial: RateTrial) -> Page:
    """The page of one trial."""
    rates = [max(pair) for pair in zip(trial.head_rates, trial.backbone_rates, strict=True)]
    sections: tuple[Section, ...] = (
        Curves(
            "Loss while the rate rises",
            (
                _panel("Loss, all of it", trial.losses, math.inf),
                _panel("Where it is least", trial.losses, _near(trial)),
            ),
            tuple(math.log10(rate) for rate in rates),
            "greatest rate, as a power of ten",
            None,
            "Suggested is where the loss falls most steeply, at most a tenth of the rate where it is least.",
        ),
        Table(
            "The steps",
            tuple(
                (f"{head:.2e}", f"{backbone:.2e}", f"{loss:.4f}") for head, backbone, loss in _thinned(trial)
            ),
            ("head_rate", "backbone_rate", "loss"),
            folded=True,
        ),
    )
    return Page(
        title="Learning rates, tried",
        summary=trial.words,
        sections=sections,
        kicker=f"Fine-tuning · {trial.model} · {base_name(trial.dataset)}",
        meaning="A copy of the network took one step at each rate; nothing was trained or sealed.",
        colophon="L. Smith, Cyclical Learning Rates for Training Neural Networks (2015), section 3.3.",
    )


def _panel(title: str, losses: Sequence[float], most: float) -> Panel:
    """The losses up to a height; what is above it is left out."""
    return Panel(title, (Line("smoothed", tuple(loss if loss <= most else None for loss in losses)),))


def _near(trial: RateTrial) -> float:
    """As far above the first loss as the least one lies below it, and at least a twentieth of it."""
    first, least = trial.losses[0], min(trial.losses)
    return first + max(first - least, 0.05 * abs(first))


def _thinned(trial: RateTrial) -> list[tuple[float, float, float]]:
    """About twenty of the steps, evenly, the last one too."""
    rows = list(zip(trial.head_rates, trial.backbone_rates, trial.losses, strict=True))
    step = max(1, len(rows) // _ROWS)
    return [*rows[:-1][::step], rows[-1]]
