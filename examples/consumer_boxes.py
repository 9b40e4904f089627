"""A reader of sealed detectors that knows no Signet: numpy, Pillow and ONNX Runtime only.

    python examples/consumer_boxes.py helmets.signet street.jpg

What every seal has in common is in `consumer.py` beside it; here is how boxes are read from a network's
outputs, and which of them are answers: the heads yolov5, yolov8, yolov10, yolox and boxes, with hard
suppression. It says so of any other head, of soft suppression, and of masks. Layouts and fields are those of
docs/graph-cards.md and docs/decisions/0023-three-more-tasks.md.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import consumer
from consumer import Array

HEADS = ("yolov5", "yolov8", "yolov10", "yolox", "boxes")
DENSE = {"score_floor": 0.01, "before": 1000, "after": 100, "multi_label": True}
LISTED = {"iou": None, "score_floor": 0.0, "before": None, "after": None, "multi_label": False}
DOOR = 0.25
"""Boxes from this score on are decisions."""
FIELDS = {"iou", "class_wise", "score_floor", "before", "after", "multi_label", "note", "soft", "sigma"}


def best(scores: Array, most: int | None) -> Array:
    """Places of the highest scores, best first; of equal ones the first comes first."""
    return np.argsort(-scores, kind="stable")[:most]


def overlaps(box: Array, others: Array) -> Array:
    """Intersection over union of a box (4,) with others (K, 4); 0 where neither has an area."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    both = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1) + np.prod(box[2:] - box[:2]) - both
    shares: Array = np.divide(both, areas, out=np.zeros_like(both), where=areas > 0)
    return shares


def kept(boxes: Array, classes: Array, nms: dict[str, Any]) -> list[int]:
    """Places of the boxes that no better one of their class overlaps too much; the boxes are best first."""
    if nms["iou"] is None:
        return list(range(len(boxes)))[: nms["after"]]
    stay: list[int] = []
    alive = np.ones(len(boxes), np.bool_)
    for place in range(len(boxes)):
        if alive[place] and (nms["after"] is None or len(stay) < nms["after"]):
            stay.append(place)
            same = classes == classes[place] if nms["class_wise"] else True
            alive &= ~(same & (overlaps(boxes[place], boxes) > np.float64(nms["iou"])))
    return stay


