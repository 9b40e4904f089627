"""What a graph file without a card says of itself: its image, its outputs, the layout that they look like.

What only its maker knows (labels, preprocessing, licence) is not guessed; the proposal names the fields.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signet.answers.recognition import Port, Proposal, recognised
from signet.errors import BadGraph
from signet.geometry import Size
from signet.graphs.opening import open_graph
from signet.graphs.quarantine import ask_child
from signet.naming import shown
from signet.zoos import card_files

_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class GraphGuess:
    """What a graph file says of itself.

    Attributes:
        file: its name.
        input: `{"name", "dtype", "shape"}` of its image.
        size: (height, width) of the made picture that it was run on.
        outputs: in the order of the graph.
        proposals: what they look like, the surest first.
    """

    file: str
    input: Mapping[str, Any]
    size: Size
    outputs: tuple[Port, ...]
    proposals: tuple[Proposal, ...]

    @property
    def short_card(self) -> dict[str, Any] | None:
        """A card with all that was recognised, and gaps for what only the maker knows."""
        if not self.proposals:
            return None
        first = self.proposals[0]
        channels_last = self.input["shape"][1] != 3
        return {
            "format": {"major": 1, "minor": 0},
            "name": f"mine/{Path(self.file).stem}",
            "task": first.task,
            "labels": {"file": "NAMES.txt"} if first.output.get("classes") else None,
            "program": [
                {"step": "read"},
                {"step": "resize", "size": list(self.size), "fit": "stretch", "filter": "bilinear"},
                {"step": "type", "dtype": self.input["dtype"]},
                {"step": "layout", "order": "NHWC" if channels_last else "NCHW"},
            ],
            "inputs": [{**self.input, "kind": "image", "shape": list(self.input["shape"])}],
            "output": dict(first.output),
        }

    def lines(self) -> Iterator[str]:
        """All that is known, for a person."""
        shape = "x".join(map(str, self.input["shape"]))
        yield f"{self.file}: takes {self.input['name']!r}, {self.input['dtype']} {shape}. It gives"
        for port in self.outputs:
            kind = ", whole numbers" if port.whole else ""
            yield (
                f"  {port.name!r} {'x'.join(map(str, port.shape))}, on a picture of noise {port.low:.4g} to "
                f"{port.high:.4g}{kind}"
            )
        if not self.proposals:
            yield "These are no layout that is known (docs/decisions/0023-three-more-tasks.md lists them)."
            return
        for proposal in self.proposals:
            yield f"{proposal.sure}: {proposal.task}, head {proposal.output['head']!r}: {proposal.why}."
        yield f"Write {self.file}{card_files.ENDING} beside it (docs/card.schema.json has every field):"
        yield json.dumps(self.short_card, ensure_ascii=False)
        yield from self._open()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "file": self.file,
            "input": dict(self.input),
            "outputs": [{"name": port.name, "shape": list(port.shape)} for port in self.outputs],
            "proposals": [
                {
                    "task": proposal.task,
                    "sure": proposal.sure,
                    "why": proposal.why,
                    "output": dict(proposal.output),
                }
                for proposal in self.proposals
            ],
            "card": self.short_card,
        }

    def _open(self) -> Iterator[str]:
        """What only the maker knows."""
        output = self.proposals[0].output
        yield (
            "`program` is only its frame: how pictures are fitted (stretched, or padded to what colour), the "
            "range of values (0 to 255, or `range`, `normalise`) and RGB or BGR (`order`) are its maker's; "
            "with a wrong one it answers, but worse."
        )
        if output.get("classes"):
            yield f"`labels`: {output['classes']} names in order, one a line, or null for numbers."
        if "nms" in output:
            yield "`nms.iou`: the overlap above which its maker suppresses boxes; 0.6 is a proposal."
        yield "`licence`: of the weights; without one they count as unknown."


def guess(path: Path) -> GraphGuess:
    """Run a graph on a made picture, in a child process, and say what its outputs look like.

    Raises:
        BadGraph: it may not be opened, or cannot be run on a picture.
    """
    graph = open_graph(path)
    answer = ask_child("inspection", graph.path, (), "the engine", _SECONDS)
    if not answer.get("ok"):
        raise BadGraph(
            f"{shown(path)}: it could not be run on a made picture: {shown(str(answer.get('error', '?')))}"
        )
    inputs: Any = answer["inputs"]
    if len(inputs) != 1:
        raise BadGraph(f"{shown(path)}: expected one input, an image, got {len(inputs)}.")
    shape = inputs[0]["shape"]
    size = (shape[2], shape[3]) if shape[1] == 3 else (shape[1], shape[2])
    outputs = tuple(map(_port, _rows(answer["outputs"])))
    return GraphGuess(shown(path.name), inputs[0], size, outputs, tuple(recognised(size, outputs)))


def _rows(stated: Any) -> Sequence[Mapping[str, Any]]:
    return list(stated)


def _port(row: Mapping[str, Any]) -> Port:
    profile = {int(axis): (rows[0], rows[1], rows[2]) for axis, rows in row["profile"].items()}
    return Port(row["name"], tuple(row["shape"]), row["low"], row["high"], row["whole"], profile)
