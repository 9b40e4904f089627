"""YOLOv9: GELAN in place of C2f, and for the largest variant a second backbone that sees the first.

Source: Wang et al., YOLOv9: Learning What You Want to Learn Using Programmable Gradient Information (2024),
arXiv:2402.13616; sections 4.1 (the auxiliary branch, of training only) and 4.2 (GELAN), table 1, appendix A.
Widths of t, s, m and c are those of MultimediaTechLab/YOLO (MIT), `yolo/config/model/v9-*.yaml`; of e, for
which it has no table, the shapes of its tensors in the original package, run as a black box
(docs/decisions/0024).

These are the networks of inference, which the paper's table counts: without the auxiliary branch, and with
each pair of branches merged (`RepConv`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from signet.architectures.yolo_blocks import (
    GELAN,
    AverageDown,
    ConvNorm,
    PyramidPool,
    Reversible,
    TwoWayDown,
    fused_maps,
)
from signet.architectures.yolo_heads import DISTANCES, AnchorFreeHead
from signet.architectures.yolo_pyramid import Backbone, Detector, PathAggregation


@dataclass(frozen=True, slots=True)
class HeadForm:
    """What the answers of a box and of the classes are computed with.

    Attributes:
        groups: of the last layers of the boxes: with 4 the sides of a box do not see each other there.
        per_class: channels for each class inside the branch of the classes, where that needs more.
        most: of these, at most.
    """

    groups: int
    per_class: int
    most: int


HEADS: dict[str, HeadForm] = {
    "published": HeadForm(groups=4, per_class=1, most=100),
    "authors": HeadForm(groups=4, per_class=2, most=128),
    "ultralytics": HeadForm(groups=1, per_class=1, most=100),
}
"""In three forms. The first is that of the published counts: the authors' package, as it is today, builds a
wider branch of the classes for t (2.4 M parameters instead of 2.0 M), and the same for all others."""


@dataclass(frozen=True, slots=True)
class Table:
    """Of one variant.

    Attributes:
        stem: channels of the first layer.
        downs: channels of what halves the size before each of the four blocks.
        outputs: channels of each block.
        inner: channels inside each block.
        neck: channels of the maps that come out, at strides 8, 16 and 32.
        inside: channels inside the blocks that make them.
        narrow: channels of what comes down to strides 16 and 32.
        pool: channels out of the pyramid pool.
        count: bottlenecks of a half block.
        plain: the first block has none.
        two_ways: sizes are halved by `TwoWayDown`.
    """

    stem: int
    downs: tuple[int, int, int, int]
    outputs: tuple[int, int, int, int]
    inner: tuple[int, int, int, int]
    neck: tuple[int, int, int]
    inside: tuple[int, int, int]
    narrow: tuple[int, int]
    pool: int
    count: int = 1
    plain: bool = False
    two_ways: bool = False


def _even(stem: int, widths: tuple[int, int, int, int], narrow: tuple[int, int], *, plain: bool) -> Table:
    """t, s and m: a block has as many channels inside as outside; in t and s the first is plain."""
    return Table(
        stem=stem,
        downs=(2 * stem, *widths[1:]),
        outputs=widths,
        inner=widths,
        neck=widths[1:],
        inside=widths[1:],
        narrow=narrow,
        pool=widths[3],
        count=3 if plain else 1,
        plain=plain,
    )


TABLES: dict[str, Table] = {
    "t": _even(16, (32, 64, 96, 128), (48, 64), plain=True),
    "s": _even(32, (64, 128, 192, 256), (96, 128), plain=True),
    "m": _even(32, (128, 240, 360, 480), (184, 240), plain=False),
    "c": Table(
        stem=64,
        downs=(128, 256, 512, 512),
        outputs=(256, 512, 512, 512),
        inner=(128, 256, 512, 512),
        neck=(256, 512, 512),
        inside=(256, 512, 512),
        narrow=(256, 512),
        pool=512,
        two_ways=True,
    ),
    "e": Table(
        stem=64,
        downs=(128, 256, 512, 1024),
        outputs=(256, 512, 1024, 1024),
        inner=(128, 256, 512, 512),
        neck=(256, 512, 512),
        inside=(256, 512, 1024),
        narrow=(256, 512),
        pool=512,
        count=2,
        two_ways=True,
    ),
}


def build(variant: str, classes: int, head: str = "published") -> Detector:
    """The network with random weights.

    Args:
        variant: a key of `TABLES`.
        classes: how many.
        head: a key of `HEADS`.
    """
    table, form = TABLES[variant], HEADS[head]
    backbone = TwoBackbones(table) if variant == "e" else _backbone(table)
    near, middle, far = table.neck
    inside8, inside16, inside32 = table.inside
    sides16, sides32 = table.narrow
    neck = PathAggregation(
        up16=GELAN(table.pool + table.outputs[2], middle, inside16, table.count),
        up8=GELAN(middle + table.outputs[1], near, inside8, table.count),
        down16=_down(table, near, sides16),
        out16=GELAN(sides16 + middle, middle, inside16, table.count),
        down32=_down(table, middle, sides32),
        out32=GELAN(sides32 + table.pool, far, inside32, table.count),
    )
    return Detector(backbone, neck, _head(table.neck, classes, form))


def _head(channels: tuple[int, int, int], classes: int, form: HeadForm) -> AnchorFreeHead:
    width = max(4 * DISTANCES, channels[0] // 4)
    return AnchorFreeHead(
        channels,
        classes,
        box_width=form.groups * -(-width // form.groups),
        class_width=max(channels[0], min(form.per_class * classes, form.most)),
        groups=form.groups,
    )


class TwoBackbones(nn.Module):
    """Every map of a first backbone goes, by a 1x1 convolution, to each finer place of a second.

    The second looks at the images again, and after each halving adds what the first sends there.

    Source: arXiv:2402.13616, section 5.1 (the reversible branch of YOLOv9-E, after CBNet) and appendix A.
    """

    def __init__(self, table: Table) -> None:
        super().__init__()
        self.first = _backbone(table, pooled=False)
        self.second = _backbone(table)
        widths = (table.stem, *table.downs)
        sources = (table.stem, *table.outputs)
        self.sends = nn.ModuleList(
            Reversible(source, widths[: place + 1]) for place, source in enumerate(sources)
        )

    def forward(self, images_N3HW: Tensor) -> tuple[Tensor, ...]:
        """float32 (N, 3, H, W) to the maps of the second backbone's stages."""
        sent = self._sent(images_N3HW)
        map_NCHW = fused_maps([parts[0] for parts in sent], self.second.stem(images_N3HW))
        maps = []
        stages: Any = self.second.stages
        for place, (down, block) in enumerate(stages, start=1):
            map_NCHW = block(fused_maps([parts[place] for parts in sent[place:]], down(map_NCHW)))
            maps.append(map_NCHW)
        return (*maps[:-1], self.second.pool(maps[-1]))

    def _sent(self, images_N3HW: Tensor) -> list[tuple[Tensor, ...]]:
        """For each map of the first backbone, what it sends to its place in the second and to finer ones."""
        map_NCHW = self.first.stem(images_N3HW)
        sent = [self.sends[0](map_NCHW)]
        for send, stage in zip(list(self.sends)[1:], self.first.stages, strict=True):
            map_NCHW = stage(map_NCHW)
            sent.append(send(map_NCHW))
        return sent


def _backbone(table: Table, *, pooled: bool = True) -> Backbone:
    stages, inputs = [], table.stem
    for place, (down, outputs, inner) in enumerate(zip(table.downs, table.outputs, table.inner, strict=True)):
        # The first two halvings of the size are plain convolutions in every variant.
        halved = _down(table, inputs, down) if place else ConvNorm(inputs, down, 3, 2)
        count = 0 if table.plain and not place else table.count
        stages.append(nn.Sequential(halved, GELAN(down, outputs, inner, count)))
        inputs = outputs
    pool = PyramidPool(inputs, table.pool, table.pool // 2) if pooled else None
    return Backbone(ConvNorm(3, table.stem, 3, 2), stages, pool)


def _down(table: Table, inputs: int, outputs: int) -> nn.Module:
    return TwoWayDown(inputs, outputs) if table.two_ways else AverageDown(inputs, outputs)
