"""Cards that lie beside a file: read strictly, with the label files that they point to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from signet.cards import Card
from signet.errors import BadCard, BadInput
from signet.naming import shown
from signet.storage import read_json

ENDING = ".card.json"


def place_of(path: Path) -> Path:
    """Where the card of a file lies."""
    return path.with_name(path.name + ENDING)


def read_fields(place: Path) -> dict[str, Any]:
    """A card file as JSON.

    Raises:
        BadCard: it cannot be read, or is no JSON object.
    """
    try:
        return read_json(place)
    except BadInput as error:
        raise BadCard(str(error)) from error


def read_card(place: Path) -> Card:
    """A card file, the labels that it points to read in.

    Raises:
        BadCard: it breaks the schema, or its label file does not fit.
    """
    fields = read_fields(place)
    labels, output = fields.get("labels"), fields.get("output")
    if isinstance(labels, Mapping):
        if not isinstance(output, Mapping):
            raise BadCard(f"{place.name}: card field 'output': expected an object, got {output!r:.80}.")
        names, drop = label_file(labels, place, output.get("classes"))
        fields = {**fields, "labels": names, "output": {**output, "drop_first": drop}}
    try:
        return Card.from_dict(fields)
    except BadCard as error:
        raise BadCard(f"{place.name}: {error}") from error


def labels_of(stated: object, place: Path, classes: int) -> tuple[tuple[str, ...], bool]:
    """The names that a short card states, and whether class 0 is a background that has none.

    Args:
        stated: names in order, or `{"file", "drop_first"}`.
        place: the card.
        classes: of the head.

    Raises:
        BadCard: neither of these, or not as many names as the head has classes.
    """
    drop = False
    if isinstance(stated, Mapping):
        stated, drop = label_file(stated, place, None)
    if (
        not isinstance(stated, Sequence)
        or isinstance(stated, str)
        or not all(isinstance(name, str) for name in stated)
    ):
        raise BadCard(
            f"{shown(place.name)}: expected labels as a list of names, "
            f'{{"file": ...}}, "like" or null; got {stated!r:.80}.'
        )
    expected = classes - drop
    if len(stated) != expected:
        raise BadCard(
            f"{shown(place.name)}: expected {expected} labels, as many as the head of these weights has"
            f"{' without the background' if drop else ''}; got {len(stated)}."
        )
    return tuple(stated), drop


def label_file(labels: Mapping[str, Any], place: Path, classes: object) -> tuple[list[str], bool]:
    """The names of a label file, and whether class 0 is a background that has none.

    Args:
        labels: {"file", "drop_first"}; with the second, the first name is left out.
        place: the card that says so.
        classes: of the network, when the card states it.
    """
    if set(labels) - {"file", "drop_first"} or not isinstance(labels.get("file"), str):
        raise BadCard(f'{place.name}: labels are a list, or {{"file", "drop_first"}}; got {dict(labels)!r}.')
    try:
        file = (place.parent / labels["file"]).resolve()
        # A card may use the label file of a sister folder, and nothing further away.
        if place.parent.parent.resolve() not in file.parents:
            raise BadCard(f"{place.name}: its label file {labels['file']!r} lies outside the models' folder.")
        names = file.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:  # ValueError: no text, or a name that no file can have
        raise BadCard(f"{place.name}: its label file cannot be read: {shown(error)}.") from error
    drop = bool(labels.get("drop_first", False))
    if isinstance(classes, int) and classes < len(names):
        # Some label files end with a remark in prose, below the names.
        names = names[:classes]
    return (names[1:] if drop else names), drop
