"""Graph files that somebody else made: `.onnx`, `.tflite`, `.xml`, with a card beside them.

The card is `FILE.card.json`; without one nothing is known of preprocessing and labels, and nothing is
guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signet.cards import Card
from signet.catalogue import configs
from signet.errors import BadCard, BadInput
from signet.graphs.opening import open_graph
from signet.networks import GRAPH_SUFFIXES, Pretrained
from signet.storage import read_json


def is_graph(path: Path) -> bool:
    """Whether a path has the ending of a graph file."""
    return path.suffix.lower() in GRAPH_SUFFIXES


def pretrained(path: Path, card_path: Path | None = None) -> Pretrained:
    """A graph file with its card.

    Args:
        path: the graph.
        card_path: its card; `FILE.card.json` beside it by default.

    Raises:
        BadCard: there is no card, or it breaks the schema.
        BadGraph: the graph may not be opened.
    """
    place = card_path or path.with_name(path.name + ".card.json")
    if not place.is_file():
        raise BadCard(
            f"{path}: expected a card beside it ({place.name}) that states its preprocessing, labels and "
            "licence; there is none, and they are not guessed. Write one (docs/card.schema.json describes "
            "it), or name it with --card."
        )
    graph = open_graph(path)
    card = read_card(place)
    return Pretrained(card, (graph,), configs.digest_with(graph.digest, card), "file")


def read_card(place: Path) -> Card:
    """A card file, the labels that it points to read in.

    Raises:
        BadCard: it breaks the schema, or its label file does not fit.
    """
    try:
        fields = read_json(place)
    except BadInput as error:
        raise BadCard(str(error)) from error
    labels = fields.get("labels")
    if isinstance(labels, Mapping):
        fields = {**fields, **_with_labels(fields, labels, place)}
    try:
        return Card.from_dict(fields)
    except BadCard as error:
        raise BadCard(f"{place.name}: {error}") from error


def _with_labels(fields: Mapping[str, Any], labels: Mapping[str, Any], place: Path) -> dict[str, Any]:
    """The names of a label file; `drop_first` leaves out the background, in labels and answers alike."""
    if set(labels) - {"file", "drop_first"} or not isinstance(labels.get("file"), str):
        raise BadCard(f'{place.name}: labels are a list, or {{"file", "drop_first"}}; got {dict(labels)!r}.')
    file = (place.parent / labels["file"]).resolve()
    # A card may use the label file of a sister folder, and nothing further away.
    if place.parent.parent.resolve() not in file.parents:
        raise BadCard(f"{place.name}: its label file {labels['file']!r} lies outside the models' folder.")
    try:
        names = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadCard(f"{place.name}: its label file cannot be read: {error}.") from error
    output = dict(fields.get("output") or {})
    drop = bool(labels.get("drop_first", False))
    classes = output.get("classes")
    if isinstance(classes, int) and classes < len(names):
        # Some label files end with a remark in prose, below the names.
        names = names[:classes]
    return {"labels": names[1:] if drop else names, "output": {**output, "drop_first": drop}}
