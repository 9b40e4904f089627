"""Networks that list their boxes by score: an engine may swap two that are nearly equal."""

from __future__ import annotations

import numpy as np
import pytest

from signet.cards import Card
from signet.evidence_objects import Seen, answered, tensors_of
from signet.geometry import Geometry
from signet.replaying import Allowance, Findings
from signet.replaying_objects import compare_seen

SIZE = (80, 120)
ALLOWED = Allowance(levels=0, value=0.0, note="", loose=False, network=1e-3, layers=1e-3)
COUNT = 12


def _card(task, head):
    return Card.from_dict(
        {
            "format": {"major": 1, "minor": 0},
            "name": f"tests/{head}",
            "task": task,
            "labels": ["a", "b", "c"],
            "program": [{"step": "read"}, {"step": "layout"}],
            "output": {"head": head, "classes": 3},
        }
    )


def _seen(**arrays):
    return Seen({role: array.astype(np.float32) for role, array in arrays.items()}, Geometry.of(SIZE))


def _listed(head):
    """Boxes that do not overlap, best first; the third and the fourth have almost one score."""
    random = np.random.default_rng(5)
    left = np.arange(COUNT) * 10.0
    boxes = np.stack([left, random.uniform(0, 30, COUNT), left + 8, random.uniform(40, 80, COUNT)], axis=1)
    scores = np.linspace(0.95, 0.1, COUNT)
    scores[3] = scores[2] - 1e-6
    classes = np.arange(COUNT) % 3
    if head == "yolov10":
        return {"predictions": np.concatenate([boxes, scores[:, None], classes[:, None]], axis=1)}
    if head == "ssd":
        fractions = boxes[:, [1, 0, 3, 2]] / [80, 120, 80, 120]
        return {"boxes": fractions, "classes": classes, "scores": scores, "count": np.array([COUNT])}
    masks = {"masks": random.uniform(0, 1, (COUNT, 7, 7))} if head == "mask_rcnn" else {}
    if head == "rtdetr":
        centres = np.stack([left + 4, np.full(COUNT, 30), np.full(COUNT, 8), np.full(COUNT, 20)], axis=1)
        logits = np.where(np.eye(3)[classes] == 1, np.log(scores / (1 - scores))[:, None], -7.0)
        return {"logits": logits, "boxes": centres / [120, 80, 120, 80]}
    return {"boxes": boxes, "scores": scores, "classes": classes, **masks}


HEADS = [
    ("detect", "yolov10"),
    ("detect", "ssd"),
    ("detect", "boxes"),
    ("detect", "rtdetr"),
    ("instances", "mask_rcnn"),
]


@pytest.mark.parametrize(("task", "head"), HEADS)
def test_two_that_change_places_are_no_difference(task, head):
    card, arrays = _card(task, head), _listed(head)
    sealed = tensors_of(_seen(**arrays), card)
    order = [0, 1, 3, 2, *range(4, COUNT)]
    swapped = {role: array if role == "count" else array[order] for role, array in arrays.items()}
    findings = Findings()
    assert compare_seen(findings, sealed, _seen(**swapped), card, ALLOWED)
    assert findings.diverged is None, findings.checks


@pytest.mark.parametrize(("task", "head"), HEADS)
def test_a_box_elsewhere_is_a_difference(task, head):
    card, arrays = _card(task, head), _listed(head)
    sealed = tensors_of(_seen(**arrays), card)
    role = "predictions" if head == "yolov10" else "boxes"
    moved = {**arrays, role: arrays[role].copy()}
    moved[role][1] = arrays[role][1] * 0.8
    findings = Findings()
    assert not compare_seen(findings, sealed, _seen(**moved), card, ALLOWED)
    assert findings.diverged == "network"


def test_the_last_box_of_a_full_list_may_be_another():
    card, arrays = _card("detect", "boxes"), _listed("boxes")
    sealed = tensors_of(_seen(**arrays), card)
    other = {role: array.copy() for role, array in arrays.items()}
    other["boxes"][-1] -= [60, 0, 60, 0]
    findings = Findings()
    assert compare_seen(findings, sealed, _seen(**other), card, ALLOWED)
    assert findings.diverged is None, findings.checks


def test_queries_with_a_map_each():
    random = np.random.default_rng(2)
    card = _card("instances", "mask2former")
    arrays = {"logits": random.normal(0, 3, (6, 4)), "masks": random.normal(0, 4, (6, 10, 15))}
    sealed = tensors_of(_seen(**arrays), card)
    assert sealed["head"].shape == (6, 4)
    assert len(answered(_seen(**arrays), card).answer) == len(sealed["answer"]) > 0
    findings = Findings()
    assert compare_seen(findings, sealed, _seen(**arrays), card, ALLOWED)
    assert findings.diverged is None
    other = {**arrays, "masks": -arrays["masks"]}
    assert not compare_seen(Findings(), sealed, _seen(**other), card, ALLOWED)
