"""Random objects, and what the two COCO libraries say of them."""

from __future__ import annotations

import contextlib
import io

import numpy as np

from signet.boxes import Boxes
from signet.instances import Instances
from signet.masks import Mask

NAMES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
NAMES += ("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large")
"""In the order of pycocotools' `stats`."""


def labels(classes):
    return tuple(f"label {place}" for place in range(classes))


def boxes(generator, count, size, *, grid):
    """Boxes within an image; on a coarse grid, so that overlaps and ties repeat."""
    height, width = size
    corners = generator.integers(0, (width // grid, height // grid), (count, 2)) * grid
    sides = generator.integers(1, 9, (count, 2)) * grid
    ends = np.minimum(corners + sides, (width, height))
    return np.concatenate([corners, ends], axis=1).astype(np.float64)


def pairs(seed, *, images=6, classes=3, size=(120, 160), most=8, answers=12, grid=8, levels=None):
    """For each image an answer and a truth as instances: some empty, some crowds, areas stated, scores tied.

    Args:
        seed: of the generator.
        images: how many.
        classes: labels; the last has no truth.
        size: of the images.
        most: truths of an image.
        answers: of an image.
        grid: pixels between corners.
        levels: different scores; None for scores of their own.
    """
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(images):
        count = int(generator.integers(0, most + 1))
        xyxy = boxes(generator, count, size, grid=grid)
        crowd = generator.random(count) < 0.15
        masks = tuple(_mask(generator, box, size) for box in xyxy)
        areas = np.array([mask.area for mask in masks], np.float64) + generator.integers(0, 3, count)
        truth = Boxes.truth(
            xyxy, generator.integers(0, classes - 1, count), labels(classes), size, crowd=crowd, areas=areas
        )
        given = int(generator.integers(0, answers + 1))
        near = np.concatenate([xyxy, boxes(generator, given, size, grid=grid)])[:given]
        near[:, 2:] = np.minimum(near[:, 2:] + generator.integers(0, 2, (given, 1)) * grid, size[::-1])
        scores = (
            generator.random(given) if levels is None else generator.integers(1, levels + 1, given) / levels
        )
        where = generator.integers(0, classes, given)
        where[: min(given, count)] = np.where(
            generator.random(min(given, count)) < 0.8, truth.indices[:given], where[: min(given, count)]
        )
        answer = Boxes(near, scores, where, tuple(labels(classes)[one] for one in where), size)
        found = tuple(_mask(generator, box, size) for box in near)
        made.append((Instances(answer, found), Instances(truth, masks)))
    return made


def _mask(generator, box, size):
    inside = np.zeros(size, np.bool_)
    left, top, right, bottom = (int(side) for side in box)
    patch = inside[top:bottom, left:right]
    patch[...] = True
    patch[: int(generator.integers(0, 3)), : int(generator.integers(0, 5))] = False
    return Mask.of(inside)


def _plain(made):
    """COCO's two lists, image identities from 1."""
    truths, answers = [], []
    for image, (answer, truth) in enumerate(made, start=1):
        for row in range(len(truth)):
            left, top, right, bottom = truth.boxes.xyxy[row].tolist()
            truths.append({
                "id": len(truths) + 1, "image_id": image, "category_id": int(truth.boxes.indices[row]) + 1,
                "bbox": [left, top, right - left, bottom - top], "area": float(truth.boxes.areas[row]),
                "iscrowd": int(truth.boxes.crowd[row]), "segmentation": truth.masks[row].to_coco(),
            })  # fmt: skip
        for row in range(len(answer)):
            left, top, right, bottom = answer.boxes.xyxy[row].tolist()
            answers.append({
                "image_id": image, "category_id": int(answer.boxes.indices[row]) + 1,
                "bbox": [left, top, right - left, bottom - top], "score": float(answer.boxes.scores[row]),
                "segmentation": answer.masks[row].to_coco(),
            })  # fmt: skip
    return truths, answers


def by_library(made, classes, kind="bbox", library="pycocotools"):
    """Its evaluation of them: `stats`, and `eval["precision"]` (T, R, K, A, M). None without answers.

    Only one of box and mask is handed over, since with both the area of an answer is always its box's.
    """
    if library == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval as Evaluation
    else:
        from faster_coco_eval import COCO
        from faster_coco_eval import COCOeval_faster as Evaluation
    truths, answers = _plain(made)
    if not answers:
        return None
    answers = [
        {key: value for key, value in row.items() if key != ("bbox" if kind == "segm" else "segmentation")}
        for row in answers
    ]
    height, width = made[0][1].boxes.size
    with contextlib.redirect_stdout(io.StringIO()):
        index = COCO()
        index.dataset = {
            "info": {},
            "images": [{"id": image, "height": height, "width": width} for image in range(1, len(made) + 1)],
            "annotations": truths,
            "categories": [{"id": place + 1, "name": name} for place, name in enumerate(labels(classes))],
        }
        index.createIndex()
        evaluation = Evaluation(index, index.loadRes(answers), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation
