"""Whether anything is trained beyond the probe, and which of the two candidates is sealed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from signet.arrays import Array, Floats
from signet.finetuning import scoring
from signet.finetuning.outcome import Candidate
from signet.finetuning.refusals import ASKED_OF_TRAINING, changed
from signet.finetuning.workplace import Workplace
from signet.probing import Probe
from signet.recipes import Recipe

LARGEST_GAIN = 0.02
"""Share of wrong answers of the probe up to which a training by the automatic choice is asked what it could
bring at all. Ours: beyond it a training is worth a try even where few images can tell."""

LEAST_MISTAKES = 3
"""Of the probe that the validation images have to show, on average, for a training to be told from luck by
them: one that takes fewer away is no further ahead than another draw of these images would put it."""


def may_be_spared(recipe: Recipe) -> bool:
    """Whether nothing of the recipe asks for a training: then the probe may turn out to be good enough."""
    return recipe.strategy == "auto" and not changed(recipe, ASKED_OF_TRAINING)


def condition(recipe: Recipe) -> tuple[str, ...]:
    """For the plan: when nothing will be trained after all, in words."""
    if not may_be_spared(recipe):
        return ()
    return (
        "nothing is trained where the probe turns out to leave too little to win: at most "
        f"{100 * LARGEST_GAIN:.0f} % wrong, and fewer than {LEAST_MISTAKES} mistakes that the validation "
        "images could show",
    )


def spared(probe: Probe, targets: Array, validation: int, recipe: Recipe) -> str | None:
    """Why nothing has to be trained beyond this probe, in words; None where training may pay.

    Args:
        probe: as it was fitted to the training images.
        targets: int64 (N,), what these show; where several labels can be right nothing is spared.
        validation: images that would decide.
        recipe: what was asked for.
    """
    if targets.ndim != 1 or not may_be_spared(recipe) or not probe.judged.any():
        return None
    wrong = float(np.mean((probe.out_of_fold.argmax(axis=1) != targets)[probe.judged]))
    if wrong > LARGEST_GAIN or wrong * validation >= LEAST_MISTAKES:
        return None
    return (
        f"Nothing was trained beyond the probe, which is right on {100 * (1 - wrong):.1f} % of the images "
        f"that it did not learn from: a training could win {100 * wrong:.1f} points at most, which "
        f"{validation} validation images cannot tell from luck. --strategy partial trains all the same."
    )


def told_spared(work: Workplace, reason: Callable[[], str | None] = lambda: None) -> str | None:
    """The same of a run, in all of its processes: whoever trains with others must know that nobody will.

    Args:
        work: of the run.
        reason: as `spared` gives it; asked of the process that leads.
    """
    found: str | None = work.values("spared", lambda: {"reason": reason()})["reason"]
    return found


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
