"""Which strategy suits a dataset and a network where the recipe leaves it open: one table, rules in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from signet.training.families import Family

LEAST_A_CLASS = 20
"""Images of the rarest class below which a probe alone is fitted. Of fewer, the tenth that is set aside to
decide by would be one or two, and a choice among them is chance."""

LEAST_DECIDING = 20
"""Validation images below which the same holds: one of them is then more than 5 points."""

MANY_IMAGES = 10_000
"""Images to learn from above which everything learns: the first stages then have enough to go by, and what
freezing them saves in time no longer pays. The number is ours."""

LEAST_GRADUAL = 2
"""Epochs of a gradual unfreezing: the first trains the head alone."""

_NARROWER = {"full": "partial", "probe-then-finetune": "partial", "lora": "head", "partial": "head"}


class Strategy(NamedTuple):
    """What is trained, and why.

    Attributes:
        name: as the recipe has it, but "auto".
        why: the reasons, one sentence each.
    """

    name: str
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the choice depends on.

    Attributes:
        images: that may be learned from or decide.
        classes: that they are of.
        least: images of the rarest class.
        deciding: images that would be set aside, or are, to decide by.
        family: of the network: "batchnorm", "transformer" (attention), or "other".
        untrainable: why the network cannot be trained beyond a probe here, or None.
        adapters: whether low-rank adapters can be had (peft is installed).
        linear: whether the head is linear, as a probe's is.
    """

    images: int
    classes: int
    least: int
    deciding: int
    family: Family
    untrainable: str | None = None
    adapters: bool = False
    linear: bool = True


class _Rule(NamedTuple):
    applies: Callable[[Situation], bool]
    strategy: str
    why: str


_RULES = (
    _Rule(lambda at: at.untrainable is not None, "probe", "a probe only, since {untrainable}"),
    _Rule(
        lambda at: at.linear and at.least < LEAST_A_CLASS,
        "probe",
        "a probe only, since the rarest class has {least} of the {least_a_class} images that tell a better "
        "training from a lucky one",
    ),
    _Rule(
        lambda at: at.linear and at.deciding < LEAST_DECIDING,
        "probe",
        "a probe only, since {deciding} validation images are too few to tell a better training from a lucky "
        "one ({least_deciding} are needed)",
    ),
    _Rule(
        lambda at: not at.linear and at.least < LEAST_A_CLASS,
        "head",
        "the head alone, since the rarest class has fewer than {least_a_class} images",
    ),
    _Rule(
        lambda at: at.images >= MANY_IMAGES,
        "probe-then-finetune",
        "a probe first, then everything from its weights, since there are {images:,} images; the "
        "better one is sealed",
    ),
    _Rule(
        lambda at: at.family == "transformer" and at.adapters,
        "lora",
        "a probe first, then low-rank adapters from its weights: the network has attention, and {images:,} "
        "images are few for all of its weights; the better one is sealed",
    ),
    _Rule(
        lambda at: at.family == "batchnorm",
        "partial",
        "a probe first, then the last stages from its weights: {images:,} images are few for a whole network "
        "with BatchNorm, whose statistics they would shift; the better one is sealed",
    ),
    _Rule(
        lambda _: True,
        "partial",
        "a probe first, then the last stages from its weights; the better one is sealed",
    ),
)


def automatic(situation: Situation) -> Strategy:
    """The strategy of the first rule that applies, with its reason.

    Args:
        situation: data, network and machine.

    Example:
        >>> few = Situation(images=30, classes=10, least=3, deciding=3, family="batchnorm")
        >>> automatic(few).name
        'probe'
    """
    rule = next(rule for rule in _RULES if rule.applies(situation))
    values: dict[str, Any] = {name: getattr(situation, name) for name in situation.__slots__}
    why = rule.why.format(**values, least_a_class=LEAST_A_CLASS, least_deciding=LEAST_DECIDING)
    return Strategy(rule.strategy, (why,))


def within(strategy: Strategy, seconds: float, budget: float | None) -> Strategy | None:
    """A strategy that trains less of the network, where the least training takes longer than the budget.

    Args:
        strategy: what was chosen.
        seconds: that its least number of epochs takes.
        budget: seconds that training may take; None for any.

    Returns:
        None where it fits, or where nothing narrower is worth training.
    """
    narrower = _NARROWER.get(strategy.name)
    if budget is None or seconds <= budget or narrower is None:
        return None
    reason = (
        f"{narrower} in place of {strategy.name}, whose least training would take about {seconds:.0f} of "
        f"{budget:.0f} seconds"
    )
    return Strategy(narrower, (*strategy.why, reason))
