"""Which detectors and segmenters of transformers are read, and what each gives.

A class that is not here may give boxes in another form, or need more than a picture; it is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from signet.cards import OutputContract, Task

SEMANTIC_CLASS = "ForSemanticSegmentation"
SEMANTIC = "semantic"
"""An argument of ours: a network of masks that answers for pixels. The library's own config has no word for
it, the names of the published repositories do."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a class gives.

    Attributes:
        task: of its cards.
        head: layout of its outputs (docs/decisions/0023).
        outputs: their names.
        wrapper: which module of `query_outputs` or `logits_only` makes them.
        any_size: its processor leaves pictures their proportions.
        more: fields of the card's `output`.
    """

    task: Task
    head: str
    outputs: tuple[str, ...]
    wrapper: Literal["boxes", "masks", "sums", "pixels"]
    any_size: bool = True
    more: Mapping[str, Any] = field(default_factory=dict)


_QUERIES = ("logits", "boxes")
_BEST_100: Mapping[str, Any] = {"nms": {"after": 100}}
KINDS: Mapping[str, Kind] = {
    "ConditionalDetrForObjectDetection": Kind("detect", "rtdetr", _QUERIES, "boxes", more=_BEST_100),
    "DFineForObjectDetection": Kind("detect", "rtdetr", _QUERIES, "boxes", any_size=False),
    "DeformableDetrForObjectDetection": Kind("detect", "rtdetr", _QUERIES, "boxes", more=_BEST_100),
    "DetrForObjectDetection": Kind("detect", "detr", _QUERIES, "boxes"),
    "Mask2FormerForUniversalSegmentation": Kind("instances", "mask2former", ("logits", "masks"), "masks"),
    "RTDetrForObjectDetection": Kind("detect", "rtdetr", _QUERIES, "boxes", any_size=False),
    "RTDetrV2ForObjectDetection": Kind("detect", "rtdetr", _QUERIES, "boxes", any_size=False),
}
"""By class. Source of the heads: `post_process_object_detection` of each one's image processor."""
_PIXELS = Kind("segment", "pixel_logits", ("logits",), "pixels", any_size=False)
_SUMS = Kind("segment", "pixel_logits", ("logits",), "sums")


def kind_of(architecture: str, arguments: Mapping[str, Any]) -> Kind | None:
    """What a class gives; None for a classifier, or a class that is not read.

    Args:
        architecture: the class.
        arguments: of the spec; `semantic` parts the two uses of networks of masks.
    """
    if architecture.endswith(SEMANTIC_CLASS):
        return _PIXELS
    kind = KINDS.get(architecture)
    return _SUMS if kind is not None and kind.task == "instances" and arguments.get(SEMANTIC) else kind


def contract(kind: Kind, classes: int) -> OutputContract:
    """The output contract of a card."""
    return OutputContract(head=kind.head, tensor=kind.outputs[0], classes=classes, extra=dict(kind.more))


def known(transformers: Any) -> tuple[str, ...]:
    """The classes that the installed library has."""
    from transformers.models.auto import modeling_auto

    pixels = modeling_auto.MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES.values()
    return tuple(name for name in (*KINDS, *pixels) if hasattr(transformers, name))


def wrapped(kind: Kind, network: Any) -> Any:
    """The network as the engines expect one."""
    from signet.zoos import logits_only, query_outputs

    match kind.wrapper:
        case "boxes":
            return query_outputs.QueryBoxes(network)
        case "masks":
            return query_outputs.QueryMasks(network)
        case "sums":
            return query_outputs.QuerySums(network)
        case "pixels":
            return logits_only.LogitsOnly(network)
