"""Graph files that somebody else made: `.onnx`, `.tflite`, `.xml`, TensorFlow's; with a card beside them.

The card is `FILE.card.json` (of a SavedModel, `FOLDER.card.json` beside the folder); without one nothing is
known of preprocessing and labels, and nothing is guessed.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from signet.cards import Card
from signet.catalogue import configs
from signet.errors import BadCard, DigestMismatch
from signet.graphs import from_tensorflow
from signet.graphs.opening import open_graph
from signet.naming import shown
from signet.networks import GRAPH_SUFFIXES, Pretrained
from signet.storage import digest_of
from signet.zoos import card_files


def is_graph(path: Path) -> bool:
    """Whether a path is a file with the ending of a graph, or a SavedModel folder."""
    return (path.is_file() and path.suffix.lower() in GRAPH_SUFFIXES) or from_tensorflow.is_tensorflow(path)


def pretrained(path: Path, card_path: Path | None = None) -> Pretrained:
    """A graph file with its card.

    Args:
        path: the graph; of a SavedModel the folder.
        card_path: its card; `FILE.card.json` beside it by default.

    Raises:
        BadCard: there is no card, or it breaks the schema.
        BadGraph: the graph may not be opened.
        DigestMismatch: the card states another digest than the file has.
    """
    place = card_path or card_files.place_of(path if path.name else path.resolve())
    if not place.is_file():
        told = ", and `signet show FILE` says what its outputs look like" if path.is_file() else ""
        raise BadCard(
            f"{path}: expected a card beside it ({place.name}) that states its preprocessing, labels and "
            "licence; there is none, and they are not guessed. Write one (docs/card.schema.json describes "
            f"it{told}), or name it with --card."
        )
    if from_tensorflow.is_tensorflow(path):
        return _from_tensorflow(path, card_files.read_card(place), place)
    graph = open_graph(path)
    card = card_files.read_card(place)
    if card.weights_digest not in (None, graph.digest, digest_of(path)):
        raise DigestMismatch(
            f"{shown(place.name)}: it is the card of a graph with the sha256 {card.weights_digest}, but that "
            f"of {shown(path.name)} is {graph.digest}: the file was changed, or is another one. Get it "
            "again; if the change is meant, state the new digest in the card."
        )
    _require_one_size(card, place)
    return Pretrained(card, (graph,), configs.digest_with(graph.digest, card), "file")


def _require_one_size(card: Card, place: Path) -> None:
    """The program must end in the size that the card states of the input, where it states one."""
    size = card.input_size
    shape = card.inputs[0].shape if card.inputs else ()
    if size is None or len(shape) != 4:
        return
    sides = shape[2:] if shape[1] == 3 else shape[1:3]
    if any(side not in (None, wanted) for side, wanted in zip(sides, size, strict=True)):
        raise BadCard(
            f"{shown(place.name)}: its program ends with pictures of {size[0]} x {size[1]}, but its input "
            f"takes {' x '.join(map(str, sides))}."
        )


def _from_tensorflow(path: Path, card: Card, place: Path) -> Pretrained:
    """TensorFlow's files run as the OpenVINO graph that they become; the digest is of what they were."""
    if len(card.inputs) > 1:
        raise BadCard(f"{place.name}: expected one input, an image, got {len(card.inputs)}.")
    stated = card.inputs[0] if card.inputs else None
    output = card.output
    names = tuple(name for name in (output.tensor, output.features) if isinstance(name, str))
    wanted = from_tensorflow.Wanted(
        input=stated.name if stated else None,
        shape=stated.shape if stated else (),
        # An answer by its position is one among all.
        outputs=names if isinstance(output.tensor, str) else (),
    )
    made = from_tensorflow.converted(path, wanted)
    if stated is not None and stated.dtype != made.input.dtype:
        raise BadCard(
            f"{place.name}: its input {stated.name!r} has the dtype {stated.dtype!r}, the graph's takes "
            f"{made.input.dtype!r}. Correct the card's input, and let its program end in that type."
        )
    origin = {"file": path.resolve().name, "digest": made.digest}
    if made.signature:
        origin["signature"] = made.signature
    card = dataclasses.replace(card, inputs=(made.input,), lineage={**card.lineage, "converted_from": origin})
    return Pretrained(card, (made.graph,), configs.digest_with(made.digest, card), "file")
