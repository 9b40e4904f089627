"""A dataset of labelled pixels as pictures and grey label images. Nothing is lost."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from signet.datasets.dataset import Dataset
from signet.datasets.writing import Written, check_splits, check_task, copies_of, copy_image
from signet.errors import BadInput, BadRequest
from signet.naming import shown
from signet.segments import UNLABELLED, SegmentMap
from signet.storage import new_folder, write_bytes

_UNLABELLED_VALUE = 255


def to_masks(dataset: Dataset[Any], folder: str | Path, *, overwrite: bool = False) -> Written:
    """Write `FOLDER/images/SPLIT`, `FOLDER/masks/SPLIT` (grey PNG, 255 unlabelled) and `FOLDER/classes.txt`.

    The folder appears whole or not at all.

    Raises:
        WrongTask: the dataset has no labelled pixels.
        BadRequest: more than 255 labels, a label that no line can hold, or splits but train, val and test.
        AlreadyExists: the folder is there and `overwrite` was not given.
        BadInput: an image or a label image cannot be read.
    """
    check_task(dataset, ("segment",), "label images")
    check_splits(dataset, "label images")
    if len(dataset.labels) > _UNLABELLED_VALUE:
        raise BadRequest(f"expected at most 255 labels for label images, got {len(dataset.labels)}.")
    for label in dataset.labels:
        if not label.strip() or label != label.strip() or not label.isprintable():
            raise BadRequest(f"expected labels that a line of text can hold, got '{shown(label)}'.")
    copies = copies_of(dataset)
    with new_folder(folder, overwrite=overwrite) as temporary:
        for copy, sample in zip(copies, dataset, strict=True):
            if not isinstance(sample.truth, SegmentMap):
                raise BadInput(f"{shown(copy.entry.path)}: expected a row with a label image, got none.")
            inner = copy.entry.split or ""
            indices = sample.truth.indices
            values = np.where(indices == UNLABELLED, _UNLABELLED_VALUE, indices).astype(np.uint8)
            buffer = io.BytesIO()
            PillowImage.fromarray(values).save(buffer, "PNG")
            write_bytes(temporary / "masks" / inner / f"{copy.stem}.png", buffer.getvalue())
            copy_image(copy, temporary / "images" / inner)
        write_bytes(temporary / "classes.txt", "".join(f"{label}\n" for label in dataset.labels).encode())
    return Written(Path(folder), len(copies), 0)
