"""How training pictures of classes are changed: a level, and what is set beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from signet.training.checks import Range, check_range

Augmentation = Literal["none", "light", "medium", "strong"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """What is set beside the level of augmentation; None is as the level has it.

    Attributes:
        randaugment: magnitude of two random operations of RandAugment, 0 to 30; 0 for none.
        erasing: share of the pictures of which a box is noise, 0 to 1.
        mixup: alpha of the shares in which pictures are blended; 0 for none. Small ones change little.
        cutmix: alpha of the areas that another picture covers; 0 for none.
    """

    randaugment: float | None = None
    erasing: float | None = None
    mixup: float | None = None
    cutmix: float | None = None

    def __post_init__(self) -> None:
        for wanted in _RANGES:
            value = getattr(self, wanted.name)
            if value is not None:
                check_range(wanted, value)

    @property
    def given(self) -> dict[str, Any]:
        """What is set, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Strength:
    """How far a picture is changed.

    Attributes:
        area: least share of the picture that a crop keeps; 1 keeps all of it.
        ratio: greatest factor between the crop's proportions and those of the input.
        colour: greatest relative change of brightness, contrast and saturation.
        operations: small random operations after that.
        mirror: half of the pictures are mirror images.
        randaugment: see `Variation`; likewise the others.
        erasing: of a box of noise.
        mixup: of blended pictures.
        cutmix: of covered areas.
    """

    area: float
    ratio: float
    colour: float
    operations: int
    mirror: bool = True
    randaugment: float = 0.0
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    @property
    def mixes(self) -> bool:
        """Whether pictures of a batch are mixed."""
        return self.mixup > 0 or self.cutmix > 0

    @property
    def changes(self) -> bool:
        """Whether an image looks different in every epoch."""
        return self != UNCHANGED


UNCHANGED = Strength(area=1.0, ratio=1.0, colour=0.0, operations=0, mirror=False)
"""Every picture as the evaluation shows it."""

STRENGTHS: dict[Augmentation, Strength] = {
    "none": UNCHANGED,
    "light": Strength(area=0.6, ratio=4 / 3, colour=0.15, operations=0),
    "medium": Strength(area=0.4, ratio=4 / 3, colour=0.3, operations=2),
    "strong": Strength(
        area=0.3, ratio=4 / 3, colour=0.0, operations=0, randaugment=7, erasing=0.25, mixup=0.1, cutmix=1.0
    ),
}
"""Source of "strong": R. Wightman, H. Touvron, H. Jegou, "ResNet strikes back" (2021), table 2, procedure A2
(RandAugment 7, mixup 0.1, CutMix 1.0); H. Touvron et al., "Training data-efficient image transformers &
distillation through attention" (2021), table 9 (erasing 0.25). The crop keeps more than theirs (0.08), since
fine-tuning sees far fewer epochs."""


def strength_of(level: Augmentation, variation: Variation, *, flip: bool) -> Strength:
    """All of it together.

    Args:
        level: of augmentation.
        variation: what is set beside it, which wins.
        flip: whether left and right may be exchanged.
    """
    found = STRENGTHS[level]
    return replace(found, mirror=found.mirror and flip, **variation.given)


_RANGES = (
    Range("randaugment", 0, 30, "At 30 every operation is at the end of its range."),
    Range("erasing", 0, 1, "It is a share of the pictures."),
    Range("mixup", 0, math.inf, "Usual are 0.1 to 1.", open_end=True),
    Range("cutmix", 0, math.inf, "Usual is 1.", open_end=True),
)
