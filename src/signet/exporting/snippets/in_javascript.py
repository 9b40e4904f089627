"""A JavaScript program for an exported ONNX file: ONNX Runtime Web, and readers of JPEG and PNG from npm.

A canvas resizes otherwise on each browser, so the program brings its own resampling, Pillow's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files

from signet.cards import Card
from signet.exporting.snippets import words
from signet.steps import GEOMETRIC, Crop, Layout, Normalise, Order, Pad, Range, Read, Resize, Step, Type

_ROUND = {"floor": "Math.floor", "round": "halfEven", "ceil": "Math.ceil"}


def written(card: Card, to: str, file: str) -> str:
    """The program.

    Raises:
        CannotSay: there is none for this model, or for this format.
    """
    words.check(card)
    if to != "onnx":
        raise words.CannotSay("JavaScript programs are for ONNX files")
    template = (files(__package__) / "templates" / "javascript.txt").read_text("utf-8")
    steps = card.program.steps
    first = steps[0]
    orient, grey = (first.orient, first.channels == "L") if isinstance(first, Read) else (True, False)
    contract = card.output
    output = (
        json.dumps(contract.tensor)
        if isinstance(contract.tensor, str)
        else f"SESSION.outputNames[{contract.tensor}]"
    )
    values = {
        "NAME": words.safe(card.name),
        "PROGRAM": words.safe(file.rpartition(".")[0]),
        "LICENCE": words.safe(card.licence.weights),
        "FILE": json.dumps(file),
        "ORIENT": json.dumps(orient),
        "GREY": json.dumps(grey),
        "GEOMETRY": "\n".join(f"  {line}" for step in steps[1:] for line in _geometric(step)),
        **_arithmetic([step for step in steps if not isinstance(step, GEOMETRIC)]),
        "OUTPUT": output,
        "HEAD": json.dumps(contract.head),
        "ACTIVATED": json.dumps(contract.already_activated),
        "TEMPERATURE": repr(contract.temperature),
        "DROP": json.dumps(contract.drop_first),
    }
    for key, value in values.items():
        template = template.replace(f"@{key}@", value)
    return template


def _geometric(step: Step) -> Iterator[str]:
    match step:
        case Resize():
            yield f"// {words.safe(step.words())}"
            yield from _resize(step)
        case Crop(size=size, fraction=fraction):
            yield f"// {words.safe(step.words())}"
            side = f"Math.max(1, halfEven(Math.min(picture.width, picture.height) * {fraction!r}))"
            box = f"{{ width: {size[1]}, height: {size[0]} }}" if size else f"square({side})"
            rounded = _ROUND[step.rounding]
            yield f"picture = cut(picture, {box}, {_fill(step.fill)}, {json.dumps(step.anchor)}, {rounded});"
        case Pad(to=to) if to is not None:
            yield f"// {words.safe(step.words())}"
            yield (
                f"picture = cut(picture, {{ width: Math.max(picture.width, {to[1]}), "
                f"height: Math.max(picture.height, {to[0]}) }}, {_fill(step.value)}, "
                f"{json.dumps(step.anchor)}, halfEven);"
            )
        case _:
            return


def _resize(step: Resize) -> Iterator[str]:
    rounded = _ROUND[step.rounding]
    if step.fit == "stretch" and step.size:
        size = f"{{ width: {step.size[1]}, height: {step.size[0]} }}"
    elif step.fit == "pad" and step.size:
        size = f"inside(picture, {step.size[1]}, {step.size[0]}, {rounded})"
    else:
        size = f"shortSide(picture, {step.short}, {rounded})"
    yield f"picture = resize(picture, {size}, {json.dumps(step.filter)}, {json.dumps(step.upscale)});"


def _fill(fill: int | tuple[int, int, int]) -> str:
    return json.dumps([fill] * 3 if isinstance(fill, int) else list(fill))


def _arithmetic(steps: list[Step]) -> dict[str, str]:
    """What becomes of a byte of channel `c`, and where it goes."""
    lines: list[str] = []
    backwards, first, is_float = False, False, False
    for step in steps:
        match step:
            case Range(scale=scale, offset=offset):
                lines.append(f"value = Math.fround(value * {scale!r} + {offset!r});")
                is_float = True
            case Normalise(mean=mean, std=std):
                place = "2 - c" if backwards else "c"
                lines.append(f"value = Math.fround(value - Math.fround({list(mean)!r}[{place}]));")
                lines.append(f"value = Math.fround(value / Math.fround({list(std)!r}[{place}]));")
                is_float = True
            case Order(order="BGR"):
                backwards = not backwards
            case Layout(order=order):
                first = order == "NCHW"
            case Type(dtype="float32"):
                is_float = True
            case Type(dtype="uint8"):
                lines.append("value = Math.min(255, Math.max(0, halfEven(value)));")
                is_float = False
            case _:
                pass
    return {
        "VALUE": "\n".join(f"  {line}" for line in lines),
        "BACKWARDS": json.dumps(backwards),
        "FIRST": json.dumps(first),
        "DTYPE": '"float32"' if is_float else '"uint8"',
        "ARRAY": "Float32Array" if is_float else "Uint8Array",
    }
