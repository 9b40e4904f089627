"""Graph files that somebody else made: `.onnx`, `.tflite`, `.xml`, with a card beside them.

The card is `FILE.card.json`; without one nothing is known of preprocessing and labels, and nothing is
guessed.
"""

from __future__ import annotations

from pathlib import Path

from signet.catalogue import configs
from signet.errors import BadCard
from signet.graphs.opening import open_graph
from signet.networks import GRAPH_SUFFIXES, Pretrained
from signet.zoos import card_files


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
    place = card_path or card_files.place_of(path)
    if not place.is_file():
        raise BadCard(
            f"{path}: expected a card beside it ({place.name}) that states its preprocessing, labels and "
            "licence; there is none, and they are not guessed. Write one (docs/card.schema.json describes "
            "it), or name it with --card."
        )
    graph = open_graph(path)
    card = card_files.read_card(place)
    return Pretrained(card, (graph,), configs.digest_with(graph.digest, card), "file")
