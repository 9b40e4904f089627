"""A model that runs the tiny network and says what it was told to, and datasets whose truth is at hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from signet.boxes import Boxes
from signet.cards import OutputContract
from signet.datasets import Dataset, Entry
from signet.instances import Instances
from signet.masks import Mask
from signet.models import Model
from signet.segments import SegmentMap

NAMES = ("ant", "bee", "cat")
HEADS = {"detect": "boxes", "instances": "mask_rcnn", "segment": "class_map"}
SIZE = (40, 60)


class Told(Model):
    """Answers by the name of the file."""

    def __init__(self, model, task, answers, labels=NAMES):
        card = dataclasses.replace(
            model.card, task=task, labels=labels, output=OutputContract(head=HEADS[task])
        )
        super().__init__(dataclasses.replace(model.pretrained, card=card), model.running)
        self.answers = answers

    def answer(self, outputs, batch, *, min_score=0.0):
        return [self.answers[Path(source).stem] for source in batch.sources]


def pictures(folder, count, size=SIZE):
    """PNG files of noise, named 0, 1, 2 ..."""
    paths = []
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
        paths.append(folder / f"{number}.png")
        PillowImage.fromarray(pixels).save(paths[-1])
    return paths


def dataset(paths, truths, task, labels=NAMES, splits=None, form="coco"):
    """Truths that are values; None for what nobody said."""
    splits = splits or [None] * len(paths)
    by_name = dict(zip(map(str, paths), truths, strict=True))
    return Dataset(
        entries=tuple(Entry(path, split=split) for path, split in zip(paths, splits, strict=True)),
        labels=tuple(labels),
        source=str(paths[0].parent),
        format=form,
        root=paths[0].parent,
        truth_of=lambda entry, *_: by_name[str(entry.path)],
        task=task,
        exclusive=False,
    )


def boxes(rows, labels=NAMES, size=SIZE, **more):
    """From (xyxy, index, score)."""
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return Boxes(
        np.asarray(columns[0], float).reshape(-1, 4),
        np.asarray(columns[2], float),
        np.asarray(columns[1], np.int64),
        tuple(labels[one] for one in columns[1]),
        size,
        **more,
    )


def instances(rows, **more):
    """With the whole box as its mask."""
    made = boxes(rows, **more)
    masks = []
    for left, top, right, bottom in made.xyxy.astype(int).tolist():
        inside = np.zeros(made.size, np.bool_)
        inside[top:bottom, left:right] = True
        masks.append(Mask.of(inside))
    return Instances(made, tuple(masks))


def segments(indices, labels=NAMES, **more):
    return SegmentMap(np.asarray(indices, np.int32), labels, **more)
