"""A consumer of a sealed detector that knows no Signet, and the mistakes that only detectors have.

The detector is YOLOX-nano: a letterbox from the top left corner with grey 114, BGR from 0 to 255, boxes on
three grids, hard suppression class by class.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faults import pipelines
from faults.pipelines import Array, Network

SIDE, GREY = 416, 114
STRIDES = (8, 16, 32)
FLOOR, BEFORE, AFTER = 0.01, 1000, 100


@dataclass(frozen=True)
class Boxer:
    """A program from a picture file to boxes.

    Attributes:
        network: float32 (1, 3, 416, 416) to float32 (1, 3549, 85).
        labels: names, in the order of the classes.
        rounding: of the sides within the letterbox.
        place: of the picture within it: its (left, top), by the room that is left over.
        overlap: from which on the lower of two boxes of a class goes.
        told: boxes to the four numbers that are written down.
        mirrored: the picture is shown as in a mirror, and the boxes stay where they are.
    """

    network: Network
    labels: Sequence[str]
    rounding: Callable[[float], int] = int
    place: Callable[[int, int], tuple[int, int]] = lambda right, below: (0, 0)  # noqa: ARG005
    overlap: float = 0.6
    told: Callable[[Array], Array] = lambda boxes: boxes
    mirrored: bool = False

    def __call__(self, path: Path) -> tuple[Mapping[str, Any], Mapping[str, Array]]:
        """The line of `signet predict` for an image, and what the first stages gave."""
        stored = pipelines.read(path)
        pixels = pipelines.orient(path, stored)
        shown = pixels[:, ::-1] if self.mirrored else pixels
        height, width = shown.shape[:2]
        scale = SIDE / max(height, width)
        high, wide = (max(1, self.rounding(length * scale + 1e-9)) for length in (height, width))
        at = self.place(SIDE - wide, SIDE - high)
        boxed = np.full((SIDE, SIDE, 3), GREY, np.uint8)
        resized = Image.fromarray(shown).resize((wide, high), Image.Resampling.BILINEAR)
        boxed[at[1] : at[1] + high, at[0] : at[0] + wide] = np.asarray(resized)
        given = boxed[:, :, ::-1].astype(np.float32).transpose(2, 0, 1)
        boxes, scores, classes = _best(self.network(np.ascontiguousarray(given)[None])[0], self.overlap)
        whole = np.clip((boxes - np.float32(at * 2)) / np.float32(scale), 0, np.float32((width, height) * 2))
        rows = [
            {"xyxy": box, "score": score, "index": index, "label": self.labels[index]}
            for box, score, index in zip(
                self.told(whole).tolist(), scores.tolist(), classes.tolist(), strict=True
            )
        ]
        return json.loads(json.dumps({"boxes": rows})), {"read": stored, "orient": shown, "resize": boxed}


def _best(raw: Array, overlap: float) -> tuple[Array, Array, Array]:
    """Boxes (K, 4) in the letterbox, scores and classes, best first."""
    cells, steps = [], []
    for stride in STRIDES:
        y, x = np.divmod(np.arange((SIDE // stride) ** 2), SIDE // stride)
        cells.append(np.stack([x, y], axis=1))
        steps.append(np.full((len(x), 1), stride))
    step = np.concatenate(steps)
    middle = (raw[:, :2] + np.concatenate(cells)) * step
    half = np.exp(raw[:, 2:4]) * step / 2
    boxes = np.concatenate([middle - half, middle + half], axis=1).astype(np.float32)
    shares = raw[:, 5:] * raw[:, 4:5]
    rows, classes = np.nonzero(shares >= FLOOR)
    scores = shares[rows, classes]
    order = np.argsort(-scores, kind="stable")[:BEFORE]
    boxes, scores, classes = boxes[rows[order]], scores[order], classes[order]
    stay, alive = [], np.ones(len(boxes), bool)
    for place, box in enumerate(boxes):
        if alive[place] and len(stay) < AFTER:
            stay.append(place)
            alive &= ~((classes == classes[place]) & (_overlaps(box, boxes) > overlap))
    return boxes[stay], scores[stay], classes[stay]


def _overlaps(box: Array, others: Array) -> Array:
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    both = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1) + np.prod(box[2:] - box[:2]) - both
    return np.asarray(both / areas)


def _as_sides(boxes: Array) -> Array:
    """Left, top, width, height, where corners are expected."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
"""Of COCO's 90 identifiers these name no class."""


def _by_identifier(labels: Sequence[str]) -> Sequence[str]:
    """The names by COCO's identifier less one, asked for by position: from the first gap on they are off."""
    names = iter(labels)
    return ["" if number in _GAPS else next(names) for number in range(1, 91)]


@dataclass(frozen=True)
class OfDetectors:
    """A mistake in a consumer of a detector: its name, what it does, where it must show, how it is made."""

    name: str
    does: str
    stage: str
    inject: Callable[[Boxer], Boxer]


def _with(**changes: Any) -> Callable[[Boxer], Boxer]:
    return lambda boxer: dataclasses.replace(boxer, **changes)


FAULTS = (
    OfDetectors("letterbox rounded", "sides rounded to the nearest, where the program rounds down", "resize",
                _with(rounding=round)),
    OfDetectors("letterbox centred", "grey on both sides, where the program has it below", "resize",
                _with(place=lambda right, below: (right // 2, below // 2))),
    OfDetectors("another NMS threshold", "0.45 for 0.6", "answer", _with(overlap=0.45)),
    OfDetectors("boxes not flipped back", "a mirrored view is answered, its boxes stay", "orient",
                _with(mirrored=True)),
    OfDetectors("answers as xywh", "sides are written where corners are read", "answer",
                _with(told=_as_sides)),
    OfDetectors("labels by identifier", "COCO's 90 identifiers for 80 positions", "decision",
                lambda boxer: dataclasses.replace(boxer, labels=_by_identifier(boxer.labels))),
)  # fmt: skip
