"""What Signet builds itself, as a table. Loads no torch.

Every architecture's own file says where its table comes from and what it must reach. The starter is not
here: it comes with weights and has a zoo of its own (`signet.zoos.from_package`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from signet.architectures import yolo_table
from signet.cards import Task
from signet.errors import BadRequest, UnknownName

Value = str | int | float
Family = Literal["inception_v2", "nasnet", "densenet", "efficientnet", "coca", "yolov7", "yolov8", "yolov9"]


@dataclass(frozen=True, slots=True)
class Argument:
    """What a name may set, and the values that it takes.

    Attributes:
        kind: `int`, `float`, or `str` for one of `choices`.
        least: smallest number.
        most: largest number.
        choices: the words.
        meaning: in one line.
    """

    kind: type[int] | type[float] | type[str]
    least: float = 0.0
    most: float = 0.0
    choices: tuple[str, ...] = ()
    meaning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One network that has a name.

    Attributes:
        family: the file of this package that builds it.
        module: the function or class there.
        size: height and width, in pixels, that it was made for.
        features: width of what comes before the head.
        parameters: learned numbers that it must reach, with `classes` classes.
        classes: of the published network.
        stated: what the source states of the size, as it states it.
        multiply_adds: what the source states, in millions, at `size`; None where it does not. Of YOLO half of
            the published FLOPs, or of those that are counted as in its other rows.
        paper: where it is described.
        year: of the paper.
        table: where in the paper.
        classifier: dotted name of the head, a Linear; "" where that is not what answers.
        task: what it does.
        outputs: names of what it returns, where that is neither logits nor features.
        multiple: sides of its pictures are a multiple of this.
        fixed: what the name itself sets.
        arguments: what may be set after the name.
        note: what a user must know who takes it for the published network.
    """

    family: Family
    module: str
    size: int
    features: int
    parameters: int
    classes: int = 1000
    stated: str
    multiply_adds: float | None
    paper: str
    year: int
    table: str
    classifier: str = "head"
    task: Task = "classify"
    outputs: tuple[str, ...] = ()
    multiple: int = 1
    fixed: Mapping[str, Value] = field(default_factory=dict)
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    note: str = ""


DROPOUT = Argument(float, 0.0, 0.99, meaning="part of the features dropped before the head, in training")
PADDING = Argument(str, choices=("same", "symmetric"), meaning="as TensorFlow pads, or as torch does")
EPSILON = Argument(
    float, 1e-8, 0.1, meaning="of the BatchNorms: 0.001 in TensorFlow's weights, 0.00001 in torch's"
)
DROP_PATH = Argument(float, 0.0, 0.99, meaning="part of the images that skip the last block, in training")
BORDERS = Argument(
    str,
    choices=("tensorflow", "keras", "timm"),
    meaning="what the pools of reduction cells see beyond the border, as the library of the weights has it",
)
CONVENTIONS = {"dropout": DROPOUT, "drop_path": DROP_PATH, "padding": PADDING, "epsilon": EPSILON}
SCALING = {
    "width": Argument(float, 0.1, 8.0, meaning="factor on all channels"),
    "depth": Argument(float, 0.1, 10.0, meaning="factor on the blocks of each stage"),
    "size": Argument(int, 32, 2048, meaning="height and width of its images, in pixels"),
    "phi": Argument(float, 0.0, 12.0, meaning="compound coefficient: all three at once"),
}


def _inception(form: str, parameters: int, classes: int, stated: str, multiply_adds: float) -> Architecture:
    return Architecture(
        family="inception_v2",
        module="InceptionV2",
        size=224,
        features=1024,
        parameters=parameters,
        classes=classes,
        stated=stated,
        multiply_adds=multiply_adds,
        paper="arXiv:1502.03167",
        year=2015,
        table="figure 5 (appendix)",
        fixed={"form": form},
    )


def _nasnet(size: int, features: int, parameters: int, stated: str, multiply_adds: float) -> Architecture:
    return Architecture(
        family="nasnet",
        module="NASNet",
        size=size,
        features=features,
        parameters=parameters,
        stated=stated,
        multiply_adds=multiply_adds,
        paper="arXiv:1707.07012",
        year=2017,
        table="figure 4, tables 2 and 3",
        arguments={"borders": BORDERS},
    )


def _efficientnet(
    scale: tuple[float, float, int, float], features: int, parameters: int, stated: tuple[str, float | None]
) -> Architecture:
    width, depth, size, dropout = scale
    return Architecture(
        family="efficientnet",
        module="EfficientNet",
        size=size,
        features=features,
        parameters=parameters,
        stated=stated[0],
        multiply_adds=stated[1],
        paper="arXiv:1905.11946",
        year=2019,
        table="table 1, equation 3",
        fixed={"width": width, "depth": depth, "size": size, "dropout": dropout},
        arguments=CONVENTIONS | {"size": SCALING["size"]},
    )


