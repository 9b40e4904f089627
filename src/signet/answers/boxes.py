"""From candidates in the prepared image to boxes and instances in the original. Pure numpy.

Corners are clipped to the image and rounded to a thousandth of a pixel, scores to a millionth, here and
nowhere else: what is written is what is evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from signet.answers import masks as pixels
from signet.answers.classes import logistic, softmax
from signet.answers.layouts import candidates
from signet.answers.suppression import Candidates, best, selected
from signet.arrays import Array, Floats
from signet.boxes import Boxes, Doubles
from signet.cards import OutputContract
from signet.errors import BadInput
from signet.geometry import Geometry, Size
from signet.heads import Head, Suppression
from signet.instances import Instances
from signet.masks import Mask

PIXEL_DECIMALS = 3
SCORE_DECIMALS = 6


class Reading(NamedTuple):
    """What is the same for every image of a model.

    Attributes:
        head: the constants of its layout.
        contract: how many classes, and whether the first is a background without a label.
        labels: names; None for numbers.
    """

    head: Head
    contract: OutputContract
    labels: Sequence[str] | None


def boxes(arrays: Mapping[str, Array], geometry: Geometry, reading: Reading, source: str) -> Boxes:
    """A detector's answer for one image.

    Args:
        arrays: the outputs of one image, by role.
        geometry: from the original to the prepared image.
        reading: head, contract, labels.
        source: where the image came from.

    Raises:
        BadInput: the arrays are not those of the head.
    """
    found = _selected(arrays, geometry.prepared, reading)
    return _answer(found, _home(found.xyxy, geometry), geometry.original, reading, source)[0]


def instances(arrays: Mapping[str, Array], geometry: Geometry, reading: Reading, source: str) -> Instances:
    """An instance segmenter's answer for one image; see `boxes`."""
    head = reading.head
    if head.name == "mask2former":
        return _of_queries(arrays, geometry, reading, source)
    found = _selected(arrays, geometry.prepared, reading)
    corners = _home(found.xyxy, geometry)
    answer, left = _answer(found, corners, geometry.original, reading, source)
    rows, corners = found.rows[left], corners[left]
    if head.name == "mask_rcnn":
        cells = _cells(arrays["masks"])
        _require_rows(len(cells), arrays["boxes"])
        made = [
            pixels.pasted(cells[row], box, geometry.original, head.mask_threshold)
            for row, box in zip(rows.tolist(), corners, strict=True)
        ]
    else:
        made = _of_prototypes(arrays, rows, geometry, answer.xyxy, head)
    return Instances(answer, tuple(made))


def _selected(arrays: Mapping[str, Array], size: Size, reading: Reading) -> Candidates:
    proposed = candidates(arrays, reading.head, size, reading.contract.classes)
    if reading.contract.drop_first:
        named = proposed.at(proposed.classes > 0)
        proposed = Candidates(named.xyxy, named.scores, named.classes - 1, named.rows, named.invalid)
    return selected(proposed, reading.head.suppression or Suppression())


def _home(xyxy: Floats, geometry: Geometry) -> Doubles:
    """Corners in pixels of the original, float64 (K, 4), not clipped."""
    corners: Doubles = geometry.to_original(xyxy.astype(np.float64).reshape(-1, 2, 2)).reshape(-1, 4)
    return corners


def _answer(
    found: Candidates, corners: Doubles, size: Size, reading: Reading, source: str
) -> tuple[Boxes, Array]:
    """(the boxes, which of the candidates they are): clipped and rounded, what is outside left out."""
    limits = np.array([size[1], size[0], size[1], size[0]], np.float64)
    xyxy = np.clip(corners, 0, limits).round(PIXEL_DECIMALS)
    left = np.flatnonzero((xyxy[:, 2:] > xyxy[:, :2]).all(axis=1))
    indices = found.classes[left]
    scores = np.clip(found.scores[left].astype(np.float64), 0, 1).round(SCORE_DECIMALS)
    answer = Boxes(
        xyxy[left],
        scores,
        indices,
        _names(indices, reading.labels),
        size,
        source=source,
        invalid=found.invalid,
    )
    return answer, left


def _names(indices: Array, labels: Sequence[str] | None) -> tuple[str, ...]:
    if labels is None:
        return tuple(f"class {index}" for index in indices.tolist())
    if len(indices) and indices.max() >= len(labels):
        raise BadInput(
            f"the network's output: expected classes from 0 to {len(labels) - 1}, as there are labels, got "
            f"{int(indices.max())}."
        )
    return tuple(labels[index] for index in indices.tolist())


