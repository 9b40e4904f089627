"""The preprocessing program: what is done to an image before the network sees it, as data.

A program is a list of steps, in any order. It says everything, so nothing is ever a hidden default of
the code: what a JSON step leaves out has the default that its class in `steps.py` states, and `to_list`
writes every field. An unknown step or field is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from signet.errors import BadCard, UnknownName
from signet.geometry import Size
from signet.steps import (
    GEOMETRIC,
    Crop,
    Layout,
    Normalise,
    Order,
    Pad,
    Range,
    Read,
    Resize,
    Step,
    Type,
)

_CHOICES: dict[str, tuple[object, ...]] = {
    "channels": ("RGB", "L"),
    "fit": ("short", "stretch", "pad"),
    "filter": ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"),
    "rounding": ("floor", "round", "ceil"),
    "anchor": ("center", "top-left"),
    "dtype": ("uint8", "float32"),
    "lengths": ("factor", "short"),
    "RGB or BGR": ("RGB", "BGR"),
    "NCHW or NHWC": ("NCHW", "NHWC"),
}


_STEPS: dict[str, type[Step]] = {
    step.name: step for step in (Read, Crop, Resize, Pad, Range, Normalise, Order, Layout, Type)
}


@dataclass(frozen=True, slots=True)
class Program:
    """A sequence of steps, the first of which is `Read`."""

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if not self.steps or not isinstance(self.steps[0], Read):
            raise BadCard("a program: expected its first step to be 'read'.")
        if any(isinstance(step, Read) for step in self.steps[1:]):
            raise BadCard("a program: expected one 'read', got several.")

    @classmethod
    def from_list(cls, steps: Sequence[Mapping[str, Any]]) -> Program:
        """From the JSON form, strictly.

        Raises:
            BadCard: an unknown step or field, or a value out of range.
        """
        if not isinstance(steps, list | tuple):
            raise BadCard(f"a program: expected a list of steps, got {_shown(steps)}.")
        return cls(tuple(_step(step) for step in steps))

    def to_list(self) -> list[dict[str, Any]]:
        """The JSON form, every field written."""
        rows = []
        for step in self.steps:
            fields = {field.name: getattr(step, field.name) for field in dataclasses.fields(step)}
            plain = {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in fields.items()
                if value is not None
            }
            rows.append({"step": step.name, **plain})
        return rows

    @property
    def digest(self) -> str:
        """sha256, as hex, of the canonical JSON form."""
        text = json.dumps(self.to_list(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def split(self) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
        """(geometric steps, numeric steps): the second part is what an engine may fuse.

        The cut is after the last geometric step, so numeric steps before it stay in the first part.
        """
        last = max(i for i, step in enumerate(self.steps) if isinstance(step, GEOMETRIC))
        return self.steps[: last + 1], self.steps[last + 1 :]

    def input_size(self) -> Size | None:
        """(height, width) that every image ends with, or None when it depends on the image."""
        size: Size | None = None
        most: Size | None = None  # neither side is longer than this
        for step in self.steps:
            match step:
                case Crop(size=box) if box is not None:
                    size = most = box
                case Resize(fit="stretch", size=to, upscale=True):
                    size = most = to
                case Pad(to=to) if to and most and most[0] <= to[0] and most[1] <= to[1]:
                    size = most = to
                case Resize(fit="pad", size=to):
                    size, most = None, to
                case Crop() | Resize() | Pad():
                    size = most = None
                case _:
                    pass
        return size

    def words(self) -> list[str]:
        """One line for each step, for a person."""
        return [step.words() for step in self.steps]


def _step(fields: Mapping[str, Any]) -> Step:
    if not isinstance(fields, Mapping):
        raise BadCard(f'a program step: expected {{"step": NAME, ...}}, got {_shown(fields)}.')
    values = dict(fields)
    kind = values.pop("step", None)
    if not isinstance(kind, str) or kind not in _STEPS:
        raise BadCard(str(UnknownName("program step", str(kind), _STEPS, _known(_STEPS))))
    step = _STEPS[kind]
    known = [field.name for field in dataclasses.fields(step)]
    for key, value in values.items():
        if key not in known:
            raise BadCard(str(UnknownName(f"field of step {kind!r}", key, known, _known(known))))
        values[key] = _value(kind, key, value)
    try:
        return step(**values)
    except TypeError as error:
        raise BadCard(f"program step {kind!r}: {error}.") from error


def _value(kind: str, key: str, value: Any) -> Any:
    """One field's value, checked; lists become tuples."""
    choice = {"order": {"order": "RGB or BGR", "layout": "NCHW or NHWC"}.get(kind, key)}.get(key, key)
    if choice in _CHOICES and value not in _CHOICES[choice]:
        allowed = ", ".join(map(repr, _CHOICES[choice]))
        raise BadCard(f"program step {kind!r}: {key} is one of {allowed}; got {_shown(value)}.")
    match key, value:
        case (("orient" | "antialias" | "upscale"), bool()):
            return value
        case (("orient" | "antialias" | "upscale"), _):
            wanted = "true or false"
        case (("size" | "to"), [height, width]) if _whole(height, 1) and _whole(width, 1):
            return (height, width)
        case (("size" | "to"), _):
            wanted = "[height, width] in pixels"
        case (("short" | "longest" | "multiple"), _) if _whole(value, 1):
            return value
        case (("short" | "longest" | "multiple"), _):
            wanted = "a whole number of pixels above 0"
        case (("value" | "fill"), _) if _whole(value, 0, 255):
            return value
        case (("value" | "fill"), [_, _, _]) if all(_whole(part, 0, 255) for part in value):
            return tuple(value)
        case (("value" | "fill"), _):
            wanted = "0 to 255, one number or three"
        case (("mean" | "std"), [*numbers]) if all(map(_number, numbers)):
            return tuple(float(number) for number in numbers)
        case (("mean" | "std"), _):
            wanted = "a list of numbers"
        case (("fraction" | "scale" | "offset"), _) if _number(value):
            return float(value)
        case (("fraction" | "scale" | "offset"), _):
            wanted = "a number"
        case _:
            return value
    raise BadCard(f"program step {kind!r}: {key} is {wanted}; got {_shown(value)}.")


def _whole(value: object, low: int, high: int = 2**31 - 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _shown(value: object) -> str:
    """A hostile value, short enough for a message."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _known(names: Iterable[str]) -> str:
    return f"Known: {', '.join(names)}."
