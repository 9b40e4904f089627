"""The page of a training that is under way: its curves so far, and a table of its epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from signet.reporting.finetuning import curves
from signet.reporting.page import Note, Page, Section, Table

_HIDDEN = ("epoch",)


def training_page(
    title: str, history: Sequence[Mapping[str, float]], *, steps_done: int, steps: int | None
) -> Page:
    """Curves and epochs of a run.

    Args:
        title: what learns what.
        history: a row of figures for each epoch so far, epoch 0 first: the network as it was given.
        steps_done: so far.
        steps: that the run may take; None when nobody knows.
    """
    done = len(history) - 1
    share = f", {100 * steps_done / steps:.0f} % of the steps" if steps else ""
    sections: list[Section] = [curves(history)]
    gap = [row["loss_gap"] for row in history if "loss_gap" in row]
    if gap:
        sections.append(
            Note(
                (
                    f"The loss of validation is {abs(gap[-1]):.3f} {'above' if gap[-1] > 0 else 'below'} "
                    "that of a fixed sample of training images. Where that grows while validation gets no "
                    "better, the network learns its images by heart.",
                )
            )
        )
    sections.append(_epochs(history))
    return Page(
        title=title,
        summary=f"{done} {'epoch' if done == 1 else 'epochs'} done{share}.",
        sections=tuple(sections),
        kicker="Training",
        meaning="Epoch 0 is the network before its first step. The page is written anew after each epoch.",
    )


def _epochs(history: Sequence[Mapping[str, float]]) -> Table:
    names = list(dict.fromkeys(name for row in history for name in row if name not in _HIDDEN))
    rows = tuple(
        (
            f"{row.get('epoch', place):.0f}",
            *(cell(name, row[name]) if name in row else "" for name in names),
        )
        for place, row in enumerate(history)
    )
    columns = ("epoch", *(name.replace("_", " ") for name in names))
    return Table("Epochs", rows, columns=columns, lead="The last one is at the bottom.")


def cell(name: str, value: float) -> str:
    """A figure of an epoch, as a table has it: shares as such, rates in powers of ten, seconds rounded."""
    if name == "learning_rate":
        return f"{value:.2g}"
    if name == "seconds":
        return f"{value:.1f}"
    if name == "idle":
        return f"{100 * value:.0f} %"
    if name == "soup":
        return f"{value:.0f}"
    return f"{value:.4f}"
