"""Label images: for each picture one of the same name in which every pixel's value is its label."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signet.arrays import Array, Integers
from signet.datasets.annotations import LabelImage, ValueTable
from signet.datasets.boundary import Folder, is_relative, listed
from signet.datasets.dataset import SPLIT_NAMES, TRUTHS, Dataset, Entry
from signet.datasets.findings import Findings, few, named
from signet.datasets.labels import read_text
from signet.datasets.values import LabelNames, read_names, table_of
from signet.errors import BadDataset, BadInput
from signet.extents import extent_of, read_values
from signet.naming import shown
from signet.segments import SegmentMap

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "JPEGImages")
MASK_FOLDERS = ("masks", "mask", "annotations", "labels", "SegmentationClass", "gt")
"""What the folders of pictures and of label images may be called."""

MASK_SUFFIXES = ("annot", "_masks", "_mask", "_labels", "masks", "labels")
"""What may stand after a split's name to name the folder of its label images: "trainannot"."""

NAME_ENDINGS = ("", "_mask", "_label", "_labels", "_L", "_gt", "_seg", "_segmentation")
"""What may stand after a picture's name to name its label image."""

_MASK_EXTENSIONS = (".png", ".tif", ".tiff", ".bmp", ".gif")
_MOST_THREADS = 8


