"""What is wrong in a dataset that is read: counted by kind, the first few named, each kind with its rule."""

from __future__ import annotations

from collections.abc import Iterable

from signet.naming import shown

RULES = {
    "missing": "images are listed but do not exist, and were left out with what is said of them",
    "unreadable": "files cannot be read as images, and were left out with what is said of them",
    "leaving": "names lead out of the dataset's folder (absolute, '..' or a link), and were left out",
    "listed twice": "images are listed more than once, of which the first listing counts",
    "no image": "annotations belong to no image of the dataset, and were left out",
    "no labels": "images have no file of labels, and count as images without an object",
    "unnamed": "objects have a label that the dataset does not name, and were left out",
    "malformed": "annotations are not of the form that their format has, and were left out",
    "out of range": "boxes have values outside 0 to 1, where fractions were expected, and were left out",
    "swapped": "boxes have left and right, or top and bottom, swapped, and were put right",
    "clipped": "boxes reach beyond their image by more than half a pixel, and were cut off at its edge",
    "no area": "boxes have no area within their image (zero, negative, or all outside), and were left out",
    "repeated": "objects repeat another one of their image in all that is said, and were left out",
    "bad mask": "objects have a mask that cannot be one of their image, and were left out",
    "no mask": "objects have a box but no mask, and were left out",
    "spare mask": "objects have a mask, which is not read, since too many others have none",
    "same category": "categories have the name or the identifier of an earlier one, and count as that",
    "turned": (
        "images are stored turned (EXIF) and annotated as stored, so their annotations were turned with them"
    ),
    "other size": "images are not of the size that their annotations state, and were left out",
    "unknown values": "label images hold values that nothing names, and were left out with their images",
    "no label image": "images have no label image, and were left out",
    "alone": "label images have no image, and were left out",
}
"""Each kind of finding, as the sentence that says what it is and what was done."""

_NAMED = 5


class Findings:
    """The findings of one reading. It is filled while a dataset is read, and then gives its `notes`."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._names: dict[str, dict[str, None]] = {}

    def add(self, kind: str, name: object, count: int = 1) -> None:
        """Count `count` findings of a kind in `RULES`, with the name of the file that they are in."""
        if count:
            self._counts[kind] = self._counts.get(kind, 0) + count
            names = self._names.setdefault(kind, {})
            if len(names) <= _NAMED:
                names[shown(name)] = None

    def count(self, kind: str) -> int:
        """How many there are of a kind."""
        return self._counts.get(kind, 0)

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for each kind that occurred, in the order of `RULES`."""
        return tuple(
            f"{self._counts[kind]:,} {rule}: {named(self._names[kind])}."
            for kind, rule in RULES.items()
            if kind in self._counts
        )


def kind_of(note: str) -> str | None:
    """The kind of finding that a sentence of `Findings.notes` tells of; None for any other sentence."""
    return next((kind for kind, rule in RULES.items() if f" {rule}: " in note), None)


def count_of(note: str) -> int:
    """How many such a sentence counts."""
    return int(note.split(" ", 1)[0].replace(",", ""))


def named(names: Iterable[object]) -> str:
    """A few names for a sentence, safe to show."""
    every = [shown(name) for name in names]
    return ", ".join(every[:_NAMED]) + (" and more" if len(every) > _NAMED else "")


def few(count: int, total: int) -> bool:
    """Whether so many faults among so many are slips (at most three, or one in fifty), not a wrong format."""
    return count <= max(3, total // 50)
