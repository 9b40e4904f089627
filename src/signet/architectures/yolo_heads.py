"""What the one-stage detectors answer with: boxes and classes, masks, or one label.

Sources: Li et al., Generalized Focal Loss (2020), arXiv:2006.04388, section 3.2: a side of a box as the mean
of a distribution over whole distances; Ge et al., YOLOX (2021), arXiv:2107.08430, section 2.1, for separate
branches of boxes and classes; Bolya et al., YOLACT (2019), arXiv:1904.02689, section 3, for prototypes and
their coefficients; Wang et al., YOLOR (2021), arXiv:2105.04206, for the implicit numbers of v7's head. The
decoding of v7 and v9 follows MultimediaTechLab/YOLO (MIT, `yolo/utils/bounding_box_utils.py`), the widths of
v8's branches the shapes of its tensors.

Shape suffixes: N images, C classes, H rows, W columns, A places where a box may be, R distances of a side,
P prototypes, F channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from signet.architectures.anchor_losses import anchor_losses
from signet.architectures.cost_assignment import Anchors
from signet.architectures.truths import Target, joined
from signet.architectures.yolo_blocks import ConvNorm
from signet.architectures.yolo_losses import RawAnswers, detection_losses, mask_loss, shrunk_masks

DISTANCES = 16
"""A side is at most 15 cells from the place."""
STRIDES = (8, 16, 32)
"""Pixels between two places of each map."""
PROTOTYPES = 32
SIZE = 640
"""Pixels that the prior of the classes is stated for."""


class AnchorFreeHead(nn.Module):
    """A box and the classes at every place of three maps.

    Args:
        channels: of the maps, at strides 8, 16 and 32.
        classes: how many.
        box_width: channels inside the branch of the boxes.
        class_width: channels inside the branch of the classes.
        groups: of the last two convolutions of the boxes: 4 parts the sides, as v9's authors do.
    """

    def __init__(
        self, channels: Sequence[int], classes: int, *, box_width: int, class_width: int, groups: int = 1
    ) -> None:
        super().__init__()
        self.class_count = classes
        self.boxes = nn.ModuleList(
            nn.Sequential(
                ConvNorm(width, box_width, 3),
                ConvNorm(box_width, box_width, 3, groups=groups),
                nn.Conv2d(box_width, 4 * DISTANCES, 1, groups=groups),
            )
            for width in channels
        )
        self.classes = nn.ModuleList(
            nn.Sequential(
                ConvNorm(width, class_width, 3),
                ConvNorm(class_width, class_width, 3),
                nn.Conv2d(class_width, classes, 1),
            )
            for width in channels
        )
        self.mean = DistanceMean()
        self._start()

    def _start(self) -> None:
        """Few places hold an object: their scores begin near the rate of a picture with five objects."""
        branches: Any = zip(self.boxes, self.classes, STRIDES, strict=True)
        for boxes, classes, stride in branches:
            nn.init.ones_(_bias(boxes[-1]))
            nn.init.constant_(_bias(classes[-1]), math.log(5 / self.class_count / (SIZE / stride) ** 2))

    def raw(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """What a loss takes: logits of the sides' distances, (N, 4, R, A), and of the classes, (N, C, A)."""
        sides = [boxes(place).flatten(2) for boxes, place in zip(self.boxes, maps, strict=True)]
        logits = [classes(place).flatten(2) for classes, place in zip(self.classes, maps, strict=True)]
        sides_NFA = torch.cat(sides, dim=2)
        images, _, count = sides_NFA.shape
        return sides_NFA.reshape(images, 4, DISTANCES, count), torch.cat(logits, dim=2)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """float32 (N, 4 + C, A): centre and sides in pixels, then the score of each class, 0 to 1."""
        sides_N4RA, logits_NCA = self.raw(maps)
        points_2A, strides_A = places(maps)
        distances_N4A = self.mean(sides_N4RA)
        near_N2A, far_N2A = points_2A - distances_N4A[:, :2], points_2A + distances_N4A[:, 2:]
        boxes_N4A = torch.cat([(near_N2A + far_N2A) / 2, far_N2A - near_N2A], dim=1) * strides_A
        return torch.cat([boxes_N4A, logits_NCA.sigmoid()], dim=1)

    def raw_answers(self, maps: Sequence[Tensor]) -> RawAnswers:
        """The above with where the places are, float32 whatever the maps are."""
        sides_N4RA, logits_NCA = self.raw(maps)
        points_2A, strides_A = places(maps)
        return RawAnswers(sides_N4RA.float(), logits_NCA.float(), points_2A.float(), strides_A.float())

    def losses(
        self, maps: Sequence[Tensor], images_N3HW: Tensor, targets: Sequence[Target]
    ) -> dict[str, Tensor]:
        """The parts of the loss; see `yolo_losses.detection_losses`."""
        return detection_losses(self.raw_answers(maps), joined(targets, self.class_count, images_N3HW))[0]


