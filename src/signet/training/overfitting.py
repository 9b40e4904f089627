"""Whether a network has begun to learn its images by heart, told from the rows of a run's history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SAMPLE, GAP = "sample_loss", "loss_gap"
"""Keys of a row: the loss of a fixed sample of training images, and that of validation less it."""

LAST_EPOCHS = 3
"""How many epochs in a row must say so: one or two are noise."""

STEPS_BACK = 2
"""How often a run goes back to its best epoch before it ends."""

SLOWER = 0.3
"""The learning rate after a step back, over the one before."""


def memorising(history: Sequence[Mapping[str, float]], best: int, since: int, figure: str) -> str | None:
    """What says that a network learns by heart, or None.

    In each of the last epochs, all after the best one: the loss of training images is below that of the best
    epoch, the loss of validation is above it, and so is the gap between the two. The figure that decides is
    not better either, or there would be another best epoch.

    Args:
        history: rows of all epochs, epoch 0 first.
        best: the best epoch.
        since: the epoch after which the run has begun (0) or gone back.
        figure: key of the task's figure.

    Returns:
        A sentence with the figures; None where it is not so, or where the rows do not know.
    """
    first = max(best, since)
    last = history[-LAST_EPOCHS:]
    start = history[best]
    known = all(GAP in row for row in (start, *last))
    if not known or len(history) - 1 - first < LAST_EPOCHS:
        return None
    if not all(
        row[SAMPLE] < start[SAMPLE]
        and row["validation_loss"] > start["validation_loss"]
        and row[GAP] > start[GAP]
        for row in last
    ):
        return None
    now = history[-1]
    words = (
        f"overfitting: from epoch {best} to epoch {len(history) - 1} the loss of training images fell from "
        f"{start[SAMPLE]:.3f} to {now[SAMPLE]:.3f}, while that of validation rose from "
        f"{start['validation_loss']:.3f} to {now['validation_loss']:.3f}"
    )
    if "validation_ece" in now and now["validation_ece"] > start["validation_ece"]:
        words += (
            f" and its calibration error from {start['validation_ece']:.3f} to {now['validation_ece']:.3f}"
        )
    if now[figure] < history[0][figure]:
        name = figure.removeprefix("validation_")
        words += f"; {name} is {now[figure]:.3f}, below the {history[0][figure]:.3f} that training began with"
    return words
