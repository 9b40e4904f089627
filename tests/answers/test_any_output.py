"""Whatever a network gives, the answer is a valid one or an error in words; never a warning or a crash."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from signet.answers import KINDS, answer
from signet.batches import Batch, Outputs
from signet.cards import Card, OutputContract
from signet.errors import BadInput
from signet.geometry import Geometry
from signet.heads import HEADS
from signet.programs import Program
from signet.steps import Read

LETTERBOX = Geometry.of((37, 91)).resized((26, 64)).cropped(-19, 0, (64, 64))
CELLS = 64 + 16 + 4
NEEDED: dict[str, dict[str, Any]] = {
    "yolox": {"strides": [8, 16, 32], "nms": {"iou": 0.5}},
    "yolov5": {"nms": {"iou": 0.5}},
    "yolov8": {"nms": {"iou": 0.5}},
    "nanodet": {"strides": [8, 16, 32], "bins": 8, "nms": {"iou": 0.5}},
}


class Wild:
    """Arrays of what a broken network may give: huge values, NaN, infinities."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def values(self, *shape: int) -> np.ndarray:
        made = self.random.normal(0, 1, shape)
        match self.random.integers(0, 5):
            case 0:
                made *= 1e38
            case 1:
                made[self.random.random(shape) < 0.1] = np.nan
            case 2:
                made[self.random.random(shape) < 0.1] = np.inf
                made[self.random.random(shape) < 0.1] = -np.inf
            case 3:
                made = self.random.uniform(0, 1, shape)
        with np.errstate(over="ignore"):
            return made.astype("f4")

    def classes(self, *shape: int) -> np.ndarray:
        return self.random.integers(0, 3, shape).astype("f4")

    def outputs(self, head: str, task: str) -> dict[str, np.ndarray]:
        boxes = {"boxes": self.values(1, 9, 4), "scores": self.values(1, 9), "classes": self.classes(1, 9)}
        match head:
            case "yolox" | "yolov5":
                return {"p": self.values(1, CELLS, 8)}
            case "yolov8" if task == "instances":
                return {"p": self.values(1, 12, CELLS), "q": self.values(1, 5, 16, 16)}
            case "yolov8":
                return {"p": self.values(1, 7, CELLS)}
            case "yolov10":
                return {"p": np.concatenate([self.values(1, 9, 5), self.classes(1, 9, 1)], 2)}
            case "nanodet":
                return {"p": self.values(1, CELLS, 3 + 32)}
            case "ssd":
                return {
                    "b": boxes["boxes"],
                    "c": boxes["classes"],
                    "s": boxes["scores"],
                    "n": np.array([9.0]),
                }
            case "detr" | "rtdetr":
                logits = self.values(1, 9, 4 if head == "detr" else 3)
                return {"logits": logits, "boxes": boxes["boxes"]}
            case "boxes":
                return boxes
            case "mask_rcnn":
                return {**boxes, "masks": self.values(1, 9, 7, 7)}
            case "mask2former":
                return {"logits": self.values(1, 9, 4), "masks": self.values(1, 9, 16, 16)}
            case "class_map":
                wild = int(self.random.integers(0, 2))
                return {"m": self.random.integers(-wild, 3 + wild, (1, 8, 8))}
            case _:
                return {"m": self.values(1, 3, 16, 16)}


@pytest.mark.parametrize(
    ("head", "task"), [(name, task) for name, row in HEADS.items() for task in row.tasks]
)
def test_every_head_answers_or_says_why_not(head: str, task: Any) -> None:
    answered = 0
    refused: list[str] = []
    for seed in range(40):
        extra = dict(NEEDED.get(head, {}))
        if "activation" in HEADS[head].fields and seed % 2:
            extra["activation"] = "sigmoid"
        if "nms" in HEADS[head].fields and seed % 3 == 0:
            extra["nms"] = {"iou": 0.5, "soft": ("linear", "gaussian")[seed % 2], "score_floor": 0.01}
        card = Card("tests/wild", task, Program((Read(),)), OutputContract(head, classes=3, extra=extra))
        batch = Batch(np.zeros((1, 1)), (LETTERBOX,), ("wild",))
        try:
            (found,) = answer(Outputs(Wild(seed).outputs(head, task)), card, batch)
        except BadInput as error:
            refused.append(str(error))
        else:
            answered += 1
            assert type(found) is KINDS[task]
    assert answered >= 10
    assert all("the network's output" in message for message in refused)


@pytest.mark.parametrize(
    ("head", "task"),
    [(name, task) for name, row in HEADS.items() for task in row.tasks if task in ("detect", "instances")],
)
def test_a_least_score_leaves_the_answers_above_it_as_they_are(head: str, task: Any) -> None:
    compared = 0
    for seed in range(40):
        extra = dict(NEEDED.get(head, {}))
        if "activation" in HEADS[head].fields:
            extra["activation"] = "sigmoid"
        if "nms" in HEADS[head].fields:
            soft = (None, "linear", "gaussian")[seed % 3]
            extra["nms"] = {"iou": 0.3, "soft": soft, "multi_label": bool(seed % 2), "after": 6, "before": 50}
        card = Card("tests/wild", task, Program((Read(),)), OutputContract(head, classes=3, extra=extra))
        batch = Batch(np.zeros((1, 1)), (LETTERBOX,), ("wild",))
        wild = Wild(seed)
        arrays = wild.outputs(head, task)
        if head in ("boxes", "mask_rcnn"):
            corners = np.sort(wild.random.uniform(0, 64, (1, 9, 2, 2)), axis=2)
            arrays["boxes"] = corners.reshape(1, 9, 4).astype("f4")
        outputs = Outputs(arrays)
        try:
            (whole,) = answer(outputs, card, batch)
        except BadInput:
            continue
        (part,) = answer(outputs, card, batch, min_score=0.5)
        wanted, found = (_above(each, 0.5) for each in (whole, part))
        assert found.to_dict()["boxes"] == wanted.to_dict()["boxes"]
        assert len(part.to_dict()["boxes"]) <= len(whole.to_dict()["boxes"])
        compared += len(wanted.to_dict()["boxes"])
    assert compared


def _above(found: Any, least: float) -> Any:
    boxes = getattr(found, "boxes", found)
    return found[boxes.chosen(min_score=least)]
