"""`signet finetune --find-rate`: learning rates are tried, and nothing is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from signet.cli.terminal import Terminal
from signet.datasets import Dataset
from signet.networks import Pretrained

if TYPE_CHECKING:
    from signet.recipes import Recipe


def rates_place(out: Path) -> Path:
    """Beside the seal that a run would write."""
    return out.with_name(f"{out.name.removesuffix('.signet')}.rates.html")


def tell_rates(
    terminal: Terminal,
    found: Pretrained,
    data: Dataset[Any],
    recipe: Recipe,
    out: Path,
    *,
    offline: bool = False,
) -> int:
    """Try rates, write their page, and say which are suggested.

    Args:
        terminal: what is told.
        found: the model.
        data: what would be learned.
        recipe: of the run that the rate is for.
        out: the seal that it would write.
        offline: never ask the network, for a teacher.

    Returns:
        The exit code: 1 where the loss never fell.
    """
    from signet import storage
    from signet.finetuning import RunSettings, find_rate
    from signet.reporting import RateTrial, rates_page, render

    ways = RunSettings(on_progress=terminal.on_progress, audit=False, offline=offline)
    curve = find_rate(found, data, recipe=recipe, run=ways)
    trial = RateTrial(
        model=found.card.name,
        dataset=data.source,
        head_rates=curve.head_rates,
        backbone_rates=curve.backbone_rates,
        losses=curve.losses,
        suggested=curve.suggested,
    )
    page = rates_place(out)
    storage.write_bytes(page, render(rates_page(trial)).encode(), overwrite=True)
    if terminal.as_json:
        terminal.object({**curve.to_dict(), "page": str(page)})
    else:
        terminal.result(trial.words)
        if curve.suggested is not None:
            rates = {"head_rate": curve.head_rate, "backbone_rate": curve.backbone_rate}
            words = " ".join(f"--set {name}={rate:.1e}" for name, rate in rates.items() if rate)
            terminal.say(f"use it:      signet finetune ... {words}")
        terminal.say(f"curve:       {page}")
    return 0 if curve.suggested is not None else 1