def _yolo(row: yolo_table.Network) -> Architecture:
    millions, gflops = row.stated
    classifies = row.kind == "classify"
    forms = Argument(
        str,
        choices=("published", "authors", "ultralytics"),
        meaning="form of the head: as the published counts have it, or the files of one of the two packages",
    )
    sources = {
        "yolov7": ("arXiv:2207.02696", 2022, "table 2"),
        "yolov8": ("arXiv:2304.00501", 2023, "figure 17"),
        "yolov9": ("arXiv:2402.13616", 2024, "table 1"),
    }
    paper, year, table = sources[row.family]
    return Architecture(
        family=row.family,
        module="build",
        size=224 if classifies else yolo_table.SIZE,
        features=1280 if classifies else 0,
        parameters=row.parameters,
        classes=1000 if classifies else yolo_table.COCO,
        stated=f"{millions} M, {gflops} GFLOPs",
        multiply_adds=round(1000 * row.gmacs, 1),
        paper=paper,
        year=year,
        table=table,
        classifier="head.linear" if classifies else "",
        task=row.kind,
        outputs=row.outputs,
        multiple=yolo_table.STRIDE,
        fixed={"variant": row.variant, "kind": row.kind},
        arguments={"size": SCALING["size"]} | ({"head": forms} if row.family == "yolov9" else {}),
    )


ARCHITECTURES: dict[str, Architecture] = {
    "inception_v2": _inception("caffe", 11_295_240, 1000, "11.30 M", 2030),
    "inception_v2_slim": _inception("slim", 11_179_361, 1001, "11.2 M", 1940),
    "nasnet_a_mobile": _nasnet(224, 1056, 5_289_978, "5.3 M; in Keras 5,326,716", 564),
    "nasnet_a_large": _nasnet(331, 4032, 88_753_150, "88.9 M; in Keras 88,949,818", 23_800),
    "densenet264": Architecture(
        family="densenet",
        module="DenseNet264",
        size=224,
        features=2688,
        parameters=33_337_704,
        stated="33.37 M (PaddlePaddle)",
        multiply_adds=5770,
        paper="arXiv:1608.06993",
        year=2016,
        table="table 1",
        classifier="classifier",
        note="systems.csv states 22 M, which no network of the paper's table can have.",
    ),
    "efficientnet": Architecture(
        family="efficientnet",
        module="EfficientNet",
        size=224,
        features=1280,
        parameters=5_288_548,
        stated="5.3 M (B0)",
        multiply_adds=390,
        paper="arXiv:1905.11946",
        year=2019,
        table="table 1, equation 3",
        fixed={"width": 1.0, "depth": 1.0},
        arguments=SCALING | CONVENTIONS,
    ),
    "efficientnet_b0": _efficientnet((1.0, 1.0, 224, 0.2), 1280, 5_288_548, ("5.3 M", 390)),
    "efficientnet_b1": _efficientnet((1.0, 1.1, 240, 0.2), 1280, 7_794_184, ("7.8 M", 700)),
    "efficientnet_b2": _efficientnet((1.1, 1.2, 260, 0.3), 1408, 9_109_994, ("9.2 M", 1000)),
    "efficientnet_b3": _efficientnet((1.2, 1.4, 300, 0.3), 1536, 12_233_232, ("12 M", 1800)),
    "efficientnet_b4": _efficientnet((1.4, 1.8, 380, 0.4), 1792, 19_341_616, ("19 M", 4200)),
    "efficientnet_b5": _efficientnet((1.6, 2.2, 456, 0.4), 2048, 30_389_784, ("30 M", 9900)),
    "efficientnet_b6": _efficientnet((1.8, 2.6, 528, 0.5), 2304, 43_040_704, ("43 M", 19_000)),
    "efficientnet_b7": _efficientnet((2.0, 3.1, 600, 0.5), 2560, 66_347_960, ("66 M", 37_000)),
    "efficientnet_b8": _efficientnet((2.2, 3.6, 672, 0.5), 2816, 87_413_142, ("87 M", None)),
    "efficientnet_l2": _efficientnet((4.3, 5.3, 800, 0.5), 5504, 480_309_308, ("480 M", None)),
    "coca_2b": Architecture(
        family="coca",
        module="CoCa",
        size=576,
        features=1408,
        parameters=2_120_652_520,
        stated="2.1 B: 1 B in the image encoder, 1.1 B in the text decoder",
        multiply_adds=None,
        paper="arXiv:2205.01917",
        year=2022,
        table="table 1",
        note="No weights were published. Logits come of the encoder and its poolers, without the text.",
    ),
    **{name: _yolo(row) for name, row in yolo_table.NETWORKS.items()},
}
"""Every architecture that Signet builds itself, by name."""


NOT_BUILT: dict[str, str] = {
    name: (
        f"{title}: the paper (arXiv:1707.07012) gives its cells in figure {figure} only; neither code nor "
        f"weights were found. Stated: {stated}. Nearest substitute: nasnet_a_mobile."
    )
    for name, title, figure, stated in (
        ("nasnet_b", "NASNet-B (4 @ 1536)", 8, "5.3 M parameters, 488 M multiply-adds"),
        ("nasnet_c", "NASNet-C (3 @ 960)", 9, "4.9 M parameters, 558 M multiply-adds"),
    )
}
"""Asked for and not built, and why; cells that merely fit the stated sizes would bear a false name."""


def find(architecture: str) -> Architecture:
    """The entry of a name.

    Raises:
        UnknownName: no such architecture.
        BadRequest: it is known, and not built here.
    """
    if architecture in NOT_BUILT:
        raise BadRequest(NOT_BUILT[architecture])
    if architecture not in ARCHITECTURES:
        raise UnknownName("architecture of Signet", architecture, ARCHITECTURES)
    return ARCHITECTURES[architecture]
