"""Learning one class an image: cross-entropy, validated by accuracy.

Shape suffixes: N images of a batch, M validation images, C classes or channels, H rows, W columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from signet.arrays import Integers
from signet.errors import BadRequest
from signet.training.pictures import Batches
from signet.training.prefix import KeptPrefix, kept_prefix
from signet.training.settings import TrainingData, TrainSettings
from signet.training.sizing import program_at
from signet.training.tasks import Examples, Judgement, answered


class ClassTask:
    """The task of `TrainingData`; see `LearningTask`."""

    figure = "validation_accuracy"

    def __init__(self, data: TrainingData, settings: TrainSettings) -> None:
        program = program_at(data.program, data.size) if data.size else data.program
        self.data, self.settings = data, settings
        self.learned = Batches(data.train, program, settings, learning=True)
        self.judged = Batches(data.validation, program, settings, learning=False)
        self.prefix: KeptPrefix | None = None

    @property
    def count(self) -> int:
        """Training images."""
        return len(self.data.train)

    @property
    def steps(self) -> int:
        """Of one epoch; the last is never larger than a batch."""
        return math.ceil(self.count / self.settings.batch)

    def facts(self) -> Mapping[str, Any]:
        """Of each image its name, its folder's name and its size in bytes, and its class.

        So a data set that was moved is the same one, and nothing needs to be decoded to tell.
        """
        data = self.data
        images = {
            part: [
                [*Path(path).parts[-2:], _size(path), int(target)]
                for path, target in zip(paths, targets, strict=True)
            ]
            for part, paths, targets in (
                ("train", data.train, data.train_targets),
                ("validation", data.validation, data.validation_targets),
            )
        }
        return {
            **images,
            "classes": data.classes,
            "program": data.program.digest,
            "size": data.size,
            "digest": data.digest,
        }

    def settle(self, module: nn.Module, frozen: AbstractSet[str]) -> None:
        """Without augmentation, compute once what the frozen start of the network makes of every image."""
        if self.settings.augmentation != "none":
            return
        # In the order of the images and in equal parts, whatever came before: a resumed run gets the same.
        parts = np.array_split(np.arange(self.count), self.steps)
        device = torch.device(self.settings.device)
        batches = (self.learned.batch(part, 0).to(device) for part in parts)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.settings.bf16):
            self.prefix = kept_prefix(module, frozen, batches, self.settings)

    def examples(self, indices: Integers, epoch: int) -> Examples:
        """Images, or what the frozen start made of them; and int64 (N,) classes."""
        make = self.prefix.batch if self.prefix else self.learned.batch
        return Examples(make(indices, epoch), torch.from_numpy(self.data.train_targets[indices]))

    def loss(self, module: nn.Module, examples: Examples) -> Tensor:
        """Cross-entropy with smoothed labels."""
        logits_NC = self._logits(module, examples.images, self.prefix)
        targets_N = examples.targets.to(logits_NC.device)
        return nn.functional.cross_entropy(
            logits_NC, targets_N, label_smoothing=self.settings.label_smoothing
        )

    def judge(self, module: nn.Module) -> Judgement:
        """Accuracy, and cross-entropy without smoothing; `logits`, float32 (M, C), are kept."""
        count = len(self.data.validation)
        parts = np.array_split(np.arange(count), math.ceil(count / self.settings.batch))
        logits_MC = torch.cat([self._logits(module, self.judged.batch(part, 0)).cpu() for part in parts])
        targets_M = torch.tensor(self.data.validation_targets)
        row = {
            "validation_loss": float(nn.functional.cross_entropy(logits_MC.double(), targets_M)),
            self.figure: float((logits_MC.argmax(1) == targets_M).double().mean()),
        }
        return Judgement(row, {"logits": logits_MC})

    def _logits(self, module: nn.Module, images: Tensor, prefix: KeptPrefix | None = None) -> Tensor:
        """Float32 (N, C) of a batch, or of what a prefix made of it; of several heads, those of the last."""
        if prefix:
            maps = images.to(self.settings.device)
            with torch.autocast(maps.device.type, torch.bfloat16, enabled=self.settings.bf16):
                answer = prefix.answer(module, maps)
        else:
            answer = answered(module, images, self.settings)
        logits_NC: Tensor = answer if isinstance(answer, Tensor) else answer[0]
        if logits_NC.shape != (len(images), self.data.classes):
            raise BadRequest(
                f"training: expected logits of shape ({len(images)}, {self.data.classes}), got "
                f"{tuple(logits_NC.shape)}. Give the network a head for these classes (set_head)."
            )
        return logits_NC.float()


def _size(path: str | Path) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return -1  # reading it will say what is wrong
