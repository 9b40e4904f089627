"""One line of the catalogue: what can be searched, sorted and compared of a model without loading it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from signet.cards import Claim, Licence
from signet.catalogue.annotating import DOMAIN
from signet.catalogue.facts import DATASETS

Status = Literal["embedded", "mirrored", "downloadable", "no public weights"]
STATUSES: tuple[Status, ...] = ("embedded", "mirrored", "downloadable", "no public weights")
NO_WEIGHTS: Status = "no public weights"

MEASURES: Mapping[str, str] = {"classify": "top1", "detect": "ap", "instances": "mask_ap", "segment": "miou"}
"""The figure by which models of a task are compared."""
TITLES: Mapping[str, str] = {"top1": "top-1", "ap": "AP", "mask_ap": "mask AP", "miou": "mIoU"}
"""The same for people."""
ACCURACIES = ("top1", "top5", "ap", "ap50", "mask_ap", "miou")
"""Keys of measured figures, fractions; of detectors and instance segmenters `ap` is that of the boxes."""
ALIASES: Mapping[str, str] = {
    "input": "input_size",
    "parameters": "params",
    "size": "size_bytes",
}
"""Other words for keys. `accuracy` is one more: the measure of the task that is asked for."""
FIGURES = (*ACCURACIES, "params", "gmacs", "size_bytes", "input_size", "depth", "year")
"""Keys whose values are numbers: they can be weighed against each other."""
SORT_KEYS = ("name", *FIGURES, "family", "task", "domain", "licence", "status")
HIGHEST_FIRST = (*ACCURACIES, "year")
"""Keys of which more is better; of the other figures, less is."""


_DENSE = ("ap", "mask_ap", "miou")
_COCO = "COCO val2017"


def measure_of(task: str | None) -> str:
    """The figure by which models are compared: that of the task; top-1 where none is asked for."""
    return MEASURES.get(task or "", "top1")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the catalogue.

    Attributes:
        name: what every command takes as MODEL.
        task: "classify", "embed" ...
        family: "ResNet" ...
        params: trainable values, or None when nobody counted.
        gmacs: multiply-adds for one image in 10^9, or None.
        depth: layers as the paper counts, or None.
        size_bytes: of the weight file; where only the hub has it and states no size, of its tensors.
        input_size: (height, width).
        licence: of the weights.
        status: where the weights are.
        claims: figures with sources.
        domain: of the training data: "natural" ...
        year: of publication.
        paper: "arXiv:1512.03385" ...
        good_for: one sentence.
        nearest: the model to take instead, where no weights are public.
    """

    name: str
    task: str
    family: str
    params: int | None
    gmacs: float | None
    depth: int | None
    size_bytes: int | None
    input_size: tuple[int, int] | None
    licence: Licence
    status: Status
    claims: tuple[Claim, ...] = ()
    domain: str = DOMAIN
    year: int | None = None
    paper: str = ""
    good_for: str = ""
    nearest: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the command contract."""
        row = {
            "name": self.name,
            "task": self.task,
            "family": self.family,
            "params": self.params,
            "gmacs": self.gmacs,
            "depth": self.depth,
            "size_bytes": self.size_bytes,
            "input_size": None if self.input_size is None else list(self.input_size),
            "licence": {
                "weights": self.licence.weights,
                "stated": self.licence.stated,
                "verdict": self.licence.verdict,
                "code": self.licence.code,
                "training_data": self.licence.training_data,
                "words": self.licence.words,
            },
            "status": self.status,
            "claims": [
                {
                    "metric": claim.metric,
                    "value": claim.value,
                    "dataset": claim.dataset,
                    "source": claim.source,
                    "evaluation_size": claim.evaluation_size,
                }
                for claim in self.claims
            ],
            "domain": self.domain,
            **{key: self.key(key) for key in ("top1", *_DENSE)},
            "year": self.year,
            "paper": self.paper,
            "good_for": self.good_for,
        }
        return {**row, "nearest": self.nearest} if self.nearest else row

    def key(self, name: str) -> float | str | None:
        """The value of a sort key; None when it is not known."""
        match name:
            case "input_size":
                return None if self.input_size is None else self.input_size[0] * self.input_size[1]
            case "licence":
                return self.licence.weights.lower()
            case _ if name in ACCURACIES:
                return self._accuracy(name)
            case _:
                value: float | str | None = getattr(self, name)
                return value

    def _accuracy(self, metric: str) -> float | None:
        """On the set that the field compares on, the first of the claims; else the best on a set of its own.

        These are ImageNet-1k, at the model's own size, and COCO's val2017. Figures of the sets that test
        robustness are no accuracy to sort by.
        """
        values = [claim for claim in self.claims if claim.metric == metric]
        for claim in values:
            if claim.dataset in (DATASETS["1k"], _COCO):
                return claim.value
        own = (claim.value for claim in values if claim.dataset not in DATASETS.values())
        return max(own, default=None)
