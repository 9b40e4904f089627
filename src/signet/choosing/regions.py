"""Objects and labelled pixels as pictures of one label each, so that a classifier's features can be probed.

Each object becomes the square around its box; each label of a label image becomes the square around its
largest connected piece. Pictures are written only when they are asked for, into the cache.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from signet import storage
from signet.arrays import Array, Integers
from signet.datasets import Dataset
from signet.datasets.annotations import LabelImage, Objects
from signet.datasets.dataset import Entry, classes_of
from signet.decoding import read
from signet.errors import BadDataset, BadInput, MissingExtra
from signet.naming import shown
from signet.progress import OnProgress, Progress, silent

LEAST_SIDE = 12
"""Pixels of the longer side of a box below which an object is left out: there is next to nothing in it."""

MARGIN = 1.1
"""Side of the square around an object in lengths of the box's longer side."""

_LEAST_SHARE = 0.002
"""Of an image's pixels, below which a label's largest piece is left out."""


@dataclass(frozen=True, slots=True)
class Regions:
    """Pictures of one label each, cut from the images of a dataset.

    Attributes:
        dataset: of one label a picture; those of one image are one group. Its files need not be there yet.
        squares: int64 (N, 4), left, top, right, bottom of each picture in its image.
        sources: N files that they are cut from.
        words: what was cut, in a sentence.
    """

    dataset: Dataset[Any]
    squares: Integers
    sources: tuple[Path, ...]
    words: str

    def write(self, places: Sequence[int] | Integers, on_progress: OnProgress = silent) -> None:
        """Write the pictures at some positions; those that are there already are kept.

        An image that cannot be read leaves no picture; who reads the picture meets the failure.
        """
        wanted: dict[Path, list[int]] = {}
        for place in (int(one) for one in places):
            if not self.dataset.entries[place].path.is_file():
                wanted.setdefault(self.sources[place], []).append(place)
        for done, (source, mine) in enumerate(wanted.items(), 1):
            try:
                pixels = read(source).pixels
            except BadInput:
                continue
            for place in mine:
                left, top, right, bottom = self.squares[place].tolist()
                stream = io.BytesIO()
                # Lossless, and as fast as it gets: these files are read once or a few times.
                PillowImage.fromarray(pixels[top:bottom, left:right]).save(stream, "PNG", compress_level=1)
                storage.write_bytes(self.dataset.entries[place].path, stream.getvalue(), overwrite=True)
            on_progress(Progress("cutting out regions", done, len(wanted)))


def regions_of(dataset: Dataset[Any], folder: Path | None = None) -> Regions:
    """The regions of a dataset of boxes, masks or labelled pixels.

    Args:
        dataset: of the task "detect", "instances" or "segment".
        folder: where pictures are written; a folder of the cache by default.

    Raises:
        BadDataset: it holds no object that is large enough.
        MissingExtra: labelled pixels, and scipy is not installed.
    """
    place = folder or storage.cache_folder() / "regions"
    entries: list[Entry] = []
    squares: list[tuple[int, int, int, int]] = []
    sources: list[Path] = []
    small = 0
    for entry in dataset.entries:
        found, left_out = _squares_of(entry)
        small += left_out
        stamp = _stamp(entry.path)
        for index, square in found:
            name = hashlib.sha256(f"{stamp} {square}".encode()).hexdigest()[:40]
            group = entry.group or str(entry.path)
            entries.append(Entry(place / name[:2] / f"{name}.png", (index,), split=entry.split, group=group))
            squares.append(square)
            sources.append(entry.path)
    if not entries:
        raise BadDataset(
            f"{shown(dataset.source)}: expected objects of at least {LEAST_SIDE} pixels to cut out, got none."
        )
    kind = "label images' largest pieces" if dataset.task == "segment" else "objects"
    words = f"{len(entries):,} {kind} cut out of {len(dataset):,} images, to be told apart by their label"
    if small:
        words += f"; {small:,} were left out: crowds, and pieces too small to show anything"
    pictures: Dataset[Any] = replace(
        dataset, entries=tuple(entries), truth_of=classes_of, task="classify", exclusive=True, root=place
    )
    return Regions(pictures, np.array(squares, np.int64), tuple(sources), f"{words}.")


def _stamp(path: Path) -> str:
    """What names an image's present content without reading it."""
    try:
        state = path.stat()
    except OSError:
        return str(path)
    return f"{path.absolute()} {state.st_size} {state.st_mtime_ns}"


def _squares_of(entry: Entry) -> tuple[list[tuple[int, tuple[int, int, int, int]]], int]:
    """(label and square of each region, how many were left out)."""
    match entry.annotation:
        case Objects() as objects:
            large = (objects.xyxy[:, 2:] - objects.xyxy[:, :2]).max(axis=1, initial=0) >= LEAST_SIDE
            kept = np.flatnonzero(large & ~objects.crowd).tolist()
            rows = [(int(objects.indices[k]), _square(objects.xyxy[k], objects.size)) for k in kept]
            return rows, len(objects) - len(rows)
        case LabelImage() as image:
            return _pieces_of(image, entry)
        case _:
            return [], 0


def _pieces_of(image: LabelImage, entry: Entry) -> tuple[list[tuple[int, tuple[int, int, int, int]]], int]:
    try:
        from scipy import ndimage
    except ImportError as error:
        raise MissingExtra("Choosing for labelled pixels", "fit", "scipy") from error
    values = image.segments(
        tuple(map(str, range(max(image.classes, default=0) + 1))), str(entry.path)
    ).indices
    rows: list[tuple[int, tuple[int, int, int, int]]] = []
    left_out = 0
    for index in image.classes:
        pieces, count = ndimage.label(values == index)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        if not count or sizes.max() < _LEAST_SHARE * values.size:
            left_out += 1
            continue
        ys, xs = ndimage.find_objects((pieces == int(sizes.argmax()) + 1).astype(np.int8))[0]
        box = np.array([xs.start, ys.start, xs.stop, ys.stop], np.float64)
        rows.append((index, _square(box, (values.shape[0], values.shape[1]))))
    return rows, left_out


def _square(box: Array, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The square around a box, moved into the image; cut off where the image is smaller.

    A box that is stretched or cut to the network's input would lose its shape or its ends.
    """
    height, width = size
    side = max(float((box[2:] - box[:2]).max()) * MARGIN, 1.0)
    ends: list[tuple[int, int]] = []
    for low, high, limit in ((box[0], box[2], width), (box[1], box[3], height)):
        start = min(max((float(low) + float(high) - side) / 2, 0.0), max(limit - side, 0.0))
        first = min(int(start), limit - 1)
        ends.append((first, max(first + 1, min(limit, round(start + side)))))
    return ends[0][0], ends[1][0], ends[0][1], ends[1][1]
