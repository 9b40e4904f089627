"""How much answers and truths cover each other: intersection over union, of boxes and of masks.

Source: the COCO evaluation (Lin et al., arXiv:1405.0312; cocodataset.org/#detection-eval). A truth that is a
crowd is asked how much of the *answer* lies in it, so that one crowd can take in many answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from signet.arrays import Array
from signet.errors import BadInput
from signet.masks import Mask

Doubles = NDArray[np.float64]


def box_overlaps(answers: Array, truths: Array, crowd: Array) -> Doubles:
    """float64 (D, G), 0 to 1.

    Args:
        answers: float (D, 4): left, top, right, bottom.
        truths: float (G, 4).
        crowd: bool (G,).

    Corner, width and height are what is compared, as in COCO's files: right is left plus width, rounded as
    often as there, so that a box that just reaches a threshold there does so here.
    """
    given, right = np.asarray(answers, np.float64), np.asarray(truths, np.float64)
    sides, own = given[:, 2:] - given[:, :2], right[:, 2:] - right[:, :2]
    ends = np.minimum((given[:, :2] + sides)[:, None], (right[:, :2] + own)[None])
    both = np.clip(ends - np.maximum(given[:, None, :2], right[None, :, :2]), 0, None).prod(axis=2)
    return _over_union(both, sides.prod(axis=1), own.prod(axis=1), crowd)


def mask_overlaps(answers: Sequence[Mask], truths: Sequence[Mask], crowd: Array) -> Doubles:
    """float64 (D, G), 0 to 1, from whole pixels.

    Raises:
        BadInput: masks of images of different sizes.
    """
    sizes = {mask.size for mask in (*answers, *truths)}
    if len(sizes) > 1:
        raise BadInput(f"masks: expected all of one image's size, got {', '.join(map(str, sorted(sizes)))}.")
    both = np.zeros((len(answers), len(truths)))
    if not len(answers) or not len(truths):
        return both
    counts = [len(mask.counts) for mask in answers]
    firsts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    edges = np.concatenate([np.cumsum(mask.counts) for mask in answers])
    inside = np.concatenate([np.arange(count) % 2 == 1 for count in counts])
    for column, truth in enumerate(truths):
        # Pixels of the truth before each edge: between two edges of its own they grow by all or by none.
        places = np.concatenate([[0], np.cumsum(truth.counts)])
        held = np.concatenate([[0], np.cumsum(np.where(np.arange(len(truth.counts)) % 2, truth.counts, 0))])
        before = np.interp(edges, places, held)
        gained = np.diff(before, prepend=0.0)
        gained[firsts] = before[firsts]
        both[:, column] = np.add.reduceat(np.where(inside, gained, 0.0), firsts)
    areas = np.array([mask.area for mask in answers], np.float64)
    own = np.array([mask.area for mask in truths], np.float64)
    return _over_union(both, areas, own, crowd)


def _over_union(both: Doubles, areas: Doubles, own: Doubles, crowd: Array) -> Doubles:
    """Of zeros where nothing is covered, whatever the areas."""
    either = np.where(np.asarray(crowd, np.bool_)[None], areas[:, None], areas[:, None] + own[None] - both)
    return np.divide(both, either, out=np.zeros_like(both), where=(both > 0) & (either > 0))
