"""Whether the numbers of boxes are what their format says they are. Wrong ones train to nothing, silently.

A box of four numbers can be read as corners, as a corner with sides, or as a centre with sides, in pixels or
in fractions; each reading of wrong numbers gives boxes. But it gives many that leave their images or have no
area, and the right reading gives almost none.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from signet.arrays import Array
from signet.datasets.findings import few
from signet.errors import BadDataset

Convention = Literal["xyxy", "xywh", "cxcywh"]
Doubles = NDArray[np.float64]

WORDS: dict[Convention, str] = {
    "xyxy": "left, top, right, bottom",
    "xywh": "left, top, width, height",
    "cxcywh": "centre x, centre y, width, height",
}
"""The four numbers of each convention."""

ROUNDING = 1e-3
"""How far beyond 0 and 1 a fraction may be and still be a rounding; such boxes are cut off at the edge."""

_SLACK = 0.02
"""How far beyond its image, as a share of its side, a careless but rightly read box may reach."""

_FITTING = 0.99
"""The share of boxes that the other reading must explain before it is taken for the right one."""


def corners_of(boxes: Array, convention: Convention) -> Doubles:
    """Float64 (K, 4): left, top, right, bottom of boxes in a convention."""
    values = np.asarray(boxes, np.float64).reshape(-1, 4)
    first, second = values[:, :2], values[:, 2:]
    if convention == "xywh":
        return np.hstack([first, first + second])
    if convention == "cxcywh":
        return np.hstack([first - second / 2, first + second / 2])
    return values


def audit_boxes(boxes: Array, sizes: Array, convention: Convention, where: str) -> None:
    """Refuse boxes that another convention explains and their own does not.

    Args:
        boxes: float64 (K, 4), all boxes of a dataset, as stated.
        sizes: float64 (K, 2): width and height of each one's image, in the unit of the boxes.
        convention: what the format says the four numbers are.
        where: the dataset, for the message.

    Raises:
        BadDataset: more than a few leave their images or have no area, and another convention fits all.
    """
    broken = ~_fit(boxes, sizes, convention)
    if few(int(broken.sum()), len(boxes)):
        return
    for other in _others(convention):
        if _fit(boxes, sizes, other).mean() >= _FITTING:
            raise BadDataset(
                f"{where}: expected boxes as {WORDS[convention]}, got numbers that look like {WORDS[other]}: "
                f"read as expected, {int(broken.sum()):,} of {len(boxes):,} boxes leave their image or have "
                f"no area; read the other way, almost none. The first is {_first(boxes, broken)}. Convert "
                "the boxes, or open the dataset in the format that it has."
            )


def audit_unit(boxes: Array, sizes: Array, where: str) -> None:
    """Refuse boxes in fractions of their image where pixels were expected.

    Raises:
        BadDataset: there are more than a few boxes, and no number is above 1.
    """
    if few(len(boxes), len(boxes)) or np.asarray(sizes).min() < 8:
        return
    if float(np.abs(boxes).max()) <= 1 + ROUNDING:
        raise BadDataset(
            f"{where}: expected boxes in pixels, got {len(boxes):,} of which no number is above 1, such as "
            f"{_first(boxes, np.ones(len(boxes), np.bool_))}. They look like fractions: multiply "
            "x and width by the image's width, y and height by its height."
        )


def audit_fractions(outside: int, total: int, example: str, where: str) -> None:
    """Refuse numbers outside 0 to 1 where fractions of the image were expected.

    Args:
        outside: how many boxes have such a number.
        total: how many boxes there are.
        example: one of them: its file and its numbers.
        where: the dataset, for the message.

    Raises:
        BadDataset: there are more than a few.
    """
    if few(outside, total) and outside < total:
        return
    raise BadDataset(
        f"{where}: expected boxes as fractions of the image's width and height, from 0 to 1, got numbers "
        f"outside in {outside:,} of {total:,} boxes: {example}. They look like pixels: divide x and width by "
        "the image's width, y and height by its height."
    )


def _others(convention: Convention) -> tuple[Convention, ...]:
    """The readings that are taken for each other."""
    return {"xyxy": ("xywh",), "xywh": ("xyxy",), "cxcywh": ("xyxy", "xywh")}[convention]  # type: ignore[return-value]


def _fit(boxes: Array, sizes: Array, convention: Convention) -> NDArray[np.bool_]:
    corners, slack = corners_of(boxes, convention), _SLACK * sizes
    inside = (corners[:, :2] >= -slack).all(axis=1) & (corners[:, 2:] <= sizes + slack).all(axis=1)
    return np.asarray(inside & (corners[:, 2:] > corners[:, :2]).all(axis=1))


def _first(boxes: Array, chosen: Array) -> str:
    return ", ".join(f"{number:g}" for number in np.asarray(boxes)[chosen][0].tolist())
