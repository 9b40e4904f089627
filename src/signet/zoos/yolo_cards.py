"""The card of a YOLO checkpoint: none, a short one, or a whole one, held to what its tensors say.

A short card states what the checkpoint does not, or otherwise than it: any of

    {"labels": ["helmet", "head"], "size": [640, 640], "tensors": "ema"}

`labels` are the names, `{"file": ...}`, or null; `size` is height and width of a prepared picture; `tensors`
names the set of a checkpoint with several.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signet.architectures import yolo_table
from signet.cards import Card, InputSpec
from signet.errors import BadCard, UnknownName
from signet.naming import shown
from signet.zoos import card_files, yolo_files
from signet.zoos.state_files import StateFile
from signet.zoos.yolo_matches import YoloMatch

_FIELDS = ("labels", "size", "tensors")


def tensors(place: Path, fields: Mapping[str, Any]) -> str | None:
    """Which set of tensors a card that is not whole names.

    Raises:
        BadCard: it names none, but something else.
    """
    named = None if "format" in fields else fields.get("tensors")
    if not isinstance(named, str | None):
        raise BadCard(f"{shown(place.name)}: expected 'tensors' to be a name, got {named!r:.80}.")
    return named


def card(place: Path, fields: Mapping[str, Any], state: StateFile, match: YoloMatch, name: str) -> Card:
    """The card of a checkpoint.

    Args:
        place: where the fields stand; the checkpoint itself when there is no card.
        fields: of the card file; empty for none.
        state: the checkpoint.
        match: what it was recognised as.
        name: of the model, where no whole card gives one.

    Raises:
        BadCard: the card breaks its form, or does not fit the checkpoint.
    """
    if "format" in fields:
        return _whole(place, state, match)
    file = shown(place.name)
    for key in fields:
        if key not in _FIELDS:
            raise BadCard(
                f"{file}: {UnknownName('field of a short card', key, _FIELDS)} The preprocessing of "
                f"{match.words} is its own; a whole card (docs/card.schema.json) can state another."
            )
    stated = yolo_files.stated_by(state, match)
    if fields.get("labels") is not None:
        labels, drop = card_files.labels_of(fields["labels"], place, match.classes)
        if drop:
            raise BadCard(f"{file}: 'drop_first' is for heads with a background; {match.words} has none.")
        stated = dataclasses.replace(stated, labels=labels)
    elif "labels" in fields:
        stated = dataclasses.replace(stated, labels=None)
    if "size" in fields:
        stated = dataclasses.replace(stated, size=_size(fields["size"], file))
    told = [(key, f"as {file} states") for key in ("labels", "size") if key in fields]
    kept = [remark for remark in stated.remarks if remark[0] not in fields]
    return yolo_files.card_of(state, match, dataclasses.replace(stated, remarks=(*kept, *told)), name)


def _size(stated: object, file: str) -> tuple[int, int]:
    match stated:
        case [int() as height, int() as width] if (
            height > 0 < width and not height % yolo_table.STRIDE and not width % yolo_table.STRIDE
        ):
            return height, width
        case _:
            raise BadCard(
                f"{file}: expected 'size' as [height, width], multiples of {yolo_table.STRIDE}; "
                f"got {stated!r:.80}."
            )


def _whole(place: Path, state: StateFile, match: YoloMatch) -> Card:
    known = card_files.read_card(place)
    file, row = shown(place.name), match.network
    if known.weights_digest not in (None, state.digest):
        raise BadCard(
            f"{file}: it is the card of weights with the sha256 {known.weights_digest}, but those of "
            f"{shown(state.path.name)} have {state.digest}."
        )
    if known.architecture not in ("", row.name, f"signet/{row.name}"):
        raise BadCard(
            f"{file}: it states the architecture {known.architecture!r}, but the weights are of "
            f"{match.words}."
        )
    head = "softmax" if row.kind == "classify" else row.head
    if (known.task, known.output.head) != (row.kind, head):
        raise BadCard(
            f"{file}: expected the task {row.kind!r} and the head {head!r}, as the weights are of "
            f"{match.words}; got {known.task!r} and {known.output.head!r}."
        )
    if known.output.classes not in (None, match.classes):
        raise BadCard(
            f"{file}: it states {known.output.classes} classes, but the head of these weights has "
            f"{match.classes}."
        )
    if known.input_size is not None:
        _size(list(known.input_size), file)
    return dataclasses.replace(
        known,
        output=dataclasses.replace(known.output, classes=match.classes),
        inputs=known.inputs or (InputSpec("images", shape=(None, 3, *(known.input_size or (None, None)))),),
        weights_digest=state.digest,
    )
