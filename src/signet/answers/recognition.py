"""Which layout the outputs of a graph without a card look like, and how sure that is.

Shapes are compared with the numbers of cells that an image of this size has at the usual strides; values on a
made picture tell apart what has equal shapes. A proposal is for a person who writes a card: nothing is
predicted with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from signet.geometry import Size

Sureness = Literal["nearly sure", "likely", "possible"]
STRIDES: tuple[tuple[int, ...], ...] = ((8, 16, 32), (8, 16, 32, 64), (16, 32), (4, 8, 16, 32))
"""Of the pyramids in use: most detectors; NanoDet-Plus and those for large images; small ones."""
ANCHORS = 3
"""Boxes for each cell of YOLOv5 and v7."""
NMS = {"iou": 0.6}
_SLACK = 1e-3


@dataclass(frozen=True, slots=True)
class Port:
    """An output of a graph, and what it held for a made picture.

    Attributes:
        name: the graph's own.
        shape: with one image.
        low: least value.
        high: greatest value.
        whole: all values are whole numbers.
        profile: axis to (least, greatest, mean) value at each of its places; short axes only.
    """

    name: str
    shape: tuple[int, ...]
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    profile: Mapping[int, tuple[Sequence[float], Sequence[float], Sequence[float]]] = field(
        default_factory=dict
    )

    @property
    def is_share(self) -> bool:
        """All values lie from 0 to 1."""
        return self.low >= -_SLACK and self.high <= 1 + _SLACK

    def shares(self, axis: int, first: int, last: int | None = None) -> bool:
        """Whether the values at some places of an axis all lie from 0 to 1."""
        lows, highs, _ = self.profile[axis]
        return min(lows[first:last]) >= -_SLACK and max(highs[first:last]) <= 1 + _SLACK


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a graph may be.

    Attributes:
        task: of the card.
        output: its field `output`.
        sure: how sure that is.
        why: what speaks for it, in words.
    """

    task: str
    output: Mapping[str, Any]
    sure: Sureness
    why: str


def recognised(size: Size, outputs: Sequence[Port]) -> list[Proposal]:
    """What the outputs look like, the surest first.

    Args:
        size: (height, width) of the picture that gave them.
        outputs: in the order of the graph.
    """
    if not outputs:
        return []
    order = ("nearly sure", "likely", "possible")
    found = [*_dense(size, outputs), *_lists(outputs), *_maps(size, outputs), *_vectors(outputs)]
    return sorted(found, key=lambda proposal: order.index(proposal.sure))


