"""What a run learns: the part of the loop that knows of classes, pixels or boxes, as one small protocol.

Shape suffixes: N images of a batch, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from signet.arrays import Array, Integers
from signet.errors import BadRequest
from signet.training.settings import TrainSettings


class Examples(NamedTuple):
    """What one step learns from, on the CPU.

    Attributes:
        images: float32, N first, as the task's own `loss` takes them.
        targets: what is right: a tensor, N first, or a sequence of N where images have different numbers of
            objects.
    """

    images: Tensor
    targets: Any


class Seen(NamedTuple):
    """The loss of some images, so that those of several batches add up to the loss of all.

    Attributes:
        total: the sum of the losses.
        number: of what: the images, or their labelled pixels.
    """

    total: float
    number: int


class Judgement(NamedTuple):
    """What validation says of the network as it is.

    Attributes:
        row: the task's figure, and `validation_loss` where validation has one, for the history; all finite,
            or the run ends.
        kept: tensors, on the CPU, that are kept of the best epoch; names without a slash.
    """

    row: Mapping[str, float]
    kept: Mapping[str, Tensor]


class LearningTask(Protocol):
    """A task on its data. The loop does all else: order, rates, freezing, checkpoints, stopping.

    Attributes:
        count: training images.
        validation_count: validation images.
        steps: of one epoch, into which the images are dealt in equal parts.
        reach: how many images of a step after its own an image is mixed with, round its end.
        figure: key of the row by which epochs are compared; more is better.
    """

    @property
    def count(self) -> int:
        """See above."""
        ...

    @property
    def validation_count(self) -> int:
        """See above."""
        ...

    @property
    def steps(self) -> int:
        """See above."""
        ...

    @property
    def reach(self) -> int:
        """See above."""
        ...

    @property
    def figure(self) -> str:
        """See above."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """What the result depends on of the data: plain JSON, by which a checkpoint is known to be of it."""
        ...

    def settle(self, module: nn.Module, frozen: AbstractSet[str]) -> None:
        """Prepare what can be computed once, before the first step of this process.

        Args:
            module: in learning mode.
            frozen: names of the frozen parameters.
        """
        ...

    def examples(self, indices: Integers, epoch: int) -> Examples:
        """Some training images as they look in one epoch: a function of the seed and these, nothing else.

        It is called from threads of their own, and calls may overlap.

        Raises:
            BadInput: an image cannot be read.
        """
        ...

    def loss(self, module: nn.Module, examples: Examples) -> Tensor:
        """float32 (), the mean over the images, with its gradient."""
        ...

    def look_back(self, module: nn.Module, indices: Integers) -> Seen | None:
        """Send some training images through the network, prepared as those of validation are.

        Nothing is augmented, and no gradient is recorded; the mode of the network's layers is the caller's.

        Returns:
            Their loss, as validation has it; None where validation has none.
        """
        ...

    def answers(self, module: nn.Module, indices: Integers) -> dict[str, Array]:
        """What validation must know of the network's answers to some validation images.

        The module is in evaluation mode, and no gradient is recorded.
        """
        ...

    def judgement(self, parts: Sequence[Mapping[str, Array]]) -> Judgement:
        """What validation says, by `answers` to all images: each part's, in order, whoever asked."""
        ...


def answered(module: nn.Module, images_NCHW: Tensor, settings: TrainSettings) -> Any:
    """What a network answers to a batch, on the run's device and in its precision."""
    # Channels last is what the CPU's and the GPU's convolutions are quick in.
    images_NCHW = images_NCHW.to(settings.device, memory_format=torch.channels_last)
    with torch.autocast(images_NCHW.device.type, torch.bfloat16, enabled=settings.bf16):
        return module(images_NCHW)


def refuse_settings_of_labels(settings: TrainSettings, learned: str) -> None:
    """Refuse what is for labels of images where something else is learned.

    Args:
        settings: of the run.
        learned: what is, in words.

    Raises:
        BadRequest: a setting that would have no effect, or would part pictures from what lies on them.
    """
    if settings.augmentation == "strong":
        raise BadRequest(
            f"augmentation: expected 'none', 'light' or 'medium' where {learned} are learned, got 'strong', "
            "which mixes pictures and turns them."
        )
    if settings.sizes:
        raise BadRequest(
            f"sizes: expected none where {learned} are learned, got {settings.sizes}: their views have many "
            "scales already. Leave it out."
        )
    for name, group in (("variation", settings.variation), ("objective", settings.objective)):
        changed = [field.name for field in fields(group) if getattr(group, field.name) != field.default]
        if changed:
            raise BadRequest(
                f"{name}: expected no {', '.join(changed)} where {learned} are learned, whose views and "
                "losses are others. Leave it out."
            )
