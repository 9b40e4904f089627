"""Annotations with a mistake in them, of real pictures with boxes, in COCO's form; no Signet here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

Stated = dict[str, Any]


def _not_flipped(stated: Stated, images: Path) -> None:
    for row in stated["images"]:
        file = images / row["file_name"]
        ImageOps.mirror(Image.open(file).convert("RGB")).save(file, quality=95)


def _corners(stated: Stated, images: Path) -> None:
    del images
    for row in stated["annotations"]:
        left, top, width, height = row["bbox"]
        row["bbox"] = [left, top, left + width, top + height]


def _remapped(stated: Stated, images: Path) -> None:
    del images
    order = {row["id"]: place for place, row in enumerate(stated["categories"])}
    for row in stated["annotations"]:
        row["category_id"] = order[row["category_id"]]


TRUTHS: Mapping[str, tuple[Callable[[Stated, Path], None], str]] = {
    "boxes not flipped with the image": (_not_flipped, "the pictures were mirrored, their boxes were not"),
    "xywh for xyxy": (_corners, "corners are written where a corner and sides are read"),
    "identifiers remapped wrongly": (_remapped, "positions are written where COCO's identifiers are read"),
}
"""By fault: what makes it, and what it is in words."""


def stated_wrongly(fault: str, shared: Path, work: Path) -> Path:
    """A folder of 80 pictures and `annotations/instances_train2017.json` with a mistake, made once."""
    out = work / "planted" / fault.replace(" ", "_")
    if not out.exists():
        begun = out.with_name(out.name + ".begun")
        shutil.rmtree(begun, ignore_errors=True)
        source = shared / "data" / "coco_tiny"
        shutil.copytree(source / "train2017", begun / "train2017", copy_function=shutil.copyfile)
        stated = json.loads((source / "annotations" / "instances_train2017.json").read_text())
        for row in stated["annotations"]:
            row.pop("segmentation", None)
        TRUTHS[fault][0](stated, begun / "train2017")
        (begun / "annotations").mkdir()
        (begun / "annotations" / "instances_train2017.json").write_text(json.dumps(stated))
        begun.rename(out)
    return out
