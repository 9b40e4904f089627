"""A region of an image, as run lengths: small in memory, exact, and what COCO writes.

The pixels are taken down the columns, the first column first; the runs are outside, inside, outside ...,
so a mask whose first pixel is inside begins with a run of 0.

Source: the COCO data format, "RLE", and its API's compressed strings (cocodataset.org/#format-data).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from signet.arrays import Array, Integers, frozen
from signet.errors import BadInput
from signet.geometry import Size

_MOST_PIXELS = 1 << 31
"""Of a mask that comes from outside: its pixels are counted before they are laid out."""


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """One region.

    Attributes:
        counts: int64 (R,), lengths of the runs, at least 0; they sum to the pixels of the image.
        size: (height, width) of the image.
    """

    counts: Integers
    size: Size

    def __post_init__(self) -> None:
        counts = frozen(self.counts, "a mask's runs", "int64", (None,))
        height, width = self.size
        if height < 1 or width < 1 or height * width > _MOST_PIXELS:
            raise BadInput(f"a mask: expected the size of an image, got {height}x{width} pixels.")
        if (counts < 0).any() or (counts > _MOST_PIXELS).any() or int(counts.sum()) != height * width:
            raise BadInput(
                f"a mask of {height}x{width} pixels: expected runs that sum to {height * width}, "
                f"got {len(counts)} that sum to {int(counts.sum())}."
            )
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "size", (int(height), int(width)))

    @classmethod
    def of(cls, inside: Array) -> Mask:
        """From bool or 0/1 (H, W).

        Raises:
            BadInput: not two axes, or other values.
        """
        array = np.asarray(inside)
        if array.ndim != 2 or not array.size:
            raise BadInput(f"a mask: expected shape (height, width), got {array.shape}.")
        if array.dtype != np.bool_:
            if not np.isin(array, (0, 1)).all():
                raise BadInput(f"a mask: expected true and false, or 0 and 1, got {array.dtype} values.")
            array = array.astype(np.bool_)
        flat = array.ravel(order="F")
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        ends = np.concatenate([[0] if flat[0] else [], changes, [flat.size]]).astype(np.int64)
        return cls(np.diff(ends, prepend=0), (array.shape[0], array.shape[1]))

    def to_array(self) -> Array:
        """Bool (H, W)."""
        inside = np.arange(len(self.counts)) % 2 == 1
        return np.repeat(inside, self.counts).reshape(self.size, order="F")

    @property
    def area(self) -> int:
        """How many pixels it has."""
        return int(self.counts[1::2].sum())

    @property
    def bounds(self) -> Array:
        """Float64 (4,): left, top, right, bottom of the least box that holds it; zeros when it is empty."""
        starts, ends = self._runs()
        if not len(starts):
            return np.zeros(4)
        height = self.size[0]
        first, last = starts // height, (ends - 1) // height
        # A run that goes on in the next column touches the image's top and bottom.
        whole = bool((first != last).any())
        top = 0 if whole else int((starts % height).min())
        bottom = height if whole else int(((ends - 1) % height).max()) + 1
        return np.array([first.min(), top, last.max() + 1, bottom], np.float64)

    def overlap(self, other: Mask) -> int:
        """How many pixels both have.

        Raises:
            BadInput: they are of images of different sizes.
        """
        if self.size != other.size:
            raise BadInput(f"masks: expected two of one size, got {self.size} and {other.size}.")
        edges = np.unique(np.concatenate([np.cumsum(self.counts), np.cumsum(other.counts), [0]]))
        middles = edges[:-1]
        both = self._holds(middles) & other._holds(middles)
        return int(np.diff(edges)[both].sum())

    def iou(self, other: Mask) -> float:
        """Pixels that both have over pixels that either has; 0 for two empty ones."""
        both = self.overlap(other)
        either = self.area + other.area - both
        return both / either if either else 0.0

    def to_coco(self) -> dict[str, Any]:
        """`{"size": [height, width], "counts": "..."}`, the runs as a compressed string."""
        return {"size": list(self.size), "counts": _compressed(self.counts)}

    @classmethod
    def from_coco(cls, stated: Mapping[str, Any]) -> Mask:
        """From `{"size", "counts"}`, the runs as a compressed string or as a list of numbers.

        Raises:
            BadInput: it is neither, or the runs do not fill the image.
        """
        size, counts = stated.get("size"), stated.get("counts")
        if not isinstance(size, list | tuple) or len(size) != 2 or not all(_whole(side) for side in size):
            raise BadInput(f"a mask: expected a size [height, width], got {str(size)[:80]}.")
        if isinstance(counts, bytes):
            counts = counts.decode("latin-1")
        if isinstance(counts, str):
            counts = _expanded(counts)
        elif not isinstance(counts, list | tuple) or not all(_whole(count) for count in counts):
            raise BadInput(f"a mask: expected counts as text or whole numbers, got {str(counts)[:80]}.")
        return cls(np.asarray(counts, np.int64).reshape(-1), (int(size[0]), int(size[1])))

    def _runs(self) -> tuple[Integers, Integers]:
        """Where the runs that are inside begin and end; empty ones left out."""
        ends = np.cumsum(self.counts)[1::2]
        lengths = self.counts[1::2]
        kept = lengths > 0
        return (ends - lengths)[kept], ends[kept]

    def _holds(self, pixels: Integers) -> Array:
        """Bool: whether pixels, counted down the columns, are inside."""
        odd: Array = np.searchsorted(np.cumsum(self.counts), pixels, side="right") % 2 == 1
        return odd

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mask):
            return NotImplemented
        return self.size == other.size and all(
            np.array_equal(one, two) for one, two in zip(self._runs(), other._runs(), strict=True)
        )

    def __hash__(self) -> int:
        return hash((self.size, self.area))

    def __repr__(self) -> str:
        return f"Mask({self.area:,} of {self.size[0]}x{self.size[1]} pixels)"


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_PIXELS


def _compressed(counts: Integers) -> str:
    """Each run, from the fourth on less the one two before, in groups of 5 bits, the lowest first.

    A group is a character from "0" on; its sixth bit says that more groups follow, and its fifth bit is the
    sign when none do.
    """
    letters: list[str] = []
    numbers = counts.tolist()
    for place, number in enumerate(numbers):
        left = number - numbers[place - 2] if place > 2 else number
        while True:
            group = left & 31
            left >>= 5
            more = left != (-1 if group & 16 else 0)
            letters.append(chr(48 + group + (32 if more else 0)))
            if not more:
                break
    return "".join(letters)


def _expanded(text: str) -> list[int]:
    """The runs of a compressed string.

    Raises:
        BadInput: a character that no group has, or an end within a number.
    """
    counts: list[int] = []
    number = shift = 0
    for letter in text:
        group = ord(letter) - 48
        if not 0 <= group < 64 or shift > 60:
            raise BadInput(f"a mask: expected COCO's compressed runs, got the character {letter!r}.")
        number |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            number -= 1 << shift
        counts.append(number + counts[-2] if len(counts) > 2 else number)
        number = shift = 0
    if shift:
        raise BadInput("a mask: expected COCO's compressed runs, got text that ends within a number.")
    if any(abs(count) > _MOST_PIXELS for count in counts):
        raise BadInput("a mask: expected COCO's compressed runs, got lengths that no image has.")
    return counts
