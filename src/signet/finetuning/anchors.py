"""Shapes of boxes that a detector with anchors begins from, fitted to the objects that it is to learn."""

from __future__ import annotations

import numpy as np

from signet.arrays import Floats
from signet.boxes import Doubles

_MOST_ROUNDS = 300


def fitted(shapes_K2: Floats, count: int) -> Floats:
    """The shapes that objects are nearest to, by k-means with 1 - IoU as the distance.

    The first shapes are means of equal parts of the objects in order of area, so that nothing is drawn and
    the same objects give the same anchors. One that no object is nearest to stays where it is.

    Args:
        shapes_K2: float32 (K, 2), widths and heights in pixels, greater than 0.
        count: how many anchors; K or fewer.

    Returns:
        float32 (`count`, 2), by area, the smallest first.

    Source: Redmon & Farhadi, YOLO9000 (2017), arXiv:1612.08242, section 2, "Dimension Clusters".
    """
    ordered = shapes_K2[np.lexsort((shapes_K2[:, 0], shapes_K2.prod(axis=1)))].astype(np.float64)
    centres = np.stack([part.mean(axis=0) for part in np.array_split(ordered, count)])
    nearest = np.full(len(ordered), -1)
    for _ in range(_MOST_ROUNDS):
        before, nearest = nearest, overlaps(ordered, centres).argmax(axis=1)
        if (nearest == before).all():
            break
        for place in np.unique(nearest):
            centres[place] = ordered[nearest == place].mean(axis=0)
    result: Floats = centres[np.argsort(centres.prod(axis=1), kind="stable")].astype(np.float32)
    return result


def overlap_of(shapes_K2: Floats, anchors_A2: Floats) -> float:
    """Mean over the objects of the IoU with the best anchor, both about one centre; 0 to 1."""
    return float(overlaps(shapes_K2, anchors_A2).max(axis=1).mean())


def overlaps(shapes_K2: Floats | Doubles, anchors_A2: Floats | Doubles) -> Doubles:
    """float64 (K, A): IoU of each object with each anchor, both about one centre."""
    inner_KA = np.minimum(shapes_K2[:, None], anchors_A2).prod(axis=2, dtype=np.float64)
    areas_K, areas_A = shapes_K2.prod(axis=1, dtype=np.float64), anchors_A2.prod(axis=1, dtype=np.float64)
    result: Doubles = inner_KA / (areas_K[:, None] + areas_A - inner_KA)
    return result
