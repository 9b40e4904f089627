"""Average precision as the Pascal VOC challenges count it: one least overlap, each truth asked once.

Unlike COCO's, an answer is held to the one truth that it overlaps most: when a better answer has that one
already, it is a false alarm, even where it overlaps another truth enough. Truths marked as difficult
(`Boxes.crowd`) are in no figure, nor are the answers that are held to them.

Source: Everingham et al., The Pascal Visual Object Classes Challenge, IJCV 88 (2010) 303-338, section 4.2,
    and the development kits of 2007 and 2010. The kits count from the first to the last pixel and add one; in
    Signet's frame a right edge is where the last pixel ends, which is the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from signet.arrays import Array, Integers
from signet.boxes import Boxes
from signet.metrics.average_precision import ELEVEN, levels_reached, steps
from signet.metrics.overlaps import Doubles, box_overlaps

Flags = NDArray[np.bool_]
LEAST = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class VocMatches:
    """What was found in N images with C labels, by label and then score, the best first.

    Attributes:
        images: N.
        classes: C.
        image: int64 (D,), of the answers that count.
        label: int64 (D,).
        right: bool (D,).
        truth_image: int64 (G,), of the truths that count.
        truth_label: int64 (G,).
    """

    images: int
    classes: int
    image: Integers
    label: Integers
    right: Flags
    truth_image: Integers
    truth_label: Integers


def match_voc(pairs: Iterable[tuple[Boxes, Boxes]], classes: int) -> VocMatches:
    """Match each image's answer with its truth.

    Args:
        pairs: for each image its answer and its truth; indices from 0 to `classes` - 1.
        classes: C.
    """
    rows: list[tuple[Integers, Integers, Doubles, Flags]] = []
    truths: list[tuple[Integers, Integers]] = []
    images = 0
    for image, (answer, truth) in enumerate(pairs):
        images += 1
        right, counts = _held(answer, truth)
        kept = np.flatnonzero(counts)
        rows.append((np.full(len(kept), image), answer.indices[kept], answer.scores[kept], right[kept]))
        asked = truth.indices[~np.asarray(truth.crowd)]
        truths.append((np.full(len(asked), image), asked))
    image_of, label, score, right = (
        np.concatenate([np.zeros(0, dtype), *(row[column] for row in rows)])
        for column, dtype in enumerate((np.int64, np.int64, np.float64, np.bool_))
    )
    order = np.lexsort((-score, label))
    return VocMatches(
        images,
        classes,
        image_of[order],
        label[order],
        right[order].astype(np.bool_),
        *(np.concatenate([np.zeros(0, np.int64), *(pair[column] for pair in truths)]) for column in (0, 1)),
    )


def voc_precision(matches: VocMatches, weights: Array | None = None) -> tuple[Doubles, Doubles]:
    """Average precision of each label in each of R draws: of all points, and of eleven; float64 (R, C).

    Args:
        matches: what was found.
        weights: float (R, N), how often each image counts; once when None.

    NaN where a draw has no truth of the label.
    """
    given = np.ones((1, matches.images)) if weights is None else np.asarray(weights, np.float64)
    drawn = np.ascontiguousarray(given.T)
    whole, eleven = (np.full((drawn.shape[1], matches.classes), np.nan) for _ in range(2))
    for label in np.unique(matches.truth_label).tolist():
        total = drawn[matches.truth_image[matches.truth_label == label]].sum(axis=0)
        known = total > 0
        first, last = np.searchsorted(matches.label, [label, label + 1])
        curve = steps(matches.right[first:last], matches.image[first:last], drawn)
        share = np.divide(curve.right, total, out=np.zeros_like(curve.right), where=known)
        area = (curve.precision * np.diff(share, axis=0, prepend=0)).sum(axis=0)
        reached = levels_reached(share, ELEVEN)
        points = (curve.precision * np.diff(reached, axis=0, prepend=0)).sum(axis=0) / len(ELEVEN)
        whole[:, label] = np.where(known, area, np.nan)
        eleven[:, label] = np.where(known, points, np.nan)
    return whole, eleven


def _held(answer: Boxes, truth: Boxes) -> tuple[Flags, Flags]:
    """Bool (D,) twice: which answers are right, and which count."""
    right, counts = np.zeros(len(answer), np.bool_), np.ones(len(answer), np.bool_)
    difficult = np.asarray(truth.crowd)
    for label in np.intersect1d(answer.indices, truth.indices):
        places = np.flatnonzero(truth.indices == label)
        rows = np.flatnonzero(answer.indices == label)
        rows = rows[np.argsort(-answer.scores[rows], kind="stable")]
        none = np.zeros(len(places), np.bool_)
        overlaps = box_overlaps(answer.xyxy[rows], truth.xyxy[places], none)
        best, near = overlaps.argmax(axis=1), overlaps.max(axis=1) >= LEAST
        eased = difficult[places][best]
        counts[rows[near & eased]] = False
        # The first answer that is held to a truth has it.
        asked = np.flatnonzero(near & ~eased)
        _, first = np.unique(best[asked], return_index=True)
        right[rows[asked[first]]] = True
    return right, counts
