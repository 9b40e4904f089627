"""Which candidate is sealed: the probe, or the network that was trained further from it."""

from __future__ import annotations

import numpy as np

from signet.arrays import Array, Floats
from signet.finetuning import scoring
from signet.finetuning.outcome import Candidate


def better(
    deciding: tuple[Floats, Array], tuned: Floats | None, *, careful: bool
) -> tuple[Candidate, dict[str, float]]:
    """The better candidate on the validation images, and what decided.

    Args:
        deciding: the probe's logits of these images, float32 (V, C), and what they show.
        tuned: the trained network's logits; None where only a probe was fitted.
        careful: a lead of the trained network that is within one standard error of nothing does not count: of
            few images it is chance, and the probe that is sealed learns from these images, too.

    Source: the rule of one standard error: L. Breiman et al., "Classification and Regression Trees" (1984),
        section 3.4.3.
    """
    if tuned is None and not len(deciding[1]):
        return "probe", {}  # one image of each class: nothing could be asked
    first = scoring.judged(*deciding)
    if tuned is None:
        return "probe", {"probe": first.accuracy}
    second = scoring.judged(tuned, deciding[1])
    accuracies = {"probe": first.accuracy, "fine-tuned": second.accuracy}
    lead = second.accuracy - first.accuracy
    wins = second.beats(first)
    if careful and wins:
        wins = lead >= standard_error(tuned, *deciding)
    return ("fine-tuned" if wins else "probe"), accuracies


def standard_error(one: Floats, other: Floats, targets: Array) -> float:
    """Of the difference between two candidates' shares of right answers on the same images.

    Args:
        one: float32 (V, C) logits.
        other: likewise.
        targets: int64 (V,); where several labels can be right nothing is known of it, and it is 0.
    """
    if targets.ndim == 2 or len(targets) < 2:
        return 0.0
    right = [(logits.argmax(axis=1) == targets).astype(np.float64) for logits in (one, other)]
    return float((right[0] - right[1]).std(ddof=1) / np.sqrt(len(targets)))