def grid(size: tuple[int, int], strides: list[int]) -> tuple[Array, Array]:
    """Each cell's x and y, in cells, and its stride: level after level, row after row."""
    cells, steps = [], []
    for stride in strides:
        high, wide = -(-size[0] // stride), -(-size[1] // stride)
        y, x = np.divmod(np.arange(high * wide), wide)
        cells.append(np.stack([x, y], axis=1))
        steps.append(np.full((high * wide, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(steps).astype(np.float32)


def from_centres(values: Array) -> Array:
    """Centres and sides (K, 4) as left, top, right, bottom."""
    half = values[:, 2:4] / 2
    return np.concatenate([values[:, :2] - half, values[:, :2] + half], axis=1)


class Detector:
    """A sealed detector on ONNX Runtime."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = consumer.open_seal(folder)
        self.card = self.manifest["card"]
        self.output = self.card["output"]
        head, task = self.output["head"], self.card["task"]
        if task != "detect" or head not in HEADS:
            raise ValueError(
                f"all files are as they were sealed. This reader decodes the heads {', '.join(HEADS)} of "
                f"detectors, not {head!r} (task {task!r}): docs/seal-format.md, section 6.1, says how."
            )
        stated = self.output.get("nms") or {}
        if stated.keys() - FIELDS or stated.get("soft"):
            raise ValueError(f"this reader suppresses boxes by their overlap alone, not by {stated}")
        dense = head in ("yolov5", "yolov8", "yolox")
        self.nms = {"class_wise": True, **(DENSE if dense else LISTED), **stated}
        self.session = consumer.session_of(folder, self.manifest)

    def outputs(self, array: Array) -> dict[str, Array]:
        """What the head reads, by role, for one image."""
        names = [entry.name for entry in self.session.get_outputs()]
        places: dict[str, Any] = {"predictions": self.output.get("tensor", 0)}
        if self.output["head"] == "boxes":
            places = {role: role for role in ("boxes", "scores", "classes")}
        places |= self.output.get("outputs") or {}
        wanted = [place if isinstance(place, str) else names[place] for place in places.values()]
        found = self.session.run(wanted, {self.session.get_inputs()[0].name: array})
        return {role: values[0] for role, values in zip(places, found, strict=True)}

    def proposed(self, raw: dict[str, Array], size: tuple[int, int]) -> tuple[Array, Array, Array]:
        """Boxes in the prepared image, scores and classes: all that reach the score floor, best first."""
        head, floor = self.output["head"], self.nms["score_floor"]
        scale = np.array([size[1], size[0]] * 2 if self.output.get("units") == "fraction" else [1] * 4)
        if head in ("boxes", "yolov10"):
            table = raw.get("predictions")
            boxes = raw["boxes"] if table is None else table[:, :4]
            scores = raw["scores"] if table is None else table[:, 4]
            classes = np.rint(raw["classes"] if table is None else table[:, 5]).astype(np.int64)
            rows = np.arange(len(scores))
        else:
            table = raw["predictions"].T if head == "yolov8" else raw["predictions"]
            boxes, shares = table[:, :4], table[:, 4:]
            if self.output.get("activation") == "sigmoid":
                shares = 0.5 + 0.5 * np.tanh(shares / 2)
            if head != "yolov8":
                shares = shares[:, 1:] * shares[:, :1]
            if head == "yolox":
                cells, steps = grid(size, self.output["strides"])
                boxes = np.concatenate([(boxes[:, :2] + cells) * steps, np.exp(boxes[:, 2:]) * steps], axis=1)
            boxes = from_centres(boxes)
            rows, classes = np.nonzero(shares >= floor)
            if not self.nms["multi_label"]:
                rows, classes = np.arange(len(shares)), shares.argmax(axis=1)
            scores = shares[rows, classes]
        boxes = (boxes[rows] * scale).astype(np.float32)
        good = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] >= boxes[:, :2]).all(axis=1)
        good &= (scores >= floor) & (scores > 0)
        order = np.flatnonzero(good)[best(scores[good], self.nms["before"])]
        return boxes[order], scores[order], classes[order]

    def answer(self, path: Path) -> list[dict[str, Any]]:
        """The boxes of one image, best first, in pixels of the upright original."""
        array, size, way = consumer.traced(path, self.card["program"])
        shape = array.shape[1:3] if array.shape[-1] == 3 else array.shape[2:]
        boxes, scores, classes = self.proposed(self.outputs(array), (shape[0], shape[1]))
        if self.output.get("drop_first"):
            named = classes > 0
            boxes, scores, classes = boxes[named], scores[named], classes[named] - 1
        labels, found = self.card["labels"], []
        for place in kept(boxes, classes, self.nms):
            points = (boxes[place].astype(np.float64).reshape(2, 2) - way[1, ::-1]) / way[0, ::-1]
            xyxy = np.clip(points, 0, size[::-1]).round(3).reshape(-1)
            if (xyxy[2:] > xyxy[:2]).all():
                index = int(classes[place])
                score = round(min(float(scores[place]), 1.0), 6)
                label = labels[index] if labels else f"class {index}"
                found.append({"xyxy": xyxy.tolist(), "score": score, "index": index, "label": label})
        return found

    def verify(self) -> int:
        """How many golden images there are; every one must be decided as it was when sealed."""
        golden = self.manifest["golden"]
        expected, facts = consumer.read_safetensors(self.folder / golden["expected"])
        names = "".join(f"{label}\n" for label in self.card["labels"] or ())
        if hashlib.sha256(names.encode()).hexdigest() != facts["labels_sha256"]:
            raise ValueError("the list of labels is not the one that was sealed")
        for place, entry in enumerate(golden["images"]):
            found = self.answer(self.folder / entry["file"])
            parts = [expected[f"{place}/answer{part}"] for part in ("", ".scores", ".indices")]
            fault = differing(found, [*zip(*(part.tolist() for part in parts), strict=True)])
            if fault:
                raise ValueError(f"{entry['file']}: {fault}")
        return len(golden["images"])


def differing(found: list[dict[str, Any]], sealed: list[tuple[list[float], float, int]]) -> str:
    """The first box that only one of two answers has, in words; "" where each has its partner.

    Boxes are one of the same class whose corners are within 0.1 pixels or overlap by 0.99, and whose scores
    are within 0.02. A box whose score is that close to the least one that counts may be missing.
    """
    left = [(np.array(row["xyxy"]), row["score"], row["index"]) for row in found]
    for corners, score, index in sealed:
        box = np.array(corners)
        fits = [
            place
            for place, (other, theirs, kind) in enumerate(left)
            if (kind == index and abs(theirs - score) <= 0.02)
            and (np.abs(other - box).max() <= 0.1 or overlaps(box, other[None])[0] >= 0.99)
        ]
        if fits:
            left.pop(fits[0])
        elif score >= DOOR + 0.02:
            return f"no box of class {index} with the score {score:.3f} at {corners}"
    more = [row for row in left if row[1] >= DOOR + 0.02]
    return f"a box of class {more[0][2]} that was not sealed at {more[0][0].tolist()}" if more else ""


def main(arguments: list[str]) -> int:
    """Verify a seal, then answer for images, one JSON line each."""
    if not arguments:
        print("usage: python consumer_boxes.py NAME.signet [IMAGE...]", file=sys.stderr)
        return 2
    try:
        model = Detector(Path(arguments[0]))
        print(f"{model.verify()} golden images decided as sealed", file=sys.stderr)
        for path in arguments[1:]:
            boxes = [box for box in model.answer(Path(path)) if box["score"] >= DOOR]
            print(json.dumps({"source": path, "kind": "boxes", "boxes": boxes}, ensure_ascii=False))
    except (ValueError, KeyError, TypeError, OSError, RuntimeError) as error:
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
