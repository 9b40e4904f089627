"""Rows, lines, and the proof of bf16 before the first line is written."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from signet import predicting
from signet.boxes import Boxes
from signet.engines.contract import EngineSettings
from signet.errors import BadInput, BadRequest, EngineError
from signet.instances import Instances
from signet.masks import Mask
from signet.predicting import PredictSettings, prove_precision, row
from signet.predictions import Classes
from signet.running import find_evidence
from signet.segments import SegmentMap
from signet.streaming import Answered


def classes(*scores: float) -> Classes:
    order = np.argsort(scores)[::-1]
    return Classes(
        order, np.array(scores, np.float32)[order], tuple(f"label {n}" for n in order), source="a.jpg"
    )


def test_a_row_is_the_best_first_as_far_as_wanted():
    answered = Answered("a.jpg", classes(0.1, 0.6, 0.3))
    plain = row(answered, PredictSettings(top=2))
    assert plain == {
        "source": "a.jpg",
        "kind": "classes",
        "top": [
            {"index": 1, "label": "label 1", "score": pytest.approx(0.6)},
            {"index": 2, "label": "label 2", "score": pytest.approx(0.3)},
        ],
    }
    assert len(row(answered, PredictSettings(min_score=0.2))["top"]) == 2
    assert row(answered, PredictSettings(min_score=1))["top"] == []


def test_a_row_of_an_error():
    plain = row(Answered("a.jpg", None, BadInput("no image")), PredictSettings())
    assert plain == {"source": "a.jpg", "error": {"type": "BadInput", "message": "no image"}}


@pytest.mark.parametrize(
    "values", [{"top": 0}, {"min_score": -0.1}, {"min_score": 1.1}, {"min_score": float("nan")}]
)
def test_wrong_settings(values):
    with pytest.raises(BadRequest):
        PredictSettings(**values)


class Model:
    """Decides by the number in the path; in bf16 wrongly from some number on."""

    def __init__(self, cache, precision: str = "fp32", wrong_from: int = 10**9, undecided: bool = True):
        settings = EngineSettings(cache=cache)
        self.running = SimpleNamespace(settings=settings, undecided=undecided)
        self.pretrained = SimpleNamespace(
            variants=(),
            card=SimpleNamespace(name="tests/numbers", task="classify", program=SimpleNamespace(digest="p")),
            digest="d",
            evidence=None,
        )
        self.precision = precision
        self.wrong_from = wrong_from
        self.closed = False
        self.faster = None

    def in_precision(self, precision):
        self.faster = Model(self.running.settings.cache, precision, self.wrong_from)
        return self.faster

    def close(self):
        self.closed = True


@pytest.fixture
def answers(monkeypatch):
    """Instead of a stream: the answer to input n is class n % 3, or another where bf16 is wrong."""
    looked_at = []

    def predictions(model, inputs, *, min_score=0.0):
        for number in inputs:
            looked_at.append((model.precision, number))
            right = number % 3
            given = (right + 1) % 3 if model.precision == "bf16" and number >= model.wrong_from else right
            yield Answered(str(number), classes(*(1.0 if place == given else 0.0 for place in range(3))))

    monkeypatch.setattr(predicting.streaming, "predictions", predictions)
    return looked_at


@pytest.mark.parametrize(("count", "proven"), [(1000, False), (1001, True), (5000, True)])
def test_a_long_run_proves_bf16_first(answers, tmp_path, count, proven):
    model = Model(tmp_path)
    told = []
    chosen, inputs = prove_precision(model, iter(range(count)), told.append)
    assert [moment.done for moment in told] == list(range(1, 251) if proven else [])
    assert (chosen.precision, model.closed) == (("bf16", True) if proven else ("fp32", False))
    assert list(inputs) == list(range(count))
    assert len(answers) == (500 if proven else 0)


@pytest.mark.parametrize(("wrong_from", "precision"), [(249, "bf16"), (248, "fp32"), (0, "fp32")])
def test_one_wrong_decision_in_two_hundred_and_fifty_is_let_through(answers, tmp_path, wrong_from, precision):
    """At least 99.5 % of the decisions must be equal."""
    model = Model(tmp_path, wrong_from=wrong_from)
    chosen, inputs = prove_precision(model, iter(range(2000)))
    assert chosen.precision == precision
    assert model.closed is (precision == "bf16")
    assert model.faster.closed is (precision == "fp32")
    assert list(inputs) == list(range(2000))
    evidence = find_evidence(model.pretrained, tmp_path)
    # Two wrong ones settle it: no rest of 250 can make up for them.
    assert (evidence.compared, evidence.equal) == (min(wrong_from + 2, 250), wrong_from)


def test_a_network_that_cannot_run_in_bf16_stays_in_fp32(answers, tmp_path, monkeypatch):
    model = Model(tmp_path)

    def refused(precision):
        raise EngineError(f"engine openvino cannot open it in {precision}")

    monkeypatch.setattr(model, "in_precision", refused)
    chosen, inputs = prove_precision(model, iter(range(2000)))
    assert chosen is model
    assert not model.closed
    assert list(inputs) == list(range(2000))


def test_what_is_decided_is_not_looked_at_again(answers, tmp_path):
    model = Model(tmp_path, undecided=False)
    chosen, inputs = prove_precision(model, iter(range(5000)))
    assert chosen is model
    assert answers == []
    assert next(inputs) == 0


def test_inputs_are_looked_at_ahead_and_not_all_taken(answers, tmp_path):
    taken = []

    def inputs():
        for number in range(10**6):
            taken.append(number)
            yield number

    prove_precision(Model(tmp_path), inputs())
    assert len(taken) == 1001


def made_boxes(*scores: float) -> Boxes:
    xyxy = np.array([[place, 0, place + 1, 2] for place in range(len(scores))], "f8").reshape(-1, 4)
    labels = tuple("ab"[place % 2] for place in range(len(scores)))
    return Boxes(xyxy, np.array(scores), np.arange(len(scores)) % 2, labels, (4, 9))


def test_boxes_below_a_quarter_stay_at_the_door():
    answered = Answered("a.jpg", made_boxes(0.9, 0.3, 0.25, 0.2))
    assert [box["score"] for box in row(answered, PredictSettings())["boxes"]] == [0.9, 0.3, 0.25]
    assert len(row(answered, PredictSettings(min_score=0))["boxes"]) == 4
    assert [box["score"] for box in row(answered, PredictSettings(top=1))["boxes"]] == [0.9]
    plain = row(answered, PredictSettings(top=1))
    assert plain == {
        "source": "a.jpg",
        "kind": "boxes",
        "boxes": [{"xyxy": [0.0, 0.0, 1.0, 2.0], "score": 0.9, "index": 0, "label": "a"}],
    }


def test_instances_keep_their_own_masks():
    masks = tuple(Mask.of(np.arange(36).reshape(4, 9) == place) for place in range(3))
    answered = Answered("a.jpg", Instances(made_boxes(0.9, 0.1, 0.8), masks))
    plain = row(answered, PredictSettings())
    assert plain["kind"] == "instances"
    assert [entry["score"] for entry in plain["boxes"]] == [0.9, 0.8]
    assert [Mask.from_coco(entry["mask"]) for entry in plain["boxes"]] == [masks[0], masks[2]]


def test_segments_are_the_largest_and_have_no_score():
    found = SegmentMap(np.array([[0, 0, 1, 2, 2, 2]]), ("sky", "sea", "sand"))
    plain = row(Answered("a.jpg", found), PredictSettings(top=2))
    assert [(entry["label"], entry["pixels"]) for entry in plain["segments"]] == [("sand", 3), ("sky", 2)]
    with pytest.raises(BadRequest, match="gives each pixel its best label"):
        PredictSettings(min_score=0.5).resolved(SegmentMap)
    assert PredictSettings().resolved(Classes) == PredictSettings(top=5, min_score=0.0)
    assert PredictSettings().resolved(Instances) == PredictSettings(min_score=0.25)
