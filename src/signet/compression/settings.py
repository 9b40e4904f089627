"""What is asked for when a seal is compressed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from signet.compression.gate import Gate
from signet.engines.contract import EngineSettings
from signet.errors import BadRequest
from signet.models import default_cache
from signet.progress import OnProgress, silent
from signet.running import EngineChoice, PrecisionChoice

Target = Literal["int8", "fp16", "bf16"]
TARGETS: tuple[Target, ...] = ("int8", "fp16", "bf16")
CALIBRATION_IMAGES = 300
"""As many as NNCF takes by default. Source: `nncf.quantize`, `subset_size`."""


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
