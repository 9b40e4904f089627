"""What a card may say of a head: every field used or refused, in the code as in the schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from signet.answers import head_of, kind_of
from signet.boxes import Boxes
from signet.cards import Card, OutputContract
from signet.errors import BadCard
from signet.heads import DENSE, HEADS, Head, Suppression
from signet.predictions import Classes, Embedding
from signet.programs import Program
from signet.segments import SegmentMap
from signet.steps import Read

NEEDED: dict[str, dict[str, Any]] = {
    "yolox": {"strides": [8, 16, 32], "nms": {"iou": 0.6}},
    "yolov5": {"nms": {"iou": 0.6}},
    "yolov8": {"nms": {"iou": 0.6}},
    "nanodet": {"strides": [8, 16, 32, 64], "bins": 8, "nms": {"iou": 0.6}},
}
SCHEMA = Path(__file__).resolve().parent.parent / "docs" / "card.schema.json"


def plain(head: str, task: str | None = None, **output: Any) -> dict[str, Any]:
    return {
        "format": {"major": 1, "minor": 0},
        "name": "tests/head",
        "task": task or HEADS[head].tasks[0],
        "program": [{"step": "read"}],
        "output": {"head": head, **NEEDED.get(head, {}), **output},
    }


@pytest.mark.parametrize("name", HEADS)
def test_each_head_is_read_with_what_it_needs(name: str) -> None:
    for task in HEADS[name].tasks:
        card = Card.from_dict(plain(name, task))
        assert Card.from_dict(json.loads(json.dumps(card.to_dict()))) == card
        head = head_of(card)
        assert head.name == name
        assert (head.suppression is None) == (task == "segment")
        assert set(HEADS[name].roles) <= set(head.places)


def test_what_nms_leaves_out_is_as_cocos_figures_are_made() -> None:
    head = Head.of("yolov5", {"nms": {"iou": 0.7}})
    assert head.suppression == Suppression(
        iou=0.7, score_floor=0.01, before=1000, after=100, multi_label=True
    )
    assert DENSE.iou is None
    assert Head.of("boxes", {}).suppression == Suppression()
    assert Head.of("detr", {"nms": {"after": 5}}).suppression == Suppression(after=5)


def test_outputs_are_found_by_role() -> None:
    assert dict(Head.of("yolov10", {}, "found").places) == {"predictions": "found"}
    stated = {"outputs": {"boxes": "pred_boxes", "logits": 2}}
    assert dict(Head.of("detr", stated).places) == {"boxes": "pred_boxes", "logits": 2}
    assert Head.of("yolov8", {"nms": {"iou": 0.5}}).places["prototypes"] == 1
    assert dict(Head.of("ssd", {}).places) == {"boxes": 0, "classes": 1, "scores": 2, "count": 3}


BROKEN: dict[str, tuple[str, dict[str, Any], str]] = {
    "no strides": ("yolox", {"strides": None}, "needs the field 'strides'"),
    "strides of zero": ("yolox", {"strides": [0]}, "whole numbers above 0"),
    "strides as text": ("yolox", {"strides": "8"}, "whole numbers above 0"),
    "no nms": ("yolov5", {"nms": None}, "needs the field 'nms'"),
    "nms without iou": ("yolov5", {"nms": {}}, "expected the field 'iou'"),
    "iou above 1": ("yolov5", {"nms": {"iou": 50}}, "'iou': expected a number from 0 to 1, got 50"),
    "unknown field of nms": ("yolov5", {"nms": {"iou": 0.5, "score_flor": 0}}, "Did you mean 'score_floor'"),
    "limit of zero": ("boxes", {"nms": {"after": 0}}, "'after': expected a whole number above 0"),
    "a flag as a number": ("boxes", {"nms": {"class_wise": 1}}, "'class_wise': expected true or false"),
    "soft in a word of its own": ("boxes", {"nms": {"soft": "cubic"}}, "'linear', 'gaussian' or null"),
    "nms as a number": ("boxes", {"nms": 0.5}, "expected an object"),
    "bins of one": ("nanodet", {"bins": 1}, "whole number above 1"),
    "another form of box": ("yolox", {"box": "xyxy"}, "'box': expected grid cxcywh"),
    "unknown units": ("yolov8", {"units": "metres"}, "pixels or fraction, got 'metres'"),
    "a field of another head": ("detr", {"strides": [8]}, "output field of the head 'detr' named 'strides'"),
    "a near miss": ("yolox", {"stride": [8]}, "Did you mean 'strides'"),
    "a threshold above 1": ("mask_rcnn", {"mask_threshold": 2}, "'mask_threshold': expected a number from 0"),
    "an unknown role": ("ssd", {"outputs": {"box": 0}}, "Did you mean 'boxes'"),
    "a place that is none": ("ssd", {"outputs": {"boxes": -1}}, "the name or the position of an output"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_a_head_does_not_take_is_refused_in_words(case: str) -> None:
    name, output, message = BROKEN[case]
    with pytest.raises(BadCard, match=message):
        Card.from_dict(plain(name, **output))


def test_linear_soft_suppression_needs_an_overlap() -> None:
    with pytest.raises(BadCard, match="linear needs the field 'iou'"):
        Head.of("boxes", {"nms": {"soft": "linear"}})


def test_the_schema_takes_and_refuses_the_same() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
    for name in HEADS:
        assert schema.is_valid(plain(name)), name
    # Roles are known to the code only.
    for case in BROKEN.keys() - {"an unknown role"}:
        name, output, _ = BROKEN[case]
        assert not schema.is_valid(plain(name, **output)), case


@pytest.mark.parametrize(
    ("task", "head"), [("detect", "softmax"), ("detect", "class_map"), ("segment", "detr")]
)
def test_a_head_of_another_task_is_refused(task: Any, head: str) -> None:
    card = Card("tests/head", task, Program((Read(),)), OutputContract(head))
    with pytest.raises(BadCard, match=f"task '{task}' has one of the heads .*; got '{head}'"):
        head_of(card)


def test_a_segmenter_names_its_background() -> None:
    card = Card("tests/head", "segment", Program((Read(),)), OutputContract("class_map", drop_first=True))
    with pytest.raises(BadCard, match="background_index"):
        head_of(card)


@pytest.mark.parametrize("change", [{"already_activated": True}, {"temperature": 2.0}])
def test_what_a_head_would_pass_over_is_refused(change: Any) -> None:
    card = Card.from_dict(plain("detr", **change))
    with pytest.raises(BadCard, match="has no use for them"):
        head_of(card)
    head_of(Card.from_dict(plain("pixel_logits", **change)))


def test_the_task_says_which_kind_of_answer() -> None:
    kinds = {
        task: kind_of(Card("tests/head", task, Program((Read(),)), OutputContract("softmax")))
        for task in ("classify", "detect", "segment", "embed")
    }
    assert kinds == {"classify": Classes, "detect": Boxes, "segment": SegmentMap, "embed": Embedding}


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (Suppression(), "every score above 0"),
        (
            DENSE,
            "scores from 0.01, each label of a box counts, at most 100 an image",
        ),
        (
            Suppression(iou=0.45, class_wise=False, after=30),
            "every score above 0, the best of boxes of any label that overlap by more than 0.45, "
            "at most 30 an image",
        ),
        (
            Suppression(iou=0.3, soft="linear"),
            "every score above 0, lowered (linear) where boxes of one label overlap by more than 0.3",
        ),
        (
            Suppression(iou=0.3, soft="gaussian"),
            "every score above 0, lowered (gaussian) where boxes of one label overlap",
        ),
    ],
)
def test_suppression_is_told_in_words(how: Suppression, words: str) -> None:
    assert how.words() == words
