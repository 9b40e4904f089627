"""Learning a label for each pixel: cross-entropy with Dice, validated by mIoU in original pixels.

Shape suffixes: N images of a batch, M validation images, C labels or channels, H rows, W columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from signet.answers import answer
from signet.arrays import Array, Integers
from signet.batches import Outputs
from signet.cards import Card, OutputContract
from signet.errors import BadRequest
from signet.metrics.classification import mean_where_defined
from signet.metrics.segmentation import count_pixels, pixel_figures
from signet.segments import UNLABELLED, SegmentMap
from signet.training.losses import pixel_loss
from signet.training.room import Room
from signet.training.scenes import Judged, PixelData, Scenes
from signet.training.settings import TrainSettings
from signet.training.tasks import Examples, Judgement, Seen, answered, refuse_settings_of_labels

TENSOR = "logits"


class PixelTask:
    """The task of `PixelData`; see `LearningTask`."""

    figure = "validation_miou"
    reach = 0

    def __init__(self, data: PixelData, settings: TrainSettings) -> None:
        refuse_settings_of_labels(settings, "labelled pixels")
        self.data, self.settings = data, settings
        self.labels = data.train.labels
        room = Room(settings.memory_bytes)
        self.learned = Scenes(data.train, data.program, settings, room)
        self.judged = Scenes(data.validation, data.program, settings, room)
        self.weights_C = None if data.weights is None else torch.tensor(np.array(data.weights))
        self.card = Card(
            name="training",
            task="segment",
            program=data.program,
            output=OutputContract(head="pixel_logits", tensor=TENSOR, classes=len(self.labels)),
            labels=self.labels,
        )

    @property
    def count(self) -> int:
        """Training images."""
        return len(self.learned)

    @property
    def validation_count(self) -> int:
        """Validation images."""
        return len(self.judged)

    @property
    def steps(self) -> int:
        """Of one epoch; none is smaller than a batch, where there are images for one.

        A BatchNorm in a new head gathers statistics: a single image has none where its map is one cell.
        """
        return max(1, self.count // self.settings.step_images)

    def facts(self) -> Mapping[str, Any]:
        """Digests of the rows, which read the label images, and of the program."""
        return self.data.facts()

    def settle(self, module: nn.Module, frozen: AbstractSet[str]) -> None:
        """Nothing: a decoder takes maps from every depth, so the network cannot be entered in the middle."""

    def examples(self, indices: Integers, epoch: int) -> Examples:
        """Views, and int64 (N, H, W) labels."""
        return self.learned.views(indices, epoch)

    def loss(self, module: nn.Module, examples: Examples) -> Tensor:
        """See `pixel_loss`."""
        labels_NHW = examples.targets.to(self.settings.device)
        logits_NCHW = self._logits(module, examples.images)
        weights_C = None if self.weights_C is None else self.weights_C.to(self.settings.device)
        return pixel_loss(logits_NCHW, labels_NHW, weights_C)

    def look_back(self, module: nn.Module, indices: Integers) -> Seen:
        """Cross-entropy of the labelled pixels, without weights of labels, as of validation."""
        judged = self.learned.whole(indices)
        logits_NCHW = self._logits(module, torch.from_numpy(np.asarray(judged.batch.arrays))).cpu()
        return Seen(*_entropy(logits_NCHW, torch.from_numpy(judged.labels).long()))

    def answers(self, module: nn.Module, indices: Integers) -> dict[str, Array]:
        """`sums`, int64 (N, 3, C), of each image; of all `entropy`, float64 (1,), `pixels`, int64 (1,)."""
        judged = self.judged.whole(indices)
        logits_NCHW = self._logits(module, torch.from_numpy(np.asarray(judged.batch.arrays))).cpu()
        entropy, pixels = _entropy(logits_NCHW, torch.from_numpy(judged.labels).long())
        return {
            "sums": np.stack(self._sums(logits_NCHW, judged)),
            "entropy": np.array([entropy]),
            "pixels": np.array([pixels]),
        }

    def judgement(self, parts: Sequence[Mapping[str, Array]]) -> Judgement:
        """Figures as `signet evaluate` has them, cross-entropy of the prepared pixels; `sums` are kept."""
        table = np.concatenate([part["sums"] for part in parts])
        entropy = sum(float(part["entropy"][0]) for part in parts)
        pixels = sum(int(part["pixels"][0]) for part in parts)
        miou = float(mean_where_defined(pixel_figures(table.sum(axis=0, keepdims=True)).iou)[0])
        row = {"validation_loss": entropy / max(1, pixels), self.figure: 0.0 if math.isnan(miou) else miou}
        return Judgement(row, {"sums": torch.from_numpy(table)})

    def _sums(self, logits_NCHW: Tensor, judged: Judged) -> list[Integers]:
        """Each image's counts in its original pixels, by the answer that the sealed model will give."""
        given = answer(Outputs({TENSOR: logits_NCHW.numpy()}), self.card, judged.batch)
        return [
            count_pixels(cast("SegmentMap", one).indices, truth, len(self.labels)).sums
            for one, truth in zip(given, judged.truths, strict=True)
        ]

    def _logits(self, module: nn.Module, images_NCHW: Tensor) -> Tensor:
        """Float32 (N, C, H, W) at the size of the images, whatever the network's own."""
        found = answered(module, images_NCHW, self.settings)
        logits_NCHW: Tensor = found if isinstance(found, Tensor) else found[0]
        if logits_NCHW.ndim != 4 or logits_NCHW.shape[:2] != (len(images_NCHW), len(self.labels)):
            raise BadRequest(
                f"training: expected logits of shape ({len(images_NCHW)}, {len(self.labels)}, H, W), got "
                f"{tuple(logits_NCHW.shape)}. Give the network a head for these labels."
            )
        size = images_NCHW.shape[-2:]
        if logits_NCHW.shape[-2:] != size:
            logits_NCHW = functional.interpolate(logits_NCHW.float(), size, mode="bilinear")
        return logits_NCHW.float().contiguous()


def _entropy(logits_NCHW: Tensor, labels_NHW: Tensor) -> tuple[float, int]:
    """(sum of the cross-entropy of labelled pixels, how many there are)."""
    total = functional.cross_entropy(logits_NCHW, labels_NHW, ignore_index=UNLABELLED, reduction="sum")
    return float(total), int((labels_NHW != UNLABELLED).sum())
