"""A graph file whose card does not fit it is refused with the difference shown, and so is a damaged one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signet.errors import SignetError
from signet.models import load
from signet.testing import TinyNetwork, made_images


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A graph of five classes, whole, with its card."""
    pytest.importorskip("onnx")
    made = TinyNetwork.made().write(tmp_path / "tiny.onnx")
    card = {
        "format": {"major": 1, "minor": 0},
        "name": "file/tiny",
        "task": "classify",
        "program": [
            {"step": "read"},
            {"step": "resize", "size": [16, 12], "fit": "stretch"},
            {"step": "type", "dtype": "float32"},
            {"step": "layout", "order": "NCHW"},
        ],
        "output": {
            "head": "softmax",
            "tensor": "logits",
            "classes": 5,
            "features": "features",
            "drop_first": False,
        },
        "inputs": [{"name": "images", "shape": [None, 3, 16, 12]}],
        "labels": ["a", "b", "c", "d", "e"],
    }
    _card_of(made.path).write_text(json.dumps(card))
    return made.path


def _card_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.card.json")


def _restate(path: Path, **changes: Any) -> None:
    card = json.loads(_card_of(path).read_text())
    for key, value in changes.items():
        place = card["output"] if key in card["output"] else card
        place[key] = value
    _card_of(path).write_text(json.dumps(card))


def _answer(path: Path) -> Any:
    with load(path, engine="onnx") as model:
        return model(made_images(1))


GRAPH_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "another number of classes": ({"classes": 4, "labels": ["a", "b", "c", "d"]}, r"4.*5|5.*4"),
    "a background class that is none": ({"drop_first": True, "labels": ["b", "c", "d"]}, r"3|4"),
    "another number of labels": ({"labels": ["a", "b", "c", "d"]}, r"4.*5|5.*4"),
    "an output that is none": ({"tensor": "scores"}, "scores.*logits"),
    "an input of another size": (
        {"inputs": [{"name": "images", "shape": [None, 3, 8, 8]}]},
        "ends with pictures of 16 x 12, but its input takes 8 x 8",
    ),
    "a wrong hash": ({"weights_digest": "0" * 64}, "0" * 64),
}


def test_the_whole_graph_answers(graph: Path) -> None:
    (answer,) = _answer(graph)
    assert answer.labels == tuple("abcde")


@pytest.mark.parametrize("fault", GRAPH_FAULTS)
def test_a_card_that_does_not_fit_its_graph_is_refused(fault: str, graph: Path) -> None:
    changes, words = GRAPH_FAULTS[fault]
    _restate(graph, **changes)
    with pytest.raises(SignetError, match=rf"(?s){words}"):
        _answer(graph)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.999])
def test_a_graph_cut_short_is_refused(part: float, graph: Path) -> None:
    whole = graph.read_bytes()
    graph.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(SignetError, match=r"tiny\.onnx"):
        _answer(graph)


def test_a_weight_that_is_missing_or_of_another_shape_in_a_graph_is_refused(graph: Path) -> None:
    onnx = pytest.importorskip("onnx")
    whole = onnx.load(graph)
    without = onnx.load(graph)
    del without.graph.initializer[2]
    onnx.save(without, graph)
    with pytest.raises(SignetError, match="head"):
        _answer(graph)
    other = [onnx.numpy_helper.from_array(np.ones((5, 7), np.float32), "head")]
    kept = [one for one in whole.graph.initializer if one.name != "head"]
    del whole.graph.initializer[:]
    whole.graph.initializer.extend([*kept, *other])
    onnx.save(whole, graph)
    with pytest.raises(SignetError, match=r"7|[Mm]ismatch|imension"):
        _answer(graph)
