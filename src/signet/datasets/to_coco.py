"""A dataset of objects as COCO's JSON. Nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from signet.datasets.annotations import Shape
from signet.datasets.dataset import Dataset
from signet.datasets.writing import Copy, Written, by_split, check_task, copies_of, copy_image
from signet.masks import Mask
from signet.storage import new_folder, write_json


def to_coco(dataset: Dataset[Any], folder: str | Path, *, overwrite: bool = False) -> Written:
    """Write `FOLDER/images` and one `FOLDER/annotations/instances_SPLIT.json` for each split.

    Boxes, labels, areas, crowd, outlines, run lengths and splits are all kept; `from_coco` reads them back.
    The folder appears whole or not at all.

    Raises:
        WrongTask: the dataset has neither boxes nor objects with masks.
        AlreadyExists: the folder is there and `overwrite` was not given.
        BadInput: an image cannot be read.
    """
    check_task(dataset, ("detect", "instances"), "COCO's JSON")
    copies = copies_of(dataset)
    with new_folder(folder, overwrite=overwrite) as temporary:
        for split, part in by_split(copies):
            document = coco_document(part, dataset.labels, masks=dataset.task == "instances")
            name = "instances.json" if split is None else f"instances_{_plain(split)}.json"
            write_json(temporary / "annotations" / name, document)
            for copy in part:
                copy_image(copy, temporary / "images")
    return Written(Path(folder), len(copies), sum(len(copy.objects) for copy in copies))


def coco_document(copies: Sequence[Copy], labels: Sequence[str], *, masks: bool) -> dict[str, Any]:
    """The object of a COCO file: identifiers count from 1, and a category's is its label's index + 1.

    Args:
        copies: the rows and the names of their images.
        labels: all label names.
        masks: whether the objects' shapes are written.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, copy in enumerate(copies, 1):
        objects = copy.objects
        height, width = objects.size
        image: dict[str, Any] = {"id": number, "file_name": copy.name, "height": height, "width": width}
        if copy.entry.split is not None:
            image["split"] = copy.entry.split
        images.append(image)
        rows = zip(
            objects.xyxy.tolist(),
            objects.indices.tolist(),
            objects.crowd.tolist(),
            objects.areas.tolist(),
            objects.shapes or [None] * len(objects),
            strict=True,
        )
        for (left, top, right, bottom), index, crowd, area, shape in rows:
            annotation = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": index + 1,
                "bbox": [left, top, right - left, bottom - top],
                "area": area,
                "iscrowd": int(crowd),
            }
            if masks and shape is not None:
                annotation["segmentation"] = segmentation_of(shape)
            annotations.append(annotation)
    categories = [{"id": index + 1, "name": name} for index, name in enumerate(labels)]
    return {"images": images, "annotations": annotations, "categories": categories}


def segmentation_of(shape: Shape) -> dict[str, Any] | list[list[float]]:
    """A shape as COCO states it: run lengths as text, or outlines with x and y in turn."""
    if isinstance(shape, Mask):
        return shape.to_coco()
    return [ring.reshape(-1).tolist() for ring in shape]


def _plain(split: str) -> str:
    """A split's name as a part of a file's name; the name itself is stated with every image."""
    return "".join(letter if letter.isalnum() else "_" for letter in split)
