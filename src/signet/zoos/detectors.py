"""torchvision's detectors as the engines expect one: prepared pictures in, named arrays of one length out.

Legend of the suffixes: N pictures, K detections, H and W pixels, M cells along one side of a mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.image_list import ImageList

from signet.architectures.truths import Target, check

BOXES = ("boxes", "scores", "classes")
MASKS = (*BOXES, "masks")
BACKGROUND = 1
"""Classes before the first label. RetinaNet and FCOS have no background; nothing ever is of their class 0,
which their weights and cards (`drop_first`) leave free, so that all detectors of torchvision count alike."""


class PreparedPictures(nn.Module):
    """Stands where a detector has its own resize and normalisation, which a program has done already.

    It only joins pictures to one tensor, as the replaced part did: padded right and below with zeros to a
    multiple of the detector's coarsest stride.

    Source: torchvision `GeneralizedRCNNTransform.batch_images` and `postprocess`.
    """

    def __init__(self, multiple: int) -> None:
        super().__init__()
        self.multiple = multiple

    def forward(
        self, pictures: Sequence[Tensor], targets: Sequence[Target] | None = None
    ) -> tuple[ImageList, list[dict[str, Tensor]] | None]:
        """float32 (3, H, W) each, to the list that the detector works on; the targets stay as they are."""
        sizes = [(picture.shape[-2], picture.shape[-1]) for picture in pictures]
        height = self._whole(max(size[0] for size in sizes))
        width = self._whole(max(size[1] for size in sizes))
        joined = torch.stack(
            [
                functional.pad(picture, (0, width - size[1], 0, height - size[0]))
                for picture, size in zip(pictures, sizes, strict=True)
            ]
        )
        return ImageList(joined, sizes), None if targets is None else [dict(target) for target in targets]

    def postprocess(self, found: list[dict[str, Tensor]], *_sizes: Sequence[Any]) -> list[dict[str, Tensor]]:
        """What was found stays in prepared pixels, each mask as cells of its box."""
        return found

    def _whole(self, length: Any) -> Any:
        return (length + self.multiple - 1) // self.multiple * self.multiple


class Detector(nn.Module):
    """A detector of torchvision between prepared pictures and answers of one length for all.

    Attributes:
        network: torchvision's module, its weights under its own names.
        classes: of it, the background among them.
        most: detections for each picture; where there are fewer, rows with the score 0 fill up.
        outputs: names of what `forward` returns.
    """

    def __init__(self, network: Any, classes: int) -> None:
        super().__init__()
        regions = getattr(network, "roi_heads", None)
        self.network = network
        self.classes = classes
        self.network.transform = PreparedPictures(network.transform.size_divisible)
        self.most = int((network if regions is None else regions).detections_per_img)
        self.outputs = MASKS if regions is not None and regions.has_mask() else BOXES

    def forward(self, images_N3HW: Tensor) -> tuple[Tensor, ...]:
        """float32 (N, 3, H, W), prepared, to the arrays that `outputs` names.

        boxes float32 (N, K, 4), left, top, right, bottom in prepared pixels; scores float32 (N, K), highest
        first; classes float32 (N, K), 0 for the background; masks float32 (N, K, M, M), for each cell of the
        box the probability that it is the object.
        """
        found = self.network(list(images_N3HW.unbind(0)))
        names = {"classes": "labels"}
        return tuple(
            torch.stack([self._filled(one[names.get(name, name)], name) for one in found])
            for name in self.outputs
        )

    def losses(self, images: Sequence[Tensor] | Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """The losses of torchvision's own training by name, in training mode.

        Args:
            images: float32 (3, H, W) each, prepared; of one size or of several.
            targets: of each, labels from 0 on: the background is the network's own affair. A box without
                area, which torchvision refuses, is nothing to learn from and is left out.

        Raises:
            BadInput: a label that the network has no class for, or a box that is none.
        """
        for place, target in enumerate(targets):
            check(place, target, self.classes - BACKGROUND)
        losses: dict[str, Tensor] = self.network(list(images), [_behind_background(one) for one in targets])
        return losses

    def _filled(self, values: Tensor, name: str) -> Tensor:
        """Exactly `most` rows, float32; those that nothing was found for are zeros."""
        rows = values.float().squeeze(1) if name == "masks" else values.float()
        empty = rows.new_zeros((self.most, *rows.shape[1:]))
        return torch.cat([rows, empty])[: self.most]


def _behind_background(target: Target) -> dict[str, Tensor]:
    boxes_T4 = target["boxes"]
    some = (boxes_T4[:, 2:] > boxes_T4[:, :2]).all(dim=1)
    kept = {name: target[name][some] for name in ("boxes", "labels", "masks") if name in target}
    return {**kept, "labels": kept["labels"] + BACKGROUND}
