"""From the arrays of a detector to candidates: boxes in the prepared image with their scores. Pure numpy.

One function for each head of `heads.HEADS`; each takes the arrays of one image by role. Boxes that cannot
reach the score floor are left out before anything is computed of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from signet.answers.classes import logistic, softmax
from signet.answers.suppression import Candidates, best
from signet.arrays import Array, Floats, Integers
from signet.errors import BadInput
from signet.geometry import Size
from signet.heads import Head, Suppression

Arrays = Mapping[str, Array]
"""The outputs of one image, by role."""


def candidates(arrays: Arrays, head: Head, size: Size, classes: int | None) -> Candidates:
    """The boxes that a network proposes for one image.

    Args:
        arrays: the head's outputs by role, without the axis of the images.
        head: the constants.
        size: (height, width) of the prepared image.
        classes: how many the card states; None when it states none.

    Raises:
        BadInput: an array has another shape than the head says, or nothing but NaN.
    """
    found = _READ[head.name](arrays, head, size, classes).valid()
    if found.invalid and not len(found) and not any(np.isfinite(array).any() for array in arrays.values()):
        raise BadInput("the network's output: expected numbers, got nothing but NaN or infinities.")
    return found


def _yolox(arrays: Arrays, head: Head, size: Size, classes: int | None) -> Candidates:
    """Offsets in cells and log sides. Source: Ge et al., YOLOX, arXiv:2107.08430, section 2.3."""
    raw = _table(arrays["predictions"], classes, 5)
    corners, strides = _grid(size, head.strides, len(raw))

    def decoded(rows: Integers) -> Floats:
        step = strides[rows, None]
        with np.errstate(over="ignore"):
            sides = np.exp(raw[rows, 2:4]) * step
        return _from_centres((raw[rows, :2] + corners[rows]) * step, sides)

    return _by_objectness(raw, head, decoded)


def _yolov5(arrays: Arrays, head: Head, size: Size, classes: int | None) -> Candidates:
    """Centres and sides, decoded by the graph, with an objectness."""
    raw = _table(arrays["predictions"], classes, 5)
    scale = _scale(head, size)

    def decoded(rows: Integers) -> Floats:
        return _from_centres(raw[rows, :2], raw[rows, 2:4]) * scale

    return _by_objectness(raw, head, decoded)


def _yolov8(arrays: Arrays, head: Head, size: Size, classes: int | None) -> Candidates:
    """Centres and sides, decoded by the graph, channels first, without an objectness."""
    raw = _matrix(arrays["predictions"])
    prototypes = arrays.get("prototypes")
    masks = 0 if prototypes is None else prototypes.shape[0]
    _require_width(raw.shape[0], 4, classes, masks)
    scale = _scale(head, size)

    def decoded(rows: Integers) -> Floats:
        return _from_centres(raw[:2, rows].T, raw[2:4, rows].T) * scale

    scores = raw[4 : len(raw) - masks].T
    return _pairs(scores, head, decoded, _numbers(raw, 0))


def _yolov10(arrays: Arrays, head: Head, size: Size, classes: int | None) -> Candidates:
    """Corners, score and class: the graph has chosen already. Source: arXiv:2405.14458, section 3.1."""
    raw = _matrix(arrays["predictions"])
    if raw.shape[1] != 6:
        raise BadInput(f"the network's output: expected 6 values for each box, got {raw.shape[1]}.")
    return _listed(raw[:, :4] * _scale(head, size), raw[:, 4], raw[:, 5], classes)


def _nanodet(arrays: Arrays, head: Head, size: Size, classes: int | None) -> Candidates:
    """A distribution over the distance to each side. Source: Li et al., arXiv:2006.04388, equation 6."""
    raw = _matrix(arrays["predictions"])
    _require_width(raw.shape[1], 0, classes, 4 * head.bins)
    count = raw.shape[1] - 4 * head.bins
    corners, strides = _grid(size, head.strides, len(raw))

    def decoded(rows: Integers) -> Floats:
        shares = softmax(raw[rows, count:].reshape(len(rows), 4, head.bins))
        sides = (shares @ np.arange(head.bins, dtype=np.float32)) * strides[rows, None]
        centres = (corners[rows] + np.float32(head.origin)) * strides[rows, None]
        return np.concatenate([centres - sides[:, :2], centres + sides[:, 2:]], axis=1)

    return _pairs(raw[:, :count], head, decoded, _numbers(raw, 1))


def _ssd(arrays: Arrays, _head: Head, size: Size, classes: int | None) -> Candidates:
    """TFLite's detection post-processing: top, left, bottom, right as fractions.

    Source: TensorFlow Lite, operator `TFLite_Detection_PostProcess`, `detection_postprocess.cc`.
    """
    count = float(np.asarray(arrays["count"], np.float32).reshape(-1)[0])
    boxes = _matrix(arrays["boxes"])
    if not 0 <= count <= len(boxes):
        raise BadInput(f"the network's output: expected a count from 0 to {len(boxes)}, got {count}.")
    some = slice(0, int(count))
    xyxy = boxes[some][:, [1, 0, 3, 2]] * _sides(size)
    return _listed(xyxy, arrays["scores"].reshape(-1)[some], arrays["classes"].reshape(-1)[some], classes)


def _detr(arrays: Arrays, _head: Head, size: Size, classes: int | None) -> Candidates:
    """A softmax with "no object" last: the best label of each query.

    Source: Carion et al., DETR, arXiv:2005.12872, section 3.1; transformers' `post_process_object_detection`.
    """
    logits = _matrix(arrays["logits"])
    _require_width(logits.shape[1], 1, classes, 0)
    xyxy = _from_fractions(_matrix(arrays["boxes"]), size)
    with np.errstate(invalid="ignore"):
        shares = softmax(logits)[:, :-1]
    labels = shares.argmax(axis=1)
    return _listed(xyxy, shares[np.arange(len(shares)), labels], labels, None)


def _rtdetr(arrays: Arrays, head: Head, size: Size, classes: int | None) -> Candidates:
    """A sigmoid for each label: the best of all pairs of query and label, as many as there are queries.

    Source: Zhao et al., RT-DETR, arXiv:2304.08069; transformers' `post_process_object_detection`.
    """
    logits = _matrix(arrays["logits"])
    _require_width(logits.shape[1], 0, classes, 0)
    scores = logistic(logits).reshape(-1)
    known = np.flatnonzero(np.isfinite(scores))
    most = _suppression(head).after or len(logits)
    pairs = known[best(scores[known], most)]
    rows, labels = pairs // logits.shape[1], pairs % logits.shape[1]
    xyxy = _from_fractions(_matrix(arrays["boxes"])[rows], size)
    bad = int((~np.isfinite(logits)).any(axis=1).sum())
    return Candidates(xyxy, scores[pairs], labels, rows, bad)


def _boxes(arrays: Arrays, head: Head, size: Size, classes: int | None) -> Candidates:
    """Corners, scores and classes in arrays of their own; a score of 0 fills up."""
    xyxy = _matrix(arrays["boxes"]) * _scale(head, size)
    return _listed(xyxy, arrays["scores"], arrays["classes"], classes)


_READ: Mapping[str, Callable[[Arrays, Head, Size, int | None], Candidates]] = {
    "yolox": _yolox,
    "yolov5": _yolov5,
    "yolov8": _yolov8,
    "yolov10": _yolov10,
    "nanodet": _nanodet,
    "ssd": _ssd,
    "detr": _detr,
    "rtdetr": _rtdetr,
    "boxes": _boxes,
    "mask_rcnn": _boxes,
}


def _by_objectness(raw: Floats, head: Head, decoded: Callable[[Integers], Floats]) -> Candidates:
    """Candidates of rows whose score is objectness times class.

    Neither is above 1, so the objectness alone says which rows can reach the floor.
    """
    numbers = _numbers(raw, 1)
    able = np.flatnonzero(numbers & (raw[:, 4] >= _least(head)))
    found = _pairs(
        raw[able, 5:],
        head,
        lambda rows: decoded(able[rows]),
        np.ones(len(able), np.bool_),
        _activated(raw[able, 4], head),
    )
    return Candidates(found.xyxy, found.scores, found.classes, able[found.rows], int((~numbers).sum()))


def _pairs(
    raw: Floats,
    head: Head,
    decoded: Callable[[Integers], Floats],
    numbers: Array,
    objectness: Floats | None = None,
) -> Candidates:
    """Candidates of a table of class scores (A, C): each row's best class, or all that reach the floor.

    Args:
        raw: the scores, before their activation.
        head: the constants.
        decoded: boxes of some rows.
        numbers: (A,), rows that hold numbers only.
        objectness: (A,), a factor.
    """
    how, least = _suppression(head), _least(head)
    if how.multi_label:
        rows, labels = np.nonzero((raw >= least) & numbers[:, None])
    else:
        rows = np.flatnonzero((raw.max(axis=1) >= least) & numbers)
        labels = raw[rows].argmax(axis=1)
    scores = _activated(raw[rows, labels], head)
    if objectness is not None:
        scores = scores * objectness[rows]
    chosen = best(scores, how.before)
    rows, labels = rows[chosen], labels[chosen]
    return Candidates(decoded(rows), scores[chosen], labels, rows, int((~numbers).sum()))


def _listed(xyxy: Floats, scores: Array, labels: Array, classes: int | None) -> Candidates:
    """Candidates that the graph lists itself."""
    count = len(xyxy)
    scores, labels = scores.reshape(-1).astype(np.float32), labels.reshape(-1)
    if len(scores) != count or len(labels) != count:
        raise BadInput(
            f"the network's output: expected {count} scores and classes, one for each box, got "
            f"{len(scores)} and {len(labels)}."
        )
    # What fills the list up has a score of 0, and any class.
    filled = ~(scores == 0)
    rows = np.flatnonzero(filled & np.isfinite(labels.astype(np.float64)))
    whole = np.rint(labels[rows]).astype(np.int64)
    if len(whole) and (whole.min() < 0 or (classes is not None and whole.max() >= classes)):
        raise BadInput(
            f"the network's output: expected classes from 0{'' if classes is None else f' to {classes - 1}'},"
            f" got {int(whole.min())} to {int(whole.max())}."
        )
    return Candidates(xyxy[rows], scores[rows], whole, rows, int(filled.sum()) - len(rows))


def _grid(size: Size, strides: Sequence[int], rows: int) -> tuple[Floats, Floats]:
    """(x and y of each row's cell, in cells; its stride): level after level, row after row."""
    corners: list[Array] = []
    steps: list[Array] = []
    for stride in strides:
        high, wide = -(-size[0] // stride), -(-size[1] // stride)
        y, x = np.divmod(np.arange(high * wide), wide)
        corners.append(np.stack([x, y], axis=1))
        steps.append(np.full(high * wide, stride))
    count = sum(map(len, steps))
    if count != rows:
        raise BadInput(
            f"the network's output: expected {count} boxes, one for each cell of {size[0]} x {size[1]} "
            f"pixels at the strides {', '.join(map(str, strides))}, got {rows}. Correct the card's strides."
        )
    return np.concatenate(corners).astype(np.float32), np.concatenate(steps).astype(np.float32)


def _numbers(raw: Floats, axis: int) -> Array:
    """Bool: boxes whose values are all finite."""
    numbers: Array = np.all(np.isfinite(raw), axis=axis)
    return numbers


def _table(array: Array, classes: int | None, before: int) -> Floats:
    raw = _matrix(array)
    _require_width(raw.shape[1], before, classes, 0)
    return raw


def _matrix(array: Array) -> Floats:
    """As float32 of two axes.

    Raises:
        BadInput: another number of axes, or whole numbers whose scale is not known.
    """
    if array.ndim != 2:
        raise BadInput(f"the network's output: expected (boxes, values) for an image, got {array.shape}.")
    if array.dtype.kind != "f":
        raise BadInput(f"the network's output: expected float values, got {array.dtype}.")
    return array.astype(np.float32, copy=False)


def _require_width(width: int, before: int, classes: int | None, after: int) -> None:
    """An axis of so many values: those before the classes, the classes, those after them."""
    rest = width - before - after
    if rest < 1 or (classes is not None and rest != classes):
        words = "at least 1 class" if classes is None else f"{classes} classes"
        parts = f"{before} + {words}{f' + {after}' if after else ''}"
        raise BadInput(f"the network's output: expected {parts} for each box, got {width} values.")


def _suppression(head: Head) -> Suppression:
    return head.suppression or Suppression()


def _least(head: Head) -> float:
    """What a score must reach before its activation, with room for the activation's rounding."""
    floor = _suppression(head).score_floor
    if head.activation == "none":
        return floor
    return math.log(floor / (1 - floor)) - 1e-3 if 0 < floor < 1 else -math.inf


def _activated(scores: Floats, head: Head) -> Floats:
    return logistic(scores) if head.activation == "sigmoid" else scores


def _from_centres(centres: Floats, sides: Floats) -> Floats:
    return np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)


def _from_fractions(cxcywh: Floats, size: Size) -> Floats:
    if cxcywh.shape[1] != 4:
        raise BadInput(f"the network's output: expected 4 values for each box, got {cxcywh.shape[1]}.")
    return _from_centres(cxcywh[:, :2], cxcywh[:, 2:]) * _sides(size)


def _sides(size: Size) -> Floats:
    return np.array([size[1], size[0], size[1], size[0]], np.float32)


def _scale(head: Head, size: Size) -> Floats:
    return _sides(size) if head.units == "fraction" else np.ones(4, np.float32)
