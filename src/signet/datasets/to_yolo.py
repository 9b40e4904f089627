"""A dataset of objects as YOLO's text files. Areas and crowd have no place there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from signet.boxes import Doubles
from signet.datasets.annotations import Shape
from signet.datasets.dataset import Dataset
from signet.datasets.writing import (
    Copy,
    Written,
    by_split,
    check_splits,
    check_task,
    copies_of,
    copy_image,
)
from signet.errors import BadRequest
from signet.masks import Mask
from signet.naming import shown
from signet.storage import new_folder, write_bytes


def to_yolo(dataset: Dataset[Any], folder: str | Path, *, overwrite: bool = False) -> Written:
    """Write `FOLDER/images/SPLIT`, `FOLDER/labels/SPLIT` and `FOLDER/data.yaml`.

    Boxes are written as centre and sides, objects with masks as their outline, both in fractions with all
    digits. Crowd objects are left out, since a line of YOLO always stands for one object; areas are lost. The
    folder appears whole or not at all.

    Raises:
        WrongTask: the dataset has neither boxes nor objects with masks.
        BadRequest: splits other than train, val and test; or an object whose mask is not one outline:
            `dataset.as_task("detect")` has the boxes, and `to_coco` keeps all masks.
        AlreadyExists: the folder is there and `overwrite` was not given.
        BadInput: an image cannot be read.
    """
    import yaml

    check_task(dataset, ("detect", "instances"), "YOLO's files")
    check_splits(dataset, "YOLO's files")
    copies = copies_of(dataset)
    settings: dict[str, Any] = {}
    crowd = written = 0
    with new_folder(folder, overwrite=overwrite) as temporary:
        for split, part in by_split(copies):
            inner = split or ""
            if split is not None:
                settings[split] = f"images/{split}"
            for copy in part:
                lines = _lines(copy, masks=dataset.task == "instances")
                written += len(lines)
                crowd += int(copy.objects.crowd.sum())
                copy_image(copy, temporary / "images" / inner)
                text = "".join(f"{line}\n" for line in lines)
                write_bytes(temporary / "labels" / inner / f"{copy.stem}.txt", text.encode("ascii"))
        settings["names"] = dict(enumerate(dataset.labels))
        text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
        write_bytes(temporary / "data.yaml", text.encode())
    notes = (f"{crowd:,} crowd objects were left out: YOLO's files cannot say crowd.",) if crowd else ()
    return Written(Path(folder), len(copies), written, notes)


def _lines(copy: Copy, *, masks: bool) -> list[str]:
    """One line for each object that is no crowd."""
    objects = copy.objects
    scale = np.array(objects.size[::-1], np.float64)
    lines = []
    for place in np.flatnonzero(~objects.crowd).tolist():
        if masks:
            ring = _outline(None if objects.shapes is None else objects.shapes[place], copy)
            numbers = np.clip(ring / scale, 0, 1).reshape(-1)
        else:
            low, high = objects.xyxy[place, :2] / scale, objects.xyxy[place, 2:] / scale
            numbers = np.concatenate([(low + high) / 2, high - low])
        lines.append(" ".join([str(int(objects.indices[place])), *map(repr, numbers.tolist())]))
    return lines


def _outline(shape: Shape | None, copy: Copy) -> Doubles:
    if shape is None or isinstance(shape, Mask) or len(shape) != 1:
        came = "run lengths" if isinstance(shape, Mask) else f"{len(shape or ())} outlines"
        raise BadRequest(
            f"{shown(copy.entry.path)}: expected one outline for each object to write YOLO's files, got "
            f'{came}. Write dataset.as_task("detect") for boxes, or COCO\'s JSON, which holds every mask.'
        )
    return shape[0]
