"""What others published on fine-tuning: ten ImageNet networks, eight datasets, four transferability scores.

`data/transfer.csv` holds the printed table of one source, as facts. The NCE column of DTD is left out:
it is printed there as a copy of the LogME column.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from signet.errors import UnknownName

SOURCE = (
    "thuml/Transfer-Learning-Library, examples/model_selection/README.md, printed tables; "
    "ImageNet top-1: torchvision's weights IMAGENET1K_V1"
)
"""Where the figures are from."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One network fine-tuned on one dataset, as published.

    Attributes:
        dataset: "Aircraft" ...
        model: the network as the source calls it: "ResNet-50" ...
        name: the same weights in the catalogue: "torchvision/resnet50.imagenet1k_v1" ...
        fine_tuned: top-1 accuracy after full fine-tuning, 0 to 1.
        imagenet_top1: top-1 accuracy on ImageNet-1k validation, 0 to 1.
        scores: `h_score`, `leep`, `logme`, `nce` on the dataset's training images, as far as they were
            printed; higher is better for each.
    """

    dataset: str
    model: str
    name: str
    fine_tuned: float
    imagenet_top1: float
    scores: dict[str, float]


@cache
def transfers() -> tuple[Transfer, ...]:
    """All 80 rows, dataset by dataset, each with the networks in the same order.

    Example:
        >>> row = transfers()[0]
        >>> row.dataset, row.model, row.fine_tuned
        ('Aircraft', 'GoogLeNet', 0.827)
    """
    text = files("signet.choosing").joinpath("data", "transfer.csv").read_text("utf-8")
    return tuple(
        Transfer(
            dataset=row["dataset"],
            model=row["model"],
            name=row["name"],
            fine_tuned=round(float(row["fine_tuned"]) / 100, 6),
            imagenet_top1=round(float(row["imagenet_top1"]) / 100, 6),
            scores={score: float(row[score]) for score in ("h_score", "leep", "logme", "nce") if row[score]},
        )
        for row in csv.DictReader(text.splitlines())
    )


def datasets() -> tuple[str, ...]:
    """The names of the eight datasets, in the table's order."""
    return tuple(dict.fromkeys(row.dataset for row in transfers()))


def on_dataset(dataset: str) -> tuple[Transfer, ...]:
    """The ten networks on one dataset.

    Raises:
        UnknownName: the table has no such dataset.
    """
    if dataset not in datasets():
        raise UnknownName("dataset", dataset, datasets(), "These are the datasets of the published table.")
    return tuple(row for row in transfers() if row.dataset == dataset)
