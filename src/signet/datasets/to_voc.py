"""A dataset of boxes as Pascal VOC's XML files. Areas have no place there; crowd is "difficult"."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

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
from signet.naming import shown
from signet.storage import new_folder, write_bytes


def to_voc(dataset: Dataset[Any], folder: str | Path, *, overwrite: bool = False) -> Written:
    """Write `JPEGImages`, `Annotations`, `ImageSets/Main` and a `labels.txt` that keeps the labels' order.

    Corners are counted from 1, and right and bottom are the last pixel's; a corner that is no whole number is
    written with its fraction. The folder appears whole or not at all.

    Raises:
        WrongTask: the dataset has no boxes, or masks: `dataset.as_task("detect")` has the boxes of objects
            with masks.
        BadRequest: splits other than train, val and test, or a label that no line or XML can hold.
        AlreadyExists: the folder is there and `overwrite` was not given.
        BadInput: an image cannot be read.
    """
    check_task(dataset, ("detect",), "Pascal VOC's XML")
    check_splits(dataset, "Pascal VOC's XML")
    for label in dataset.labels:
        if not label.strip() or label != label.strip() or not label.isprintable():
            raise BadRequest(f"expected labels that a line of text can hold, got '{shown(label)}'.")
    copies = copies_of(dataset)
    with new_folder(folder, overwrite=overwrite) as temporary:
        for split, part in by_split(copies):
            for copy in part:
                copy_image(copy, temporary / "JPEGImages")
                file = temporary / "Annotations" / f"{copy.stem}.xml"
                write_bytes(file, _annotation(copy, dataset.labels))
            if split is not None:
                names = "".join(f"{copy.stem}\n" for copy in part)
                write_bytes(temporary / "ImageSets" / "Main" / f"{split}.txt", names.encode())
        write_bytes(temporary / "labels.txt", "".join(f"{label}\n" for label in dataset.labels).encode())
    return Written(Path(folder), len(copies), sum(len(copy.objects) for copy in copies))


def _annotation(copy: Copy, labels: tuple[str, ...]) -> bytes:
    objects = copy.objects
    root = Element("annotation")
    SubElement(root, "folder").text = "JPEGImages"
    SubElement(root, "filename").text = copy.name
    size = SubElement(root, "size")
    for name, value in (("width", objects.size[1]), ("height", objects.size[0]), ("depth", 3)):
        SubElement(size, name).text = str(value)
    SubElement(root, "segmented").text = "0"
    rows = zip(objects.xyxy.tolist(), objects.indices.tolist(), objects.crowd.tolist(), strict=True)
    for (left, top, right, bottom), index, crowd in rows:
        item = SubElement(root, "object")
        SubElement(item, "name").text = labels[index]
        SubElement(item, "difficult").text = str(int(crowd))
        box = SubElement(item, "bndbox")
        corners = {"xmin": left + 1, "ymin": top + 1, "xmax": right, "ymax": bottom}
        for name, corner in corners.items():
            SubElement(box, name).text = str(int(corner)) if corner == int(corner) else repr(corner)
    indent(root)
    text: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"