class DistanceMean(nn.Module):
    """The mean of a distribution over 0, 1, ... 15 cells, a constant that files of v8 and v9 hold too."""

    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.arange(DISTANCES, dtype=torch.float32).view(1, DISTANCES, 1, 1))

    def forward(self, sides_N4RA: Tensor) -> Tensor:
        """float32 (N, 4, A), in cells."""
        return (sides_N4RA.softmax(dim=2) * self.weight.view(DISTANCES, 1)).sum(dim=2)


class MaskHead(nn.Module):
    """The above, coefficients at every place, and prototypes that they mix.

    Args:
        channels: of the maps.
        detect: what answers boxes and classes.
        inner: channels of the prototypes' layers.
    """

    def __init__(self, channels: Sequence[int], detect: AnchorFreeHead, inner: int) -> None:
        super().__init__()
        width = max(channels[0] // 4, PROTOTYPES)
        self.detect = detect
        self.prototypes = Prototypes(channels[0], inner)
        self.coefficients = nn.ModuleList(
            nn.Sequential(
                ConvNorm(count, width, 3), ConvNorm(width, width, 3), nn.Conv2d(width, PROTOTYPES, 1)
            )
            for count in channels
        )

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """float32 (N, 4 + C + P, A) and (N, P, H/4, W/4)."""
        answers_NFA = torch.cat([self.detect(maps), self._coefficients(maps)], dim=1)
        return answers_NFA, self.prototypes(maps[0])

    def losses(
        self, maps: Sequence[Tensor], images_N3HW: Tensor, targets: Sequence[Target]
    ) -> dict[str, Tensor]:
        """The parts of the loss, "masks" among them; see `yolo_losses`."""
        truths = joined(targets, self.detect.class_count, images_N3HW)
        losses, pairs = detection_losses(self.detect.raw_answers(maps), truths)
        prototypes_NPHW = self.prototypes(maps[0]).float()
        size = (prototypes_NPHW.shape[-2], prototypes_NPHW.shape[-1])
        masks_SHW = shrunk_masks(targets, images_N3HW, size)
        stride = images_N3HW.shape[-1] / size[1]
        losses["masks"] = mask_loss(
            self._coefficients(maps).float(), prototypes_NPHW, truths, masks_SHW, pairs, stride
        )
        return losses

    def _coefficients(self, maps: Sequence[Tensor]) -> Tensor:
        """float32 (N, P, A)."""
        parts = [layers(place).flatten(2) for layers, place in zip(self.coefficients, maps, strict=True)]
        return torch.cat(parts, dim=2)


class Prototypes(nn.Module):
    """Maps of half the largest stride, which the coefficients of a box mix to its mask."""

    def __init__(self, inputs: int, inner: int) -> None:
        super().__init__()
        self.before = ConvNorm(inputs, inner, 3)
        self.enlarge = nn.ConvTranspose2d(inner, inner, 2, 2)
        self.after = ConvNorm(inner, inner, 3)
        self.last = ConvNorm(inner, PROTOTYPES)

    def forward(self, map_NFHW: Tensor) -> Tensor:
        """float32 (N, P, 2H, 2W)."""
        prototypes_NPHW: Tensor = self.last(self.after(self.enlarge(self.before(map_NFHW))))
        return prototypes_NPHW


class LabelHead(nn.Module):
    """One label for the picture: a wide layer, its mean, a Linear. Logits, not probabilities."""

    WIDTH = 1280

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.conv = ConvNorm(inputs, self.WIDTH)
        self.linear = nn.Linear(self.WIDTH, classes) if classes else nn.Identity()

    def forward(self, map_NFHW: Tensor) -> Tensor:
        """float32 (N, C)."""
        logits_NC: Tensor = self.linear(self.conv(map_NFHW).mean(dim=(2, 3)))
        return logits_NC


class AnchorHead(nn.Module):
    """Three boxes of stated shapes at every place of three maps, each with an objectness: v7's head.

    Numbers are added to the maps and multiplied to the answers (YOLOR); in evaluation mode they are folded
    into the convolution: one layer, as in `RepConv`.

    Args:
        channels: of the maps, at strides 8, 16 and 32.
        classes: how many.
        anchors: three (width, height) in pixels for each map.
    """

    anchors: Tensor

    def __init__(self, channels: Sequence[int], classes: int, anchors: Sequence[Sequence[int]]) -> None:
        super().__init__()
        shapes = torch.tensor(anchors, dtype=torch.float32).view(3, 3, 2)
        self.class_count = classes
        # In cells and not in pixels, as files of v7 hold them.
        self.register_buffer("anchors", shapes / torch.tensor(STRIDES).view(3, 1, 1))
        outputs = 3 * (5 + classes)
        self.convs = nn.ModuleList(nn.Conv2d(width, outputs, 1) for width in channels)
        self.add = nn.ModuleList(Implicit(width, 0.0) for width in channels)
        self.multiply = nn.ModuleList(Implicit(outputs, 1.0) for _ in channels)
        self._start()

    def _start(self) -> None:
        """Scores begin near the rate of a picture with eight objects."""
        for conv, stride in zip(self.convs, STRIDES, strict=True):
            with torch.no_grad():
                bias_3F = _bias(conv).view(3, -1)
                bias_3F[:, 4] += math.log(8 / (SIZE / stride) ** 2)
                bias_3F[:, 5:] += math.log(0.6 / (self.class_count - 0.99))

    def raw(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """What a loss takes: for each map (N, 3, H, W, 5 + C), before any sigmoid."""
        answers = []
        layers: Any = zip(self.convs, self.add, self.multiply, maps, strict=True)
        for conv, add, multiply, map_NFHW in layers:
            if self.training:
                answers_NFHW = conv(map_NFHW + add.implicit) * multiply.implicit
            else:
                factor_F = multiply.implicit.flatten()
                bias_F = (conv.bias + conv.weight.flatten(1) @ add.implicit.flatten()) * factor_F
                kernel_FF11 = conv.weight * factor_F[:, None, None, None]
                answers_NFHW = functional.conv2d(map_NFHW, kernel_FF11, bias_F)
            images, _, height, width = answers_NFHW.shape
            shape = (images, 3, 5 + self.class_count, height, width)
            answers.append(answers_NFHW.reshape(shape).permute(0, 1, 3, 4, 2))
        return answers

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """float32 (N, A, 5 + C): centre and sides in pixels, objectness, classes, the last two 0 to 1.

        Source: Wang et al., Scaled-YOLOv4 (2020), arXiv:2011.08036, for the range of centre and sides.
        """
        parts = []
        for level, (answers_N3HWF, stride) in enumerate(zip(self.raw(maps), STRIDES, strict=True)):
            height, width = answers_N3HWF.shape[2:4]
            scores_N3HWF = answers_N3HWF.sigmoid()
            corners_HW2 = grid(height, width, answers_N3HWF)
            centres = (scores_N3HWF[..., :2] * 2 - 0.5 + corners_HW2) * stride
            sides = (scores_N3HWF[..., 2:4] * 2) ** 2 * (self.anchors[level] * stride).view(1, 3, 1, 1, 2)
            parts.append(torch.cat([centres, sides, scores_N3HWF[..., 4:]], dim=-1).flatten(1, 3))
        return torch.cat(parts, dim=1)

    def losses(
        self, maps: Sequence[Tensor], images_N3HW: Tensor, targets: Sequence[Target]
    ) -> dict[str, Tensor]:
        """The parts of the loss; see `anchor_losses`."""
        answers = [answers_N3HWF.float() for answers_N3HWF in self.raw(maps)]
        raw_NAF = torch.cat([answers_N3HWF.flatten(1, 3) for answers_N3HWF in answers], dim=1)
        truths = joined(targets, self.class_count, images_N3HW)
        return anchor_losses(raw_NAF, self.anchors_of(answers), truths)

    def anchors_of(self, answers: Sequence[Tensor]) -> Anchors:
        """What the anchors of all places are, in the order of the answers of `raw`."""
        middles, strides, kinds = [], [], []
        for level, (answers_N3HWF, stride) in enumerate(zip(answers, STRIDES, strict=True)):
            height, width = answers_N3HWF.shape[2:4]
            middles_A2 = (grid(height, width, answers_N3HWF).flatten(0, 1) + 0.5) * stride
            middles.append(middles_A2.repeat(3, 1))
            strides.append(middles_A2.new_full((3 * height * width,), float(stride)))
            shapes_3 = torch.arange(3 * level, 3 * level + 3, device=middles_A2.device)
            kinds.append(shapes_3.repeat_interleave(height * width))
        return Anchors(torch.cat(middles), torch.cat(strides), torch.cat(kinds), self.shapes)

    @property
    def shapes(self) -> Tensor:
        """float32 (9, 2): width and height of the anchors in pixels, three of each map, the finest first."""
        pixels_332 = self.anchors.float() * self.anchors.new_tensor(STRIDES).view(3, 1, 1)
        return pixels_332.flatten(0, 1)

    def reshape_anchors(self, shapes_92: Tensor) -> None:
        """Begin from other shapes; what was learned for the ones before no longer holds.

        Args:
            shapes_92: as `shapes`.
        """
        self.anchors.copy_(shapes_92.view(3, 3, 2) / self.anchors.new_tensor(STRIDES).view(3, 1, 1))


class Implicit(nn.Module):
    """Learned numbers, one a channel, that no input changes. Source: YOLOR, arXiv:2105.04206."""

    def __init__(self, channels: int, mean: float) -> None:
        super().__init__()
        self.implicit = nn.Parameter(mean + 0.02 * torch.randn(1, channels, 1, 1))


def grid(height: int, width: int, like: Tensor) -> Tensor:
    """float32 (H, W, 2): column and row of every place."""
    rows_H = torch.arange(height, dtype=like.dtype, device=like.device)
    columns_W = torch.arange(width, dtype=like.dtype, device=like.device)
    rows_HW, columns_HW = torch.meshgrid(rows_H, columns_W, indexing="ij")
    return torch.stack([columns_HW, rows_HW], dim=-1)


def places(maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The middle of every place in cells of its map, (2, A), and the pixels of a cell, (A)."""
    points, strides = [], []
    for map_NFHW, stride in zip(maps, STRIDES, strict=True):
        height, width = map_NFHW.shape[-2:]
        points.append(grid(height, width, map_NFHW).flatten(0, 1).T + 0.5)
        strides.append(map_NFHW.new_full((height * width,), float(stride)))
    return torch.cat(points, dim=1), torch.cat(strides)


def _bias(layer: Any) -> Tensor:
    bias: Tensor = layer.bias
    return bias