def _of_prototypes(
    arrays: Mapping[str, Array], rows: Array, geometry: Geometry, xyxy: Doubles, head: Head
) -> list[Mask]:
    """Each box's values mix the prototypes; the sigmoid of it is the probability, within the box.

    Source: Bolya et al., YOLACT, arXiv:1904.02689, section 3.2 and 3.3.
    """
    prototypes = _cells(arrays["prototypes"])
    weights = arrays["predictions"][-len(prototypes) :, rows].astype(np.float32)
    made = []
    for place, box in enumerate(xyxy):
        cells = logistic(np.tensordot(weights[:, place], prototypes, 1))
        made.append(pixels.of_map(cells, geometry, head.mask_threshold, box))
    return made


def _of_queries(arrays: Mapping[str, Array], geometry: Geometry, reading: Reading, source: str) -> Instances:
    """The best pairs of query and label, each with its map; a box is the least that holds the pixels.

    The score is that of the label times the mean probability of the map's cells that are inside.

    Source: Cheng et al., Mask2Former, arXiv:2112.01527, appendix; transformers'
    `post_process_instance_segmentation`, which finds that mean at 384 x 384 and cuts the pixels to nearest.
    """
    head, contract = reading.head, reading.contract
    how = head.suppression or Suppression()
    maps = _cells(arrays["masks"])
    logits = np.asarray(arrays["logits"], np.float32)
    if logits.ndim != 2 or len(logits) != len(maps) or logits.shape[1] < 2:
        raise BadInput(
            f"the network's output: expected logits (queries, classes + 1) for {len(maps)} maps, got "
            f"{logits.shape}."
        )
    if contract.classes is not None and logits.shape[1] != contract.classes + 1:
        raise BadInput(
            f"the network's output: expected {contract.classes} classes and one for no object, got "
            f"{logits.shape[1]} values."
        )
    numbers = np.flatnonzero(np.isfinite(logits).all(axis=1) & np.isfinite(maps).all(axis=(1, 2)))
    if not len(numbers):
        raise BadInput("the network's output: expected numbers, got a NaN or an infinity in each query.")
    shares = softmax(logits[numbers])[:, int(contract.drop_first) : -1]
    pairs = best(shares.reshape(-1), how.before or len(logits))
    queries, labels = numbers[pairs // shares.shape[1]], pairs % shares.shape[1]
    threshold = _logit(head.mask_threshold)
    means = {query: _mean_inside(maps[query], threshold) for query in set(queries.tolist())}
    scores = shares.reshape(-1)[pairs] * np.array([means[query] for query in queries.tolist()], np.float32)
    able = best(scores)
    able = able[(scores[able] >= how.score_floor) & (scores[able] > 0)]
    chosen: list[int] = []
    made: list[Mask] = []
    drawn: dict[int, Mask] = {}
    for place in able.tolist():
        if len(made) == how.after:
            break
        query = int(queries[place])
        if query not in drawn:
            drawn[query] = pixels.of_map(maps[query], geometry, threshold)
        if drawn[query].area:
            chosen.append(place)
            made.append(drawn[query])
    corners = np.array([mask.bounds for mask in made], np.float64).reshape(-1, 4)
    places = np.array(chosen, np.int64)
    found = Candidates(
        corners.astype(np.float32), scores[places], labels[places], queries[places], len(maps) - len(numbers)
    )
    return Instances(_answer(found, corners, geometry.original, reading, source)[0], tuple(made))


def _mean_inside(cells: Floats, threshold: float) -> float:
    """The mean probability of the cells above a threshold; 0 when none is."""
    inside = cells[cells > threshold]
    return float(logistic(inside).mean()) if inside.size else 0.0


def _logit(probability: float) -> float:
    with np.errstate(divide="ignore"):
        return float(np.log(np.float64(probability)) - np.log1p(-np.float64(probability)))


def _cells(array: Array) -> Floats:
    """Small masks as float32 (K, h, w); an axis of one channel is left out.

    Raises:
        BadInput: they are not.
    """
    if array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 3 or array.dtype.kind != "f":
        raise BadInput(
            f"the network's output: expected masks (boxes, height, width), got {array.dtype} {array.shape}."
        )
    return array.astype(np.float32, copy=False)


def _require_rows(count: int, listed: Array) -> None:
    if count != len(listed):
        raise BadInput(f"the network's output: expected {len(listed)} masks, one for each box, got {count}.")
