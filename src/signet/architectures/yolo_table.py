"""The YOLO networks that Signet builds, and what a config of their weights may leave out. Loads no torch.

Preprocessing: the picture is fitted into a square, bilinear without antialias, and padded with grey (114) on
both sides, RGB, 0 to 1. Source: MultimediaTechLab/YOLO (MIT), `PadAndResize`, for square, grey and middle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

STRIDE = 32
"""Sides of pictures are a multiple of it."""
SIZE = 640
GREY = 114
COCO = 80
NMS_IOU = 0.7
"""Boxes of a class that overlap by more are one. Source: MultimediaTechLab/YOLO (MIT), validation."""

OVER_BACKBONES = "yolo"
"""The architecture that has a backbone of timm, which its arguments name (`zoos.one_stage`)."""

Kind = Literal["detect", "instances", "classify"]
OUTPUTS: dict[Kind, tuple[str, ...]] = {
    "detect": ("predictions",),
    "instances": ("predictions", "prototypes"),
    "classify": (),
}
"""Names of what the networks of each task return."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One row.

    Attributes:
        name: of the architecture.
        family: "yolov7", "yolov8" or "yolov9".
        variant: its key in the family's own table.
        kind: the task.
        parameters: learned numbers, with 80 classes (1,000 of a classifier).
        stated: published parameters in millions, and GFLOPs (tests/architectures/test_yolo_table.py).
        keys: the data file with the original names of its tensors.
    """

    name: str
    family: Literal["yolov7", "yolov8", "yolov9"]
    variant: str
    kind: Kind = "detect"
    parameters: int
    stated: tuple[float, float]
    keys: str

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what it returns; none for a classifier."""
        return OUTPUTS[self.kind]

    @property
    def gmacs(self) -> float:
        """Multiply-adds of one picture in 10^9: half of GFLOPs that all rows count alike."""
        return round(_COUNTED.get(self.name, self.stated[1]) / 2, 3)

    @property
    def head(self) -> str:
        """The layout of its answer."""
        return "yolov5" if self.family == "yolov7" else "yolov8"


_V8: dict[Kind, dict[str, tuple[int, float, float]]] = {
    "detect": {
        "n": (3_157_184, 3.2, 8.7),
        "s": (11_166_544, 11.2, 28.6),
        "m": (25_902_624, 25.9, 78.9),
        "l": (43_691_504, 43.7, 165.2),
        "x": (68_229_632, 68.2, 257.8),
    },
    "instances": {
        "n": (3_409_952, 3.4, 12.6),
        "s": (11_821_040, 11.8, 42.6),
        "m": (27_285_952, 27.3, 110.2),
        "l": (45_997_712, 46.0, 220.5),
        "x": (71_827_872, 71.8, 344.1),
    },
    "classify": {
        "n": (2_719_288, 2.7, 4.3),
        "s": (6_361_736, 6.4, 13.5),
        "m": (17_053_336, 17.0, 42.7),
        "l": (37_480_744, 37.5, 99.7),
        "x": (57_422_840, 57.4, 154.8),
    },
}
_V9 = {
    "t": (2_036_544, 2.0, 7.7),
    "s": (7_226_192, 7.1, 26.4),
    "m": (20_123_984, 20.0, 76.3),
    "c": (25_498_736, 25.3, 102.1),
    "e": (58_114_416, 57.3, 189.0),
}
_COUNTED = {
    "yolov7": 104.5,
    "yolov8n-seg": 12.0,
    "yolov8s-seg": 40.1,
    "yolov8m-seg": 104.5,
    "yolov8l-seg": 210.4,
    "yolov8x-seg": 328.4,
    "yolov8n-cls": 0.41,
    "yolov8s-cls": 1.53,
    "yolov8m-cls": 5.10,
    "yolov8l-cls": 12.09,
    "yolov8x-cls": 18.84,
}
"""GFLOPs where the published figure counts otherwise: v7's counts BatchNorms as well, those of masks count a
transposed convolution four times, those of classifiers are of 640 pixels and these of the 224 that they take
(tests/architectures/test_yolo_table.py meets both)."""
_ENDINGS: dict[Kind, str] = {"detect": "", "instances": "-seg", "classify": "-cls"}


def _rows() -> Iterator[Network]:
    for kind, variants in _V8.items():
        for variant, (parameters, millions, gflops) in variants.items():
            yield Network(
                name=f"yolov8{variant}{_ENDINGS[kind]}",
                family="yolov8",
                variant=variant,
                kind=kind,
                parameters=parameters,
                stated=(millions, gflops),
                keys="yolov8-cls" if kind == "classify" else "yolov8",
            )
    for variant, (parameters, millions, gflops) in _V9.items():
        yield Network(
            name=f"yolov9{variant}",
            family="yolov9",
            variant=variant,
            parameters=parameters,
            stated=(millions, gflops),
            keys="yolov9e" if variant == "e" else "yolov9",
        )
    for name, variant, parameters, stated in (
        ("yolov7", "", 37_622_682, (36.9, 104.7)),
        ("yolov7-tiny", "tiny", 6_228_762, (6.2, 13.7)),
    ):
        yield Network(
            name=name, family="yolov7", variant=variant, parameters=parameters, stated=stated, keys=name
        )


NETWORKS: dict[str, Network] = {row.name: row for row in _rows()}


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config of such weights with all that it leaves to rules, in the form that `catalogue.dense` reads.

    Args:
        config: `library`, `architecture`, and where they differ from COCO at 640 pixels `num_classes`,
            `labels`, `program`, `output` and `pretrained_cfg` with `input_size`; other keys stay as they are.
    """
    row = NETWORKS[config["architecture"]]
    stated = config.get("pretrained_cfg") or {}
    if row.kind == "classify":
        plain = {
            "mean": [0.0, 0.0, 0.0],
            "std": [1.0, 1.0, 1.0],
            "crop_pct": 1.0,
            "interpolation": "bilinear",
        }
        return {**config, "pretrained_cfg": {**plain, "classifier": "head.linear", **stated}}
    classes = int(config.get("num_classes", COCO))
    height, width = (int(side) for side in (stated.get("input_size") or (3, SIZE, SIZE))[1:])
    output = {
        "head": row.head,
        "tensor": "predictions",
        "classes": classes,
        "nms": {"iou": NMS_IOU, "class_wise": True},
    }
    if row.kind == "instances":
        output["outputs"] = {"prototypes": "prototypes"}
    names = "coco_80" if classes == COCO else [f"class {index}" for index in range(classes)]
    whole = {
        "task": row.kind,
        "num_classes": classes,
        "labels": names,
        "program": program(height, width),
        "output": output,
    }
    return {**whole, **config, "num_classes": classes}


def program(height: int, width: int) -> list[dict[str, Any]]:
    """The preprocessing, in the form of a card."""
    return [
        {"step": "read", "channels": "RGB", "orient": True},
        {
            "step": "resize",
            "size": [height, width],
            "fit": "pad",
            "filter": "bilinear",
            "antialias": False,
            "rounding": "round",
        },
        {"step": "pad", "to": [height, width], "value": GREY, "anchor": "center"},
        {"step": "type", "dtype": "float32"},
        {"step": "range", "scale": 1 / 255},
        {"step": "layout", "order": "NCHW"},
    ]
