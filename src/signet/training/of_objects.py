"""Learning objects, with or without their pixels: the network's own losses, validated by COCO's AP.

Shape suffixes: N images of a batch, H rows, W columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from signet.answers import answer, head_of
from signet.arrays import Array, Integers
from signet.batches import Outputs
from signet.errors import BadRequest
from signet.metrics.average_precision import label_figures
from signet.metrics.matching import Matches, Objects, joined, match
from signet.training.objects import ObjectData, ObjectScenes
from signet.training.room import Room
from signet.training.settings import TrainSettings
from signet.training.tasks import Examples, Judgement, answered, refuse_settings_of_labels

AP50 = "validation_ap50"


class ObjectTask:
    """The task of `ObjectData`; see `LearningTask`.

    The module has `losses(images, targets)` for its training mode: float32 (N, 3, H, W) and N `Target`s to
    named parts of the loss, each float32 (), weighted, and the mean over the images. In evaluation mode it
    answers with the arrays that the output contract reads, as a tuple in the order of its own `outputs`, or
    of the contract's roles where it does not name them.
    """

    figure = "validation_ap"
    reach = 0

    def __init__(self, data: ObjectData, settings: TrainSettings) -> None:
        refuse_settings_of_labels(settings, "objects")
        if settings.select == "loss":
            raise BadRequest(
                "select: expected 'accuracy' (here the average precision), got 'loss'. Networks that find "
                "objects have a loss while they learn only, so validation has none."
            )
        self.data, self.settings = data, settings
        room = Room(settings.memory_bytes)
        self.learned = ObjectScenes(data.train, data.program, settings, room)
        self.judged = ObjectScenes(data.validation, data.program, settings, room)
        self.card, self.head = data.card, head_of(data.card)

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
        """Of one epoch; none is smaller than a batch, where there are images for one, as with pixels."""
        return max(1, self.count // self.settings.step_images)

    def facts(self) -> Mapping[str, Any]:
        """Fingerprints of the rows, which hold every box and mask; the program's; how answers are read."""
        return self.data.facts()

    def settle(self, module: nn.Module, frozen: AbstractSet[str]) -> None:
        """Nothing: a pyramid takes maps from every depth, so the network cannot be entered in the middle."""

    def examples(self, indices: Integers, epoch: int) -> Examples:
        """Views, and a tuple of N `Target`s."""
        return self.learned.views(indices, epoch)

    def loss(self, module: nn.Module, examples: Examples) -> Tensor:
        """The sum of the parts that the network names."""
        device = torch.device(self.settings.device)
        images_N3HW = examples.images.to(device, memory_format=torch.channels_last)
        targets = [
            {name: tensor.to(device) for name, tensor in target.items()} for target in examples.targets
        ]
        with torch.autocast(device.type, torch.bfloat16, enabled=self.settings.bf16):
            parts: Mapping[str, Tensor] = module.losses(images_N3HW, targets)  # type: ignore[operator]
        return torch.stack([part.float() for part in parts.values()]).sum()

    def look_back(self, module: nn.Module, indices: Integers) -> None:
        """The images alone: there is no loss without training."""
        judged = self.learned.whole(indices)
        answered(module, torch.from_numpy(np.asarray(judged.batch.arrays)), self.settings)

    def answers(self, module: nn.Module, indices: Integers) -> dict[str, Array]:
        """The fields of `Matches`, of masks where there are any; none where an answer holds a NaN."""
        if not callable(getattr(module, "losses", None)):
            raise BadRequest(
                "training: expected a network with `losses(images, targets)`, got a "
                f"{type(module).__name__} without. Give the backbone a head for objects."
            )
        judged = self.judged.whole(indices)
        outputs = self._outputs(module, torch.from_numpy(np.asarray(judged.batch.arrays)))
        if any(np.isnan(array).any() for array in outputs.values()):
            return {}
        given = answer(outputs, self.card, judged.batch)
        pairs = zip(cast("list[Objects]", given), judged.truths, strict=True)
        found = match(pairs, len(self.data.labels), masks=self.card.task == "instances")
        return {field.name: np.asarray(getattr(found, field.name)) for field in fields(Matches)}

    def judgement(self, parts: Sequence[Mapping[str, Array]]) -> Judgement:
        """COCO's AP and AP50 in original pixels; nothing is kept.

        Both are NaN when the network gives a NaN anywhere.
        """
        if not all(parts):
            return Judgement({self.figure: math.nan, AP50: math.nan}, {})
        figures = label_figures(joined([_matches(part) for part in parts], len(self.data.labels))).means()
        # Where all that validation has is a crowd, no figure is defined.
        ap, ap50 = (float(np.nan_to_num(figures[name][0])) for name in ("ap", "ap50"))
        return Judgement({self.figure: ap, AP50: ap50}, {})

    def _outputs(self, module: nn.Module, images_N3HW: Tensor) -> Outputs:
        """What the network answers, by the names that the contract's places are of."""
        found = answered(module, images_N3HW, self.settings)
        arrays = [found] if isinstance(found, Tensor) else list(found)
        places = self.head.places
        own = [place if isinstance(place, str) else role for role, place in places.items()]
        names = list(getattr(module, "outputs", own))[: len(arrays)]
        if len(names) != len(arrays) or not all(isinstance(array, Tensor) for array in arrays):
            raise BadRequest(
                f"training: expected a tensor for each of {', '.join(names)}, got {len(arrays)}. The output "
                f"contract's head {self.head.name!r} reads {', '.join(own)}."
            )
        return Outputs({name: array.float().cpu().numpy() for name, array in zip(names, arrays, strict=True)})


def _matches(arrays: Mapping[str, Array]) -> Matches:
    """As they were before they were arrays."""
    fields_of: dict[str, Any] = dict(arrays)
    counts = {name: int(arrays[name]) for name in ("images", "classes")}
    return Matches(**{**fields_of, **counts})
