"""A YOLO checkpoint of the user's own: what it says beside its tensors, and the model that it is.

Such a network (`yolo_matches`) has one preprocessing, its architecture's, so a file of it needs no card:
names of the classes, size of the pictures and licence are taken from what the checkpoint states in words and
numbers, and nothing of it is run.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from signet.architectures import yolo_table
from signet.cards import Card, Licence
from signet.catalogue import configs
from signet.naming import shown
from signet.zoos import card_files
from signet.zoos.state_files import StateFile
from signet.zoos.yolo_matches import YoloMatch

_MOST_SIZE = 8192
_MOST_LETTERS = 200


@dataclass(frozen=True, slots=True)
class Stated:
    """What a checkpoint states beside its tensors, and what is taken where it says nothing.

    Attributes:
        labels: names of the classes; None where it names none, or not as many as its head has.
        size: (height, width) of a prepared picture.
        licence: its own words; "" where it has none.
        remarks: what each is ("preprocessing", "labels", "size", "licence") and where it is from.
    """

    labels: tuple[str, ...] | None
    size: tuple[int, int]
    licence: str
    remarks: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class YoloGuess:
    """What a YOLO checkpoint without a card says of itself; unlike other weights it is a model as it is.

    Attributes:
        file: its name.
        match: the network.
        stated: what stands beside the tensors.
        read: what was undone to reach them.
    """

    file: str
    match: YoloMatch
    stated: Stated
    read: tuple[str, ...]

    @property
    def short_card(self) -> dict[str, Any]:
        """The shortest card, which says again what is known."""
        labels = {"file": "NAMES.txt"} if self.stated.labels is None else list(self.stated.labels)
        return {"labels": labels, "size": list(self.stated.size)}

    def lines(self) -> Iterator[str]:
        """All that is known, for a person."""
        yield (
            f"{self.file}: certainly {self.match.words}: all its {self.match.tensors} tensors have the names "
            "and shapes of that network, and none is missing."
        )
        yield from (f"Read: {remark}." for remark in self.read)
        yield from (f"{about.capitalize()}: {words}." for about, words in self.stated.remarks)
        yield "It needs no card. To say otherwise, write one beside it, short or whole:"
        yield f"{self.file}{card_files.ENDING}: {json.dumps(self._abridged(), ensure_ascii=False)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "file": self.file,
            "tensors": self.match.tensors,
            "sure": "certain",
            "architecture": f"signet/{self.match.network.name}",
            "arguments": dict(self.match.arguments),
            "task": self.match.network.kind,
            "classes": self.match.classes,
            "labels": None if self.stated.labels is None else list(self.stated.labels),
            "size": list(self.stated.size),
            "licence": self.stated.licence or None,
            "remarks": {"read": list(self.read), **dict(self.stated.remarks)},
            "card": self.short_card,
        }

    def _abridged(self) -> dict[str, Any]:
        card = self.short_card
        long = isinstance(card["labels"], list) and len(card["labels"]) > 4
        return {**card, "labels": [*card["labels"][:3], "..."]} if long else card


def stated_by(state: StateFile, match: YoloMatch) -> Stated:
    """What a checkpoint says of classes, size and licence, and what follows from its architecture."""
    remarks = [("preprocessing", _preprocessing(match))]
    labels = _labels(state.stated.get("names"), match.classes)
    if labels is not None:
        remarks.append(("labels", f"the {match.classes} names that the file states"))
    else:
        numbers = f"the file states no names of {match.classes} classes: 'class 0', 'class 1', ..."
        remarks.append(("labels", numbers))
    side = 224 if match.network.kind == "classify" else yolo_table.SIZE
    size = _size(state.stated)
    if size is not None:
        remarks.append(("size", f"{size[0]}x{size[1]}, which the file states of its training"))
    else:
        size = (side, side)
        remarks.append(("size", f"{side}x{side}, its architecture's; the file states none"))
    licence = state.stated.get("license")
    licence = shown(licence.strip())[:_MOST_LETTERS] if isinstance(licence, str) else ""
    if licence:
        remarks.append(("licence", f"{licence}, as the file states"))
    return Stated(labels, size, licence, tuple(remarks))


def card_of(state: StateFile, match: YoloMatch, stated: Stated, name: str) -> Card:
    """The card that follows from the network and what is stated.

    Raises:
        BadCard: labels or size do not fit the network.
    """
    config = {
        "library": "signet",
        "architecture": match.network.name,
        "num_classes": match.classes,
        "pretrained_cfg": {"input_size": [3, *stated.size]},
        "parameters": match.parameters,
    }
    known = configs.card(name, yolo_table.completed(config), state.digest, "unknown", shown(state.path.name))
    return dataclasses.replace(
        known,
        labels=stated.labels,
        licence=Licence(weights=stated.licence, stated=True) if stated.licence else Licence(),
        lineage={
            "architecture": f"signet/{match.network.name}",
            **dict(stated.remarks),
            **({"read": list(state.remarks)} if state.remarks else {}),
        },
    )


def _labels(names: object, classes: int) -> tuple[str, ...] | None:
    """Names of the classes, from a list or from a dict of numbers to names."""
    if isinstance(names, Mapping):
        names = [names.get(index) for index in range(classes)] if len(names) == classes else None
    if not isinstance(names, list) or len(names) != classes:
        return None
    return tuple(names) if all(isinstance(name, str) for name in names) else None


def _size(stated: Mapping[str, Any]) -> tuple[int, int] | None:
    """The side of the pictures of the training, where the checkpoint states one that the network can take."""
    for key in ("train_args", "args"):
        arguments = stated.get(key)
        side = arguments.get("imgsz") if isinstance(arguments, Mapping) else None
        if isinstance(side, int) and 0 < side <= _MOST_SIZE and side % yolo_table.STRIDE == 0:
            return side, side
    return None


def _preprocessing(match: YoloMatch) -> str:
    crop = match.network.kind == "classify"
    way = "short side, center" if crop else f"letterbox with {yolo_table.GREY}"
    return f"its architecture's, which no file states: {way}, RGB, 0 to 1"
