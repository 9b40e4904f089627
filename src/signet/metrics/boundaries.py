"""Whether the outlines of labelled regions lie where they should: boundary F1.

Source: Csurka, Larlus & Perronnin, What is a good evaluation measure for semantic segmentation?, BMVC 2013,
    for each label the part of the answer's boundary that lies within a distance of the truth's (precision),
    the part of the truth's that lies within it of the answer's (recall), and their harmonic mean; the reach
    is 0.75 % of the image's diagonal. What they leave open is said in `boundary_f1`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from signet.arrays import Array
from signet.errors import BadInput

TOLERANCE = 0.0075
"""Of the diagonal: the distance that a boundary may be off."""

_NONE = -1
Flags = NDArray[np.bool_]


def boundary_f1(answer: Array, truth: Array, tolerance: float = TOLERANCE) -> float:
    """The mean over the labels whose boundary is in the truth or in the answer; NaN when there is none.

    A boundary pixel has a label, and above, below, left or right of it a pixel with another one: the edge of
    the image is no boundary, nor is the edge of what is unlabelled. A label with a boundary on one side only
    has 0. Distances are Euclidean between centres of pixels, and less than the tolerance.

    Args:
        answer: int (H, W), labels; -1 is none of them, and has no boundary of its own. Where the truth is
            unlabelled it is not looked at.
        truth: int (H, W), labels, and -1 where nobody said.
        tolerance: a fraction of the diagonal.

    Raises:
        BadInput: shapes that differ.
    """
    given, right = np.asarray(answer, np.int32), np.asarray(truth, np.int32)
    if given.shape != right.shape or given.ndim != 2:
        raise BadInput(f"boundaries: expected two maps of one size, got {given.shape} and {right.shape}.")
    known = right >= 0
    reach = tolerance * math.hypot(*right.shape)
    true, found = _boundary(right, known), _boundary(given, known)
    near_truth, near_answer = _near(found, true, reach), _near(true, found, reach)
    figures = []
    for label in np.union1d(true[true != _NONE], found[found != _NONE]).tolist():
        own, theirs = found == label, true == label
        precision = near_truth[own].mean() if own.any() else 0.0
        recall = near_answer[theirs].mean() if theirs.any() else 0.0
        both = precision + recall
        figures.append(2 * precision * recall / both if both else 0.0)
    return float(np.mean(figures)) if figures else math.nan


def _boundary(labels: Array, known: Flags) -> NDArray[np.int32]:
    """The label of each boundary pixel, -1 of all others."""
    edge = np.zeros(labels.shape, np.bool_)
    for one, two in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        differs = (labels[one] != labels[two]) & known[one] & known[two]
        edge[one] |= differs
        edge[two] |= differs
    return np.where(edge, labels, np.int32(_NONE))


def _near(boundary: NDArray[np.int32], other: NDArray[np.int32], reach: float) -> Flags:
    """Which boundary pixels have one of the same label on the other side within reach: bool (H, W)."""
    near = np.zeros(boundary.shape, np.bool_)
    rows, columns = np.nonzero(boundary != _NONE)
    labels = boundary[rows, columns]
    far = math.ceil(reach)
    padded = np.pad(other, far, constant_values=_NONE)
    # From the nearest offset on, so that almost all are settled by the first few.
    for down, along in _offsets(reach):
        if not len(rows):
            break
        hit = padded[rows + far + down, columns + far + along] == labels
        near[rows[hit], columns[hit]] = True
        rows, columns, labels = rows[~hit], columns[~hit], labels[~hit]
    return near


def _offsets(reach: float) -> list[tuple[int, int]]:
    """Steps down and along, shorter than the reach, the shortest first; always that of no length."""
    far = math.ceil(reach)
    steps = [(down, along) for down in range(-far, far + 1) for along in range(-far, far + 1)]
    kept = [step for step in steps if math.hypot(*step) < reach] or [(0, 0)]
    return sorted(kept, key=lambda step: step[0] ** 2 + step[1] ** 2)
