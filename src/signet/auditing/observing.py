"""What an audit sees of each file, in one pass: whether it can be read, its fingerprint, its looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from signet.arrays import Bytes, Integers
from signet.box_contrast import leads
from signet.datasets import Dataset, Entry
from signet.datasets.annotations import Objects
from signet.decoding import PLUGINS
from signet.errors import BadInput
from signet.extents import extent_of
from signet.findings import Exhibit
from signet.fingerprints import Fingerprints, read_fingerprints
from signet.geometry import Size
from signet.headers import SNIFFED_BYTES, kind_of
from signet.images import Image
from signet.naming import shown
from signet.progress import OnProgress, silent
from signet.splitting import merge_groups

_WITH_ALPHA = ("PNG", "WebP", "GIF", "TIFF")
_GREY_LEVELS, _GREY_SHARE = 8, 0.99
"""An image is grey when the channels of so many of its pixels differ by no more than so many levels."""


@dataclass(frozen=True, slots=True)
class Look:
    """How one image looks.

    Attributes:
        size: (height, width), upright.
        orientation: as EXIF has it, 1 to 8.
        transparent: some pixel is not opaque.
        grey: it shows no colour.
        brightness: mean of all values, 0 to 255.
        contrast: standard deviation of its luma, 0 to 128.
    """

    size: Size
    orientation: int
    transparent: bool
    grey: bool
    brightness: float
    contrast: float


@dataclass(frozen=True, eq=False)
class Observed:
    """A dataset with what was seen of its files.

    Attributes:
        dataset: N rows.
        prints: of the N files.
        looks: of the N files; None where one cannot be read.
        box_leads: by file with boxes, how much better these lie than elsewhere; see `box_contrast.leads`.
    """

    dataset: Dataset[Any]
    prints: Fingerprints
    looks: tuple[Look | None, ...]
    box_leads: Mapping[Path, Mapping[str, float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.looks)

    @cached_property
    def readable(self) -> Integers:
        """int64, the positions of files that could be read."""
        return np.flatnonzero([look is not None for look in self.looks])

    @cached_property
    def leads(self) -> tuple[Mapping[str, float], ...]:
        """For each row how much better its boxes lie than elsewhere; empty without boxes."""
        return tuple(self.box_leads.get(path, {}) for path in self.dataset.paths)

    @cached_property
    def groups(self) -> Integers:
        """int64 (N,): the position of the first of each one's copies; see `duplicate_groups`."""
        return self.prints.groups()

    @cached_property
    def units(self) -> Integers:
        """int64 (N,): the position of the first of what stays in one fold: copies, and the own groups."""
        return merge_groups(self.groups.tolist(), self.dataset.groups)

    @cached_property
    def truths(self) -> tuple[object, ...]:
        """For each row what its truth is, to be compared."""
        return tuple(
            entry.classes if entry.annotation is None else entry.annotation.digest
            for entry in self.dataset.entries
        )

    def seen(self) -> Iterator[tuple[int, Look]]:
        """(position, look) of each file that could be read."""
        return ((place, look) for place, look in enumerate(self.looks) if look is not None)

    def source(self, place: int) -> str:
        """The file of a row, as text."""
        return str(self.dataset.entries[place].path)

    def sources(self, places: Sequence[int] | Integers) -> tuple[str, ...]:
        """The files of some rows."""
        return tuple(self.source(int(place)) for place in places)

    def exhibit(self, places: Sequence[int], note: str = "") -> Exhibit:
        """Some rows side by side, each with its label and split."""
        captions = tuple(caption(self.dataset.entries[place], self.dataset.labels) for place in places)
        return Exhibit(self.sources(places), captions, note)


def observe(
    dataset: Dataset[Any], *, threads: int | None = None, on_progress: OnProgress = silent
) -> Observed:
    """Read every file of a dataset once.

    Args:
        dataset: of any task.
        threads: how many decode at once; None for one a processor, at most 8.
        on_progress: told after every few files.

    Raises:
        MissingExtra: imagehash is not installed (extra `fit`).
    """
    looks: dict[Path, Look] = {}
    placed: dict[Path, Mapping[str, float]] = {}
    boxes = {
        entry.path: entry.annotation.xyxy[~entry.annotation.crowd]
        for entry in dataset.entries
        if isinstance(entry.annotation, Objects)
    }

    def look(path: Path, image: Image) -> None:
        looks[path] = look_of(path, image)
        if path in boxes:
            placed[path] = leads(image.pixels, boxes[path])

    prints = read_fingerprints(dataset.paths, threads=threads, look=look, on_progress=on_progress)
    return Observed(dataset, prints, tuple(looks.get(path) for path in dataset.paths), placed)


def look_of(path: Path, image: Image) -> Look:
    """How an image looks: its pixels, and what the header of its file says."""
    pixels = image.pixels
    # Every n-th row and column: a mean over 100,000 pixels is as good as one over all.
    step = max(1, round((image.height * image.width / 100_000) ** 0.5))
    some = pixels[::step, ::step].astype(np.float32)
    luma = some @ np.array([0.299, 0.587, 0.114], np.float32)
    return Look(
        size=image.size,
        orientation=_orientation(path),
        transparent=_transparent(path),
        grey=float(np.quantile(some.max(axis=2) - some.min(axis=2), _GREY_SHARE)) <= _GREY_LEVELS,
        brightness=float(some.mean()),
        contrast=float(luma.std()),
    )


def caption(entry: Entry, labels: Sequence[str]) -> str:
    """A row's labels and split in a few words."""
    names = [shown(labels[index]) for index in entry.classes]
    words = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return " · ".join(part for part in (words, entry.split or "") if part)


def split_places(dataset: Dataset[Any]) -> Mapping[str, Integers]:
    """The positions of each split's rows, in the order of `Dataset.splits`."""
    return {
        name: np.array(
            [place for place, entry in enumerate(dataset.entries) if entry.split == name], np.int64
        )
        for name in dataset.splits
    }


def split_words(dataset: Dataset[Any], places: Sequence[int]) -> str:
    """How many rows each split has among some: "train 2, test 1"."""
    counts = Counter(dataset.entries[place].split or "no split" for place in places)
    return ", ".join(f"{shown(name)} {count}" for name, count in counts.items())


def _transparent(path: Path) -> bool:
    """Whether a file has a pixel that is not opaque; only pictures with an alpha channel are decoded."""
    try:
        with path.open("rb") as stream:
            kind = kind_of(stream.read(SNIFFED_BYTES))
            if kind not in _WITH_ALPHA:
                return False
            stream.seek(0)
            picture = PLUGINS[kind](stream)
            if "A" not in picture.mode and "transparency" not in picture.info:
                return False
            alpha: Bytes = np.asarray(picture.convert("RGBA").getchannel("A"))
    except Exception:  # noqa: BLE001  Pillow raises nearly every kind; the picture itself was read before
        return False
    return bool((alpha < 255).any())


def _orientation(path: Path) -> int:
    try:
        return extent_of(path).orientation
    except BadInput:
        return 1
