"""What is asked for when a seal is compressed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from signet.compression.gate import Gate
from signet.engines.contract import EngineSettings
from signet.errors import BadRequest
from signet.models import default_cache
from signet.progress import OnProgress, silent
from signet.recipes import Recipe
from signet.running import EngineChoice, PrecisionChoice

Target = Literal["int8", "fp16", "bf16", "pruned", "distilled"]
TARGETS: tuple[Target, ...] = ("int8", "fp16", "bf16", "pruned", "distilled")
LEARNED: tuple[Target, ...] = ("pruned", "distilled")
"""Targets that learn from the dataset's train part, for which alone there is a recipe."""
CALIBRATION_IMAGES = 300
"""As many as NNCF takes by default. Source: `nncf.quantize`, `subset_size`."""

MACS = 0.7
"""Share of its multiply-adds that a pruned network keeps, where nothing else is asked for."""

DEFAULT_RECIPES: Mapping[Target, Mapping[str, Any]] = {
    "pruned": {"strategy": "full", "batchnorm": "batch", "head_rate": 1e-3, "backbone_rate": 1e-3},
    "distilled": {"strategy": "full"},
}
"""What was cut has to move farther than what is only fine-tuned, and its statistics are no longer right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressSettings:
    """How a seal is compressed, judged and delivered.

    Attributes:
        gate: what it may lose.
        calibration: images whose values set the ranges of int8: files, none of which judges. None takes other
            images of the dataset than those that judge.
        split: the part of the dataset that judges; None as `evaluate` chooses.
        mixed: where plain int8 is refused, take the layers that cost most back to floats until it passes.
        keep_refused: write what the gate refuses, too; its card and its record say so.
        macs: of "pruned": the share of its multiply-adds that is left at most; None for 0.7.
        student: of "distilled": the model that learns, as `resolve` takes it.
        recipe: of "pruned" and "distilled": how it learns; None for `DEFAULT_RECIPES`.
        offline: of "distilled": never ask the network for the student.
        engine: that measures before and after.
        precision: in which the seal runs before; "auto" is what it runs in here.
        running: threads and cache folder of the engines.
        seed: of the draws of images.
        overwrite: replace what is there.
        on_progress: told of the stages.
    """

    gate: Gate = field(default_factory=Gate)
    calibration: Sequence[str | Path] | None = None
    split: str | None = None
    mixed: bool = True
    keep_refused: bool = False
    macs: float | None = None
    student: str | None = None
    recipe: Recipe | None = None
    offline: bool = False
    engine: EngineChoice = "auto"
    precision: PrecisionChoice = "auto"
    running: EngineSettings = field(default_factory=lambda: EngineSettings(cache=default_cache()))
    seed: int = 0
    overwrite: bool = False
    on_progress: OnProgress = silent

    def __post_init__(self) -> None:
        if self.calibration is not None and not self.calibration:
            raise BadRequest(
                "calibration: expected images, got none; leave it out to take some of the dataset."
            )
        if self.macs is not None and not 0 < self.macs < 1:
            raise BadRequest(f"macs: expected a share above 0 and below 1, got {self.macs:g}.")


def recipe_for(to: Target, settings: CompressSettings) -> Recipe:
    """How a target learns: as the caller says, else by its defaults."""
    return settings.recipe or Recipe.from_dict(DEFAULT_RECIPES[to])


def check_asked(to: Target, settings: CompressSettings) -> None:
    """Refuse settings that a target has no use for.

    Raises:
        BadRequest: names them.
    """
    asked = {
        "calibration": (settings.calibration is not None, ("int8",)),
        "student": (settings.student is not None, ("distilled",)),
        "macs": (settings.macs is not None, ("pruned",)),
        "recipe": (settings.recipe is not None, LEARNED),
    }
    for name, (there, fitting) in asked.items():
        if there and to not in fitting:
            raise BadRequest(
                f"{name}: expected none with {to}, got one; only {' and '.join(fitting)} has a use for it."
            )
    if to in LEARNED and settings.split not in (None, "test"):
        raise BadRequest(
            f"split: expected test with {to}, got {settings.split!r}: every other part is learned from, or "
            "decides."
        )
