"""A graph file that was made of a sealed model, in the place of the sealed network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from signet.cards import Card
from signet.errors import BadGraph
from signet.graphs.opening import open_graph
from signet.naming import shown
from signet.networks import Pretrained
from signet.steps import Normalise, Range
from signet.zoos import card_files, from_file

_NUMERIC_STAGES = ("normalise", "layout")
"""The stages that a network which takes bytes may do itself."""


def of_file(file: Path, sealed: Pretrained) -> Pretrained:
    """The model that a file is, with its own card, or with the sealed one where none lies beside it.

    Args:
        file: `.onnx`, `.xml`, `.tflite`; what a card beside it states goes before the seal.
        sealed: the model of the seal.

    Raises:
        BadGraph: the file may not be opened.
        BadCard: the card beside it breaks the schema.
        DigestMismatch: the card beside it is of another file.
    """
    if card_files.place_of(file).is_file():
        return from_file.pretrained(file)
    graph = open_graph(file)
    return Pretrained(sealed.card, (graph,), graph.digest, "file")


def readdressed(card: Card, outputs: Sequence[str]) -> Card:
    """A sealed card for a file whose outputs may have other names than those of the sealed graph.

    Args:
        card: the seal's.
        outputs: the names that the file has, in order.

    Returns:
        The card, its answer taken from the one output that there is where none has its name, and without
        features where none has theirs.

    Raises:
        BadGraph: no output has the name of the answer, and there are several.
    """
    contract = card.output
    if isinstance(contract.features, str) and contract.features not in outputs:
        contract = dataclasses.replace(contract, features=None)
    if (
        isinstance(contract.tensor, str)
        and contract.tensor not in outputs
        and "outputs" not in contract.extra
    ):
        if len(outputs) != 1:
            raise BadGraph(
                f"expected an output {contract.tensor!r}, as the sealed network has, or a single one; got "
                f"{', '.join(map(shown, outputs))}. Say with a card beside the file which one is the answer "
                "(docs/graph-cards.md)."
            )
        contract = dataclasses.replace(contract, tensor=0)
    return dataclasses.replace(card, output=contract)


def done_inside(card: Card, sealed: Card) -> tuple[str, ...]:
    """The stages of the sealed program that a model with this card leaves to its network.

    An exported file's card says so. Of others, a network that takes bytes has its normalisation inside.
    Whether it is the right one shows in its answer.
    """
    exported = card.lineage.get("exported_from")
    if isinstance(exported, Mapping) and isinstance(exported.get("inside"), list | tuple):
        # Pixels are moved by nobody but the program: a card cannot excuse another resize.
        return tuple(stage for stage in _NUMERIC_STAGES if stage in exported["inside"])
    takes_bytes = bool(card.inputs) and card.inputs[0].dtype == "uint8"
    counts = any(isinstance(step, Range | Normalise) for step in card.program.steps)
    if card.program == sealed.program or not takes_bytes or counts:
        return ()
    return _NUMERIC_STAGES