def cells(size: Size, strides: Sequence[int]) -> int:
    """How many cells an image has at some strides."""
    return sum(-(-size[0] // stride) * -(-size[1] // stride) for stride in strides)


def _dense(size: Size, outputs: Sequence[Port]) -> Iterator[Proposal]:
    """One array with a row or a column for each cell."""
    if len(outputs[0].shape) != 3:
        return
    port = outputs[0]
    _, first, second = port.shape
    for strides in STRIDES:
        count = cells(size, strides)
        words = f"{count:,} boxes are the cells of {size[0]} x {size[1]} at the strides {_listed(strides)}"
        if first == count and 2 in port.profile:
            yield from _rows_of_cells(size, port, strides, words)
        if first == ANCHORS * count and second > 5 and 2 in port.profile and port.shares(2, 4):
            yield Proposal(
                "detect",
                {"head": "yolov5", "classes": second - 5, **_units(port, 2), "nms": NMS},
                "nearly sure",
                f"{first:,} boxes are {ANCHORS} for each of {count:,} cells; from the fifth value on all lie "
                "from 0 to 1",
            )
        if second == count and first > 4 and 1 in port.profile:
            yield from _columns_of_cells(port, outputs[1:], words)


def _rows_of_cells(size: Size, port: Port, strides: tuple[int, ...], words: str) -> Iterator[Proposal]:
    width = port.shape[2]
    lows, highs, _ = port.profile[2]
    leading = next(
        (place for place in range(width) if lows[place] < -_SLACK or highs[place] > 1 + _SLACK), width
    )
    bins, rest = divmod(width - leading, 4)
    if width > 5 and port.shares(2, 4) and leading < 4:
        decoded = highs[0] > size[1] / 2 and highs[1] > size[0] / 2
        output: dict[str, Any] = (
            {"head": "yolov5"} if decoded else {"head": "yolox", "strides": list(strides)}
        )
        made = "centres reach over the image" if decoded else "the first two values are offsets, not places"
        yield Proposal(
            "detect",
            {**output, "classes": width - 5, "nms": NMS},
            "nearly sure",
            f"{words}; from the fifth value on all lie from 0 to 1; {made}",
        )
    elif leading and not rest and bins > 1:
        yield Proposal(
            "detect",
            {"head": "nanodet", "classes": leading, "strides": list(strides), "bins": bins, "nms": NMS},
            "nearly sure" if bins == 8 else "likely",
            f"{words}; {leading} values from 0 to 1, and then 4 x {bins} that are not",
        )


def _columns_of_cells(port: Port, others: Sequence[Port], words: str) -> Iterator[Proposal]:
    values = port.shape[1]
    units = _units(port, 1)
    prototypes = others[0].shape[1] if others and len(others[0].shape) == 4 else 0
    if 4 + prototypes < values and prototypes:
        activated = port.shares(1, 4, values - prototypes)
        yield Proposal(
            "instances",
            {
                "head": "yolov8",
                "classes": values - 4 - prototypes,
                "outputs": {"prototypes": others[0].name or 1},
                **units,
                **({} if activated else {"activation": "sigmoid"}),
                "nms": NMS,
            },
            "nearly sure" if activated else "likely",
            f"{words}, as columns; a second output of {prototypes} maps",
        )
        return
    activated = port.shares(1, 4)
    yield Proposal(
        "detect",
        {
            "head": "yolov8",
            "classes": values - 4,
            **units,
            **({} if activated else {"activation": "sigmoid"}),
            "nms": NMS,
        },
        "nearly sure" if activated else "likely",
        f"{words}, as columns; {'from' if activated else 'but not all from'} the fifth value on "
        "are from 0 to 1",
    )


def _lists(outputs: Sequence[Port]) -> Iterator[Proposal]:
    """Boxes that the graph lists itself."""
    if len(outputs) == 1 and len(outputs[0].shape) == 3 and outputs[0].shape[2] == 6:
        port = outputs[0]
        lows = port.profile[2][0] if 2 in port.profile else ()
        fits = len(lows) == 6 and port.shares(2, 4, 5) and lows[5] >= 0
        yield Proposal(
            "detect",
            {"head": "yolov10"},
            "likely" if fits else "possible",
            f"{port.shape[1]:,} rows of 6 values, the fifth from 0 to 1",
        )
    boxes = [port for port in outputs if len(port.shape) == 3 and port.shape[2] == 4]
    if len(boxes) != 1:
        return
    count = boxes[0].shape[1]
    flat = [port for port in outputs if port is not boxes[0] and port.shape == (1, count)]
    tables = [port for port in outputs if port is not boxes[0] and port.shape[:2] == (1, count) != port.shape]
    if len(outputs) == 4 and len(flat) == 2:
        yield _ssd(outputs, boxes[0], flat)
    elif len(outputs) in (3, 4) and len(flat) == 2:
        scores, classes = sorted(flat, key=lambda port: not port.is_share)
        masks = [port for port in outputs if len(port.shape) in (4, 5)]
        roles = {"boxes": boxes[0].name, "scores": scores.name, "classes": classes.name}
        yield Proposal(
            "instances" if masks else "detect",
            {"head": "mask_rcnn", "outputs": {**roles, "masks": masks[0].name}}
            if masks
            else {"head": "boxes", "outputs": roles, **_units(boxes[0], 2)},
            "likely",
            f"{count:,} boxes with two values each{' and a mask' if masks else ''}",
        )
    elif len(tables) == 1 and len(tables[0].shape) == 3 and boxes[0].is_share:
        yield from _queries(boxes[0], tables[0])


def _ssd(outputs: Sequence[Port], boxes: Port, flat: Sequence[Port]) -> Proposal:
    count = next((port for port in outputs if port is not boxes and port not in flat), outputs[-1])
    # Classes are whole numbers; where both could be, TFLite's own order decides.
    first_is_score = flat[0].is_share and not flat[0].whole
    scores, classes = flat if first_is_score else (flat[1], flat[0])
    places = {port.name: place for place, port in enumerate(outputs)}
    roles = {"boxes": boxes, "classes": classes, "scores": scores, "count": count}
    return Proposal(
        "detect",
        {"head": "ssd", "outputs": {role: places[port.name] for role, port in roles.items()}},
        "nearly sure" if count.whole else "likely",
        f"{boxes.shape[1]} boxes, two values for each, and a count: the post-processing of TFLite",
    )


def _queries(boxes: Port, logits: Port) -> Iterator[Proposal]:
    count, classes = logits.shape[1], logits.shape[2]
    means = logits.profile[2][2] if 2 in logits.profile else ()
    nothing = bool(means) and max(means) == means[-1] and means[-1] > sum(means) / len(means) + 1
    outputs = {"logits": logits.name, "boxes": boxes.name}
    softmax = Proposal(
        "detect",
        {"head": "detr", "classes": classes - 1, "outputs": outputs},
        "likely" if nothing else "possible",
        f"{count} queries; the last of {classes} values is "
        f"{'the greatest on a picture of noise' if nothing else 'not the greatest on a picture of noise'}",
    )
    sigmoid = Proposal(
        "detect",
        {"head": "rtdetr", "classes": classes, "outputs": outputs},
        "possible" if nothing else "likely",
        f"{count} queries with {classes} values, none of which stands for no object",
    )
    yield from (softmax, sigmoid) if classes > 1 else (sigmoid,)


def _maps(size: Size, outputs: Sequence[Port]) -> Iterator[Proposal]:
    """A label or logits for each pixel."""
    port = outputs[0]
    sides = [side for side in port.shape[1:] if side > 1]
    if len(outputs) == 1 and tuple(sides) == size and port.whole and port.low >= 0:
        yield Proposal(
            "segment",
            {"head": "class_map"},
            "likely",
            f"whole numbers from 0 on for each of {size[0]} x {size[1]} pixels",
        )
        return
    if len(port.shape) != 4:
        return
    for channels, axis in (("first", 1), ("last", 3)):
        count = port.shape[axis]
        height, width = (side for place, side in enumerate(port.shape) if place not in (0, axis))
        fits = (
            count > 1 and abs(height / size[0] - width / size[1]) < 0.05 and count < max(height, width, 256)
        )
        if fits and height <= size[0] + 1 and height > 1:
            last = {"channels": "last"} if channels == "last" else {}
            yield Proposal(
                "segment",
                {"head": "pixel_logits", "classes": count, **last},
                "likely" if len(outputs) == 1 else "possible",
                f"{count} maps of {height} x {width}, of the picture's shape",
            )


def _vectors(outputs: Sequence[Port]) -> Iterator[Proposal]:
    """One vector for an image."""
    port = outputs[0]
    if len(port.shape) != 2 or len(outputs) > 2 or port.shape[1] < 2:
        return
    width = port.shape[1]
    means = port.profile[1][2] if 1 in port.profile else ()
    # Whole numbers that sum to 256 are a quantized softmax.
    if means and (
        (port.is_share and abs(sum(means) - 1) < 0.02) or (port.whole and abs(sum(means) - 256) < 12)
    ):
        yield Proposal(
            "classify",
            {"head": "softmax", "classes": width, "already_activated": True},
            "nearly sure",
            f"{width} values that sum to {1 if port.is_share else '256, as a quantized softmax does'}",
        )
        return
    yield Proposal("classify", {"head": "softmax", "classes": width}, "possible", f"{width} values: logits")
    yield Proposal("embed", {"head": "embedding", "width": width}, "possible", f"{width} values: features")


def _units(port: Port, axis: int) -> dict[str, str]:
    """Fractions, where no coordinate is above 1 and a half."""
    highs = port.profile[axis][1] if axis in port.profile else ()
    return {"units": "fraction"} if highs and max(highs[:4]) <= 1.5 else {}


def _listed(strides: Sequence[int]) -> str:
    return ", ".join(map(str, strides))