@dataclass(frozen=True, slots=True)
class Pair:
    """A picture and its label image."""

    image: Path
    mask: Path
    split: str | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a look into a label image has shown: its values, or why it cannot be used."""

    values: Integers
    colours: bool = False
    orientation: int = 1
    fault: str = ""


def from_masks(
    path: str | Path, *, labels: Sequence[str] | str | Path | None = None, unlabelled: int = 255
) -> Dataset[SegmentMap]:
    """Read a folder of pictures and label images.

    Pictures and label images lie in `images` and `masks` (or other usual names), with folders for splits
    inside or outside; or in `train` and `trainannot`, `test` and `testannot` ...; or a list `train.txt`
    names a picture and its label image in each line. A label image has its picture's name, perhaps with
    `_mask` or the like behind it, and is a grey or indexed PNG, whose values are the labels' positions, or
    one of colours, whose meaning a table states (see `values.read_names`).

    The value 255 (or `unlabelled`) is a pixel that nobody labelled. Where a list of N names is given and N is
    the only other value without a name, it is that too. Where no names are given and the only values are 0
    and 255, they are "background" and "foreground"; else labels without a name are "class 0", "class 1" ...
    A label named "background" is the map's background.

    Every label image is read once, to know which labels it shows. One with a value that nothing names, or of
    another size than its picture, is left out with its picture; where that is so for more than a few, the
    dataset is refused.

    Args:
        path: the folder.
        labels: the names by value, or a file of them; None to look for one in the folder.
        unlabelled: the value of pixels that nobody labelled.

    Raises:
        BadDataset: no pictures with label images, colours without a table, values that nothing names, or no
            pair is left.
    """
    top = Path(path)
    if not top.is_dir():
        raise BadDataset(f"{shown(top)}: expected a folder of pictures and label images, got no folder.")
    findings = Findings()
    pairs = list(dict.fromkeys(pairs_in(top, findings)))
    if labels is not None and not isinstance(labels, str | Path):
        names = LabelNames(dict(enumerate(labels)))
    else:
        names = read_names(top, None if labels is None else Path(labels))
    return from_pairs(pairs, names, top, findings, unlabelled=unlabelled)


def from_pairs(
    pairs: Sequence[Pair],
    labels: LabelNames | Sequence[str],
    top: Path,
    findings: Findings,
    *,
    unlabelled: int = 255,
    format: str = "masks",
) -> Dataset[SegmentMap]:
    """The dataset of some pictures and label images; see `from_masks` for the rules.

    Raises:
        BadDataset: as `from_masks`.
    """
    if not pairs:
        said = " ".join(findings.notes)
        raise BadDataset(
            f"{shown(top)}: expected pictures with label images of the same names (images/a.jpg and "
            f"masks/a.png), got none. {said}".strip()
        )
    names = labels if isinstance(labels, LabelNames) else LabelNames(dict(enumerate(labels)))
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1), "signet-label-images") as pool:
        seen = list(pool.map(_look, pairs))
    usable = [(pair, look) for pair, look in zip(pairs, seen, strict=True) if not look.fault]
    for pair, look in zip(pairs, seen, strict=True):
        if look.fault:
            findings.add(look.fault, pair.mask.name if look.fault == "unreadable" else pair.image.name)
    found, table, notes = table_of(
        [look.values for _, look in usable],
        names,
        colours=any(look.colours for _, look in usable),
        unlabelled=unlabelled,
        where=shown(top),
    )
    entries, unknown = [], dict[int, None]()
    for pair, look in usable:
        indices, strange = table.look_up(look.values)
        if len(strange) or look.colours != table.colours:
            findings.add("unknown values", pair.mask.name)
            unknown |= dict.fromkeys(strange.tolist())
            continue
        classes = tuple(np.unique(indices[indices >= 0]).tolist())
        image = LabelImage(path=pair.mask, table=table, classes=classes, orientation=look.orientation)
        entries.append(Entry(pair.image, classes, pair.split, annotation=image))
    _refuse_many(findings, len(pairs), len(entries), table, unknown, shown(top))
    return Dataset(
        entries=tuple(entries),
        labels=found,
        source=str(top),
        format=format,
        root=top,
        truth_of=TRUTHS["segment"],
        task="segment",
        exclusive=False,
        indices_given=not names.labels,
        notes=(*notes, *findings.notes),
    )


def pairs_in(top: Path, findings: Findings) -> Iterator[Pair]:
    """The pictures and label images of a folder, by its lists, else by its folders; natural order."""
    root = Folder(top)
    from_lists = [file for file in listed(top) if file.suffix == ".txt" and file.stem.lower() in SPLIT_NAMES]
    two = [file for file in from_lists if _names_two(file)]
    if two:
        for file in two:
            yield from _listed_pairs(root, file, findings)
        return
    for images, masks, split in mask_folders(top):
        yield from _paired(root, images, masks, split, findings)


def mask_folders(top: Path) -> list[tuple[Path, Path, str | None]]:
    """Folders of pictures with their folders of label images, and the split of each pair."""
    folders = {child.name.lower(): child for child in listed(top) if child.is_dir()}
    inner = _beside(folders)
    if inner is not None:
        return [(*inner, None)]
    found: list[tuple[Path, Path, str | None]] = []
    for name, folder in folders.items():
        if name not in SPLIT_NAMES:
            continue
        masks = next((folders[name + end] for end in MASK_SUFFIXES if name + end in folders), None)
        own = _beside({child.name.lower(): child for child in listed(folder) if child.is_dir()})
        if masks is not None:
            found.append((folder, masks, SPLIT_NAMES[name]))
        elif own is not None:
            found.append((*own, SPLIT_NAMES[name]))
    return found


def holds_label_images(folder: Path) -> bool:
    """Whether a folder holds a file of a kind that label images have, itself or one folder down."""
    inner = [child for child in listed(folder) if child.is_dir()]
    return any(
        child.suffix.lower() in _MASK_EXTENSIONS for place in (folder, *inner) for child in listed(place)
    )


def names_pairs(top: Path) -> bool:
    """Whether a folder has a list of pictures with label images, named after a split."""
    files = [file for file in listed(top) if file.suffix == ".txt" and file.stem.lower() in SPLIT_NAMES]
    return any(_names_two(file) for file in files)


def _beside(folders: dict[str, Path]) -> tuple[Path, Path] | None:
    images = next((folders[name.lower()] for name in IMAGE_FOLDERS if name.lower() in folders), None)
    masks = next((folders[name.lower()] for name in MASK_FOLDERS if name.lower() in folders), None)
    return (images, masks) if images is not None and masks is not None else None


def _names_two(file: Path) -> bool:
    """Whether the first line of a list names a label image after a picture."""
    try:
        with file.open("rb") as stream:
            words = stream.readline(8192).decode("utf-8", errors="replace").split()
    except OSError:
        return False
    return len(words) == 2 and Path(words[1]).suffix.lower() in _MASK_EXTENSIONS


def _listed_pairs(root: Folder, file: Path, findings: Findings) -> Iterator[Pair]:
    split = SPLIT_NAMES[file.stem.lower()]
    for line in read_text(file, "a list of pictures and label images").splitlines():
        words = line.split()
        if not words:
            continue
        if len(words) != 2:
            findings.add("malformed", f"a line of {file.name}")
            continue
        # Some lists name files from the disk's root, as their author had them: the end of the path counts.
        clean = [word if is_relative(word) else word.lstrip("/") for word in words]
        image = root.find(clean[0], (root.path,), findings)
        mask = root.find(clean[1], (root.path,), findings) if image is not None else None
        if image is not None and mask is not None:
            yield Pair(image, mask, split)


def _paired(root: Folder, images: Path, masks: Path, split: str | None, findings: Findings) -> Iterator[Pair]:
    by_name: dict[str, Path] = {}
    for mask in root.images(masks, findings):
        by_name.setdefault(mask.relative_to(masks).with_suffix("").as_posix(), mask)
    used = set()
    for image in root.images(images, findings):
        name = image.relative_to(images).with_suffix("").as_posix()
        found = next((name + ending for ending in NAME_ENDINGS if name + ending in by_name), None)
        if found is None:
            findings.add("no label image", image.name)
            continue
        used.add(found)
        first = image.relative_to(images).parts[0].lower()
        yield Pair(image, by_name[found], split or SPLIT_NAMES.get(first))
    for name in by_name.keys() - used:
        findings.add("alone", by_name[name].name)


def _look(pair: Pair) -> _Seen:
    """The values of a label image, and how it lies on its picture."""
    nothing = np.zeros(0, np.int64)
    try:
        extent = extent_of(pair.image)
        values = read_values(pair.mask)
    except BadInput:
        return _Seen(nothing, fault="unreadable")
    size = values.shape[:2]
    if size == extent.upright:
        orientation = 1
    elif size == extent.stored:
        orientation = extent.orientation
    else:
        return _Seen(nothing, fault="other size")
    return _Seen(_distinct(values), colours=values.ndim == 3, orientation=orientation)


def _distinct(values: Array) -> Integers:
    low, high = int(values.min()), int(values.max())
    if 0 <= low <= high < 1 << 16:
        return np.flatnonzero(np.bincount(values.ravel())).astype(np.int64)
    return np.unique(values).astype(np.int64)


def _refuse_many(
    findings: Findings, pairs: int, left: int, table: ValueTable, unknown: dict[int, None], where: str
) -> None:
    """Refuse a dataset of which more than a few label images cannot be used, or none is left."""
    strange = findings.count("unknown values")
    if strange and (not left or not few(strange, pairs)):
        known = named(_value(value, table) for value in table.values.tolist())
        came = named(_value(value, table) for value in sorted(unknown)) or "pictures of another kind"
        raise BadDataset(
            f"{where}: expected label images of the values {known}, got {came} in {strange:,} of {pairs:,}. "
            "Name these values in the table of labels, say which one is unlabelled, or correct the images."
        )
    if not left:
        raise BadDataset(f"{where}: no picture with a label image is left. {' '.join(findings.notes)}")


def _value(value: int, table: ValueTable) -> str:
    return f"({value >> 16}, {value >> 8 & 255}, {value & 255})" if table.colours else str(value)
