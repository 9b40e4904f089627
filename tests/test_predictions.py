"""One image's answer or truth."""

from __future__ import annotations

import json

import numpy as np
import pytest

from signet.errors import BadInput
from signet.predictions import Classes, Embedding


def made(scores: list[float]) -> Classes:
    return Classes(
        np.arange(len(scores)), np.array(scores, np.float32), tuple(f"c{i}" for i in range(len(scores)))
    )


def test_the_best_labels_come_first_and_ties_in_label_order() -> None:
    classes = made([0.1, 0.4, 0.1, 0.4])
    assert classes.best == "c1"
    assert classes.top(3).labels == ("c1", "c3", "c0")
    assert classes.top(99).indices.tolist() == [1, 3, 0, 2]
    assert len(classes) == 4


def test_classes_are_chosen_by_masks_slices_and_positions() -> None:
    classes = Classes(np.array([7, 8, 9]), np.array([0.5, 0.3, 0.2]), ("a", "b", "c"), False, source="x")
    for chosen in (np.array([True, False, True]), np.array([0, 2]), slice(None, None, 2)):
        part = classes[chosen]
        assert part.labels == ("a", "c")
        assert part.indices.tolist() == [7, 9]
        assert (part.exclusive, part.source) == (False, "x")


def test_classes_go_to_plain_json() -> None:
    plain = json.loads(json.dumps(made([0.2, 0.7, 0.1]).to_dict(2)))
    assert plain == {
        "kind": "classes",
        "top": [{"index": 1, "label": "c1", "score": 0.7}, {"index": 0, "label": "c0", "score": 0.2}],
    }
    assert len(made([0.0] * 9).to_dict()["top"]) == 5
    assert len(made([0.0] * 9).to_dict(None)["top"]) == 9


def test_arrays_and_labels_have_one_length() -> None:
    with pytest.raises(BadInput, match="expected 2 names"):
        Classes(np.array([0, 1]), np.array([0.5, 0.5]), ("a",))
    with pytest.raises(BadInput, match="class scores"):
        Classes(np.array([0, 1]), np.array([0.5]), ("a", "b"))
    with pytest.raises(BadInput, match="at least one label"):
        _ = made([]).best


def test_truth_is_a_prediction_too() -> None:
    truth = Classes.truth(4, "crane", source="x.jpg")
    assert truth.best == "crane"
    assert truth.indices.tolist() == [4]
    assert truth.scores.tolist() == [1.0]


def test_names_are_escaped_in_notebooks() -> None:
    shown = Classes(np.array([0]), np.array([1.0]), ("<script>alert(1)</script>",))._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert repr(made([0.2, 0.7, 0.1, 0.0])) == "Classes(c1 0.700, c0 0.200, c2 0.100, ...)"


def test_an_embedding_is_a_vector() -> None:
    embedding = Embedding(np.array([1.0, 2.0]), source="x")
    assert len(embedding) == 2
    assert embedding.vector.dtype == np.float32
    assert embedding.to_dict() == {"kind": "embedding", "layer": "penultimate", "vector": [1.0, 2.0]}
