"""What a head's name in a card means: which outputs it reads, which constants a card may state of it.

`HEADS` has a row for each layout of detectors and segmenters; `Head.of` makes of a card's `output` the typed
constants, strictly. The layouts themselves are in `docs/decisions/0023-three-more-tasks.md`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from signet.errors import BadCard, UnknownName

Place = str | int
"""Name or position of an output of the network."""
Decay = Literal["linear", "gaussian"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """Which of the boxes that a network gives are answers: the card's `nms`.

    Attributes:
        iou: a box that overlaps a better one by more is left out; None for no suppression.
        class_wise: only boxes of one class suppress each other.
        score_floor: boxes below it are no candidates; a score of 0 never is one.
        before: at most so many candidates are compared, the best ones; None for all.
        after: at most so many are answers; None for all.
        multi_label: each class of a box that passes the floor is a candidate, not only its best one.
        soft: lower the score of an overlapping box instead: "linear" above `iou`, "gaussian" always.
        sigma: width of the gaussian.
    """

    iou: float | None = None
    class_wise: bool = True
    score_floor: float = 0.0
    before: int | None = None
    after: int | None = None
    multi_label: bool = False
    soft: Decay | None = None
    sigma: float = 0.5

    def words(self) -> str:
        """The same for a person, in one sentence without its end."""
        said = [f"scores from {self.score_floor:g}" if self.score_floor else "every score above 0"]
        alike = "of one label" if self.class_wise else "of any label"
        if self.soft is not None:
            above = f"overlap by more than {self.iou:g}" if self.soft == "linear" else "overlap"
            said.append(f"lowered ({self.soft}) where boxes {alike} {above}")
        elif self.iou is not None:
            said.append(f"the best of boxes {alike} that overlap by more than {self.iou:g}")
        if self.multi_label:
            said.append("each label of a box counts")
        if self.after is not None:
            said.append(f"at most {self.after} an image")
        return ", ".join(said)


DENSE = Suppression(score_floor=0.01, before=1000, after=100, multi_label=True)
"""What a card of a layout with a box for each cell may leave out: as COCO's figures are made, which count at
most 100 boxes an image, and each label of a box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One row of the table of heads.

    Attributes:
        tasks: whose models have it.
        roles: what its outputs are, in order, each with its place where the card names none.
        more: outputs that only one of its tasks has.
        fields: fields of the card's `output` that it takes, beside those of every head.
        required: those of them that have no default.
        suppression: what `nms` says where the card leaves it out; None where there are no boxes.
    """

    tasks: tuple[str, ...]
    roles: Mapping[str, Place]
    fields: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    suppression: Suppression | None = Suppression()
    more: Mapping[str, Place] = field(default_factory=dict)


def _dense(*fields: str, required: tuple[str, ...] = ()) -> Layout:
    """A box for each cell, most of them to be suppressed."""
    return Layout(
        tasks=("detect",),
        roles={"predictions": 0},
        fields=frozenset({"nms", *fields, *required}),
        required=frozenset({"nms", *required}),
        suppression=DENSE,
    )


_PAIR: Mapping[str, Place] = {"logits": "logits", "boxes": "boxes"}
_LISTED: Mapping[str, Place] = {"boxes": "boxes", "scores": "scores", "classes": "classes"}

HEADS: Mapping[str, Layout] = MappingProxyType(
    {
        "yolox": _dense("activation", "box", "score", required=("strides",)),
        "yolov5": _dense("activation", "units"),
        "yolov8": dataclasses.replace(
            _dense("activation", "units", "mask_threshold"),
            tasks=("detect", "instances"),
            more={"prototypes": 1},
        ),
        "yolov10": Layout(tasks=("detect",), roles={"predictions": 0}, fields=frozenset({"nms", "units"})),
        "nanodet": _dense("activation", "origin", required=("strides", "bins")),
        "ssd": Layout(
            tasks=("detect",),
            roles={"boxes": 0, "classes": 1, "scores": 2, "count": 3},
            fields=frozenset({"nms"}),
        ),
        "detr": Layout(tasks=("detect",), roles=_PAIR, fields=frozenset({"nms"})),
        "rtdetr": Layout(tasks=("detect",), roles=_PAIR, fields=frozenset({"nms"})),
        "boxes": Layout(tasks=("detect",), roles=_LISTED, fields=frozenset({"nms", "units"})),
        "mask_rcnn": Layout(
            tasks=("instances",),
            roles={**_LISTED, "masks": "masks"},
            fields=frozenset({"nms", "units", "mask_threshold"}),
        ),
        "mask2former": Layout(
            tasks=("instances",),
            roles={"logits": "logits", "masks": "masks"},
            fields=frozenset({"nms", "mask_threshold"}),
        ),
        "class_map": Layout(tasks=("segment",), roles={"map": 0}, suppression=None),
        "pixel_logits": Layout(
            tasks=("segment",), roles={"logits": 0}, fields=frozenset({"channels"}), suppression=None
        ),
    }
)
"""Every layout that is read, by the name that a card gives to it.

Source: the networks' own exports and post-processing: YOLOX `tools/export_onnx.py`, NanoDet-Plus
`nanodet_plus_head.py` (priors at the cells' corners), TFLite's operator `TFLite_Detection_PostProcess`,
transformers' `post_process_*` of DETR, RT-DETR, Mask2Former and SegFormer.
"""

_WORDS: Mapping[str, tuple[str, ...]] = {
    "activation": ("none", "sigmoid"),
    "units": ("pixels", "fraction"),
    "channels": ("first", "last"),
    "box": ("grid cxcywh, exp size",),
    "score": ("objectness * class",),
}
"""Fields that are one of some words; the first is meant where the card says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The constants of one model's head, checked.

    Attributes:
        name: its row in `HEADS`.
        places: role to name or position of the output.
        suppression: which boxes are answers; None for a head without boxes.
        strides: pixels of a cell of each level, the finest first.
        bins: values of the distribution over a side's distance.
        origin: where in its cell a distance is measured from: 0 is the corner, 0.5 the middle.
        activation: what is still to be done to scores: "none", or "sigmoid".
        units: of coordinates: "pixels" of the prepared image, or a "fraction" of its sides.
        channels: "first" or "last": the axis of the labels.
        mask_threshold: a pixel belongs to an object when its probability is above it.
    """

    name: str
    places: Mapping[str, Place]
    suppression: Suppression | None = None
    strides: tuple[int, ...] = ()
    bins: int = 0
    origin: float = 0.0
    activation: Literal["none", "sigmoid"] = "none"
    units: Literal["pixels", "fraction"] = "pixels"
    channels: Literal["first", "last"] = "first"
    mask_threshold: float = 0.5

    def from_score(self, least: float) -> Head:
        """The same where only answers from a score on are wanted: what is below it is no candidate.

        The others stay what they were, for a box suppresses, or lowers, only boxes of lower scores.
        """
        how = self.suppression or Suppression()
        return replace(self, suppression=replace(how, score_floor=max(how.score_floor, least)))

    @classmethod
    def of(cls, name: str, stated: Mapping[str, Any], tensor: Place = 0) -> Head:
        """From the fields of a card's `output` that are not those of every head.

        Args:
            name: the head.
            stated: `OutputContract.extra`.
            tensor: `OutputContract.tensor`: the first output, where the head has one main output.

        Raises:
            BadCard: no such head, an unknown or missing field, or a value that the field cannot have.
        """
        if name not in HEADS:
            raise BadCard(str(UnknownName("head", name, HEADS, f"Known: {', '.join(HEADS)}.")))
        row = HEADS[name]
        known = row.fields | {"outputs"}
        for key in stated:
            if key not in known:
                raise BadCard(str(UnknownName(f"output field of the head {name!r}", key, known)))
        missing = sorted(key for key in row.required if stated.get(key) is None)
        if missing:
            raise BadCard(
                f"a card's output: the head {name!r} needs the field {missing[0]!r}, which is missing."
            )
        values: dict[str, Any] = {
            key: _checked(f"output field {key!r}", stated[key], _CHECKS[key])
            for key in ("strides", "bins", "origin", "mask_threshold")
            if key in stated
        }
        for key, words in _WORDS.items():
            if stated.get(key, words[0]) not in words:
                raise BadCard(f"output field {key!r}: expected {' or '.join(words)}, got {stated[key]!r}.")
            if key in stated and key not in ("box", "score"):
                values[key] = stated[key]
        suppression = row.suppression and _suppression(stated.get("nms"), row.suppression)
        return cls(name=name, places=_places(row, stated, tensor), suppression=suppression, **values)


def _places(row: Layout, stated: Mapping[str, Any], tensor: Place) -> Mapping[str, Place]:
    """Role to place: those of the card's `outputs`, else of its `tensor`, else of the layout."""
    given = stated.get("outputs") or {}
    if not isinstance(given, Mapping):
        raise BadCard(f"output field 'outputs': expected names or positions by role, got {given!r}.")
    roles = dict(row.roles)
    if len(roles) == 1:
        roles = dict.fromkeys(roles, tensor)
    roles |= row.more
    for role, place in given.items():
        if role not in roles:
            raise BadCard(
                str(UnknownName("role of an output", str(role), roles, f"Known: {', '.join(roles)}."))
            )
        roles[role] = _checked(f"output {role!r}", place, _is_place)
    return MappingProxyType(roles)


def _suppression(stated: object, default: Suppression) -> Suppression:
    """A card's `nms`.

    Raises:
        BadCard: an unknown field, or a value that it cannot have.
    """
    if stated is None:
        return default
    if not isinstance(stated, Mapping):
        raise BadCard(f"output field 'nms': expected an object with named fields, got {stated!r}.")
    values: dict[str, Any] = {}
    for key, value in stated.items():
        if key == "note" and isinstance(value, str):
            continue
        if key not in _NMS:
            raise BadCard(str(UnknownName("field of nms", str(key), (*_NMS, "note"))))
        values[key] = _checked(f"nms field {key!r}", value, _NMS[key])
    if default is DENSE and "iou" not in values:
        raise BadCard("output field 'nms': expected the field 'iou', which is missing.")
    made = dataclasses.replace(default, **values)
    if made.soft == "linear" and made.iou is None:
        raise BadCard("output field 'nms': soft suppression that is linear needs the field 'iou'.")
    return made


Check = Callable[[Any], str]
"""What was expected of a value, in words; "" when it fits."""


def _checked(words: str, value: Any, check: Check) -> Any:
    expected = check(value)
    if expected:
        raise BadCard(f"{words}: expected {expected}, got {value!r}.")
    return tuple(value) if isinstance(value, list) else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_place(value: Any) -> str:
    fits = isinstance(value, str) or _is_count(value) or (value == 0 and not isinstance(value, bool))
    return "" if fits else "the name or the position of an output"


def _is_fraction(value: Any) -> str:
    return "" if _is_number(value) and 0 <= value <= 1 else "a number from 0 to 1"


def _is_limit(value: Any) -> str:
    return "" if value is None or _is_count(value) else "a whole number above 0, or null for all"


def _is_flag(value: Any) -> str:
    return "" if isinstance(value, bool) else "true or false"


_CHECKS: Mapping[str, Check] = {
    "strides": lambda value: (
        ""
        if isinstance(value, list | tuple) and value and all(_is_count(stride) for stride in value)
        else "a list of whole numbers above 0"
    ),
    "bins": lambda value: "" if _is_count(value) and value > 1 else "a whole number above 1",
    "origin": _is_fraction,
    "mask_threshold": _is_fraction,
}
_NMS: Mapping[str, Check] = {
    "iou": lambda value: "" if value is None else _is_fraction(value),
    "class_wise": _is_flag,
    "score_floor": _is_fraction,
    "before": _is_limit,
    "after": _is_limit,
    "multi_label": _is_flag,
    "soft": lambda value: "" if value in (None, "linear", "gaussian") else "'linear', 'gaussian' or null",
    "sigma": lambda value: "" if _is_number(value) and value > 0 else "a number above 0",
}
