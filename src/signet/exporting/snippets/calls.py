"""A card's preprocessing as calls, which JavaScript, C++, Kotlin and Swift write alike.

The template of a language brings the functions (`resize`, `cut`, `scaled`, ...) and the places, `@PLACE@`,
that the calls and the other facts of a card go to. So what a step means is walked through once, here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files

from signet.cards import Card
from signet.exporting.snippets import words
from signet.steps import Colour, Crop, Layout, Normalise, Order, Pad, Range, Read, Resize, Step, Type

_PLACE = re.compile("@([A-Z]+)@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """How a language writes what the others write otherwise.

    Attributes:
        template: file under `templates`.
        literal: a text as a literal of the language, quotes included.
        dtypes: its word for elements of float32, and of uint8.
        end: what ends a statement.
        indent: of the statements of a function.
    """

    template: str
    literal: Callable[[str], str]
    dtypes: tuple[str, str]
    end: str = ";"
    indent: str = "  "


def written(card: Card, file: str, language: Language, own: dict[str, str]) -> str:
    """The template with the facts of a card in its places.

    Args:
        card: of the exported file.
        file: its name.
        language: that of the template.
        own: what else goes where, in this language only.

    Raises:
        CannotSay: there is no short program for this model.
    """
    words.check(card)
    contract = card.output
    steps = card.program.steps
    numbers = _Numbers.of(steps)
    first = steps[0] if isinstance(steps[0], Read) else Read()
    values = {
        "NAME": words.safe(card.name),
        "PROGRAM": words.safe(file.rpartition(".")[0]),
        "LICENCE": words.safe(card.licence.weights),
        "FILE": language.literal(file),
        "ORIENT": _truth(first.orient),
        "GREY": _truth(first.channels == "L"),
        "GEOMETRY": _lines((line for step in steps for line in _geometric(step)), language),
        "VALUE": _lines(numbers.calls, language),
        "BACKWARDS": _truth(numbers.backwards),
        "FIRST": _truth(numbers.channels_first),
        "DTYPE": language.dtypes[0 if numbers.is_float else 1],
        "HEAD": language.literal(contract.head),
        "ACTIVATED": _truth(contract.already_activated),
        "TEMPERATURE": repr(float(contract.temperature)),
        "DROP": _truth(contract.drop_first),
        **own,
    }
    template = (files(__package__) / "templates" / language.template).read_text("utf-8")
    # In one go: a name of a model that looks like a place stays a name.
    return _PLACE.sub(lambda place: values[place[1]], template)


def _lines(calls: Iterator[str] | tuple[str, ...], language: Language) -> str:
    return "\n".join(
        f"{language.indent}{call}{'' if call.startswith('//') else language.end}" for call in calls
    )


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _geometric(step: Step) -> Iterator[str]:
    """The calls of a geometric step on `picture`, and its words as a comment."""
    match step:
        case Resize():
            made = f'resize(picture, {_size(step)}, "{step.filter}", {_truth(step.upscale)})'
        case Crop(size=size, fraction=fraction):
            box = f"sized({size[1]}, {size[0]})" if size else f"square(picture, {float(fraction or 1)!r})"
            made = f'cut(picture, {box}, {_colour(step.fill)}, "{step.anchor}", "{step.rounding}")'
        case Pad(to=to) if to is not None:
            box = f"atLeast(picture, {to[1]}, {to[0]})"
            made = f'cut(picture, {box}, {_colour(step.value)}, "{step.anchor}", "round")'
        case _:
            return
    yield f"// {words.safe(step.words())}"
    yield f"picture = {made}"


def _size(step: Resize) -> str:
    match step.fit, step.size:
        case "stretch", (height, width):
            return f"sized({width}, {height})"
        case "pad", (height, width):
            return f'inside(picture, {width}, {height}, "{step.rounding}")'
        case _:
            return f'shortSide(picture, {step.short}, "{step.rounding}")'


def _colour(fill: Colour) -> str:
    red, green, blue = (fill, fill, fill) if isinstance(fill, int) else fill
    return f"colour({red}, {green}, {blue})"


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What becomes of a byte of channel `c` (0 red, 1 green, 2 blue), and where it goes.

    Attributes:
        calls: on `value`.
        backwards: the channels end as BGR.
        channels_first: they are the first axis of an image.
        is_float: float32 goes into the network, not uint8.
    """

    calls: tuple[str, ...] = ()
    backwards: bool = False
    channels_first: bool = False
    is_float: bool = False

    @classmethod
    def of(cls, steps: tuple[Step, ...]) -> _Numbers:
        calls: list[str] = []
        backwards, first, is_float = False, False, False
        for step in steps:
            match step:
                case Range(scale=scale, offset=offset):
                    calls.append(f"value = scaled(value, {float(scale)!r}, {float(offset)!r})")
                    is_float = True
                case Normalise(mean=mean, std=std):
                    calls.append(f"value = less(value, channel(c, {_three(mean, backwards)}))")
                    calls.append(f"value = over(value, channel(c, {_three(std, backwards)}))")
                    is_float = True
                case Order(order="BGR"):
                    backwards = not backwards
                case Layout(order=order):
                    first = order == "NCHW"
                case Type(dtype="float32"):
                    is_float = True
                case Type(dtype="uint8"):
                    calls.append("value = toByte(value)")
                    is_float = False
                case _:
                    pass
        return cls(tuple(calls), backwards, first, is_float)


def _three(numbers: tuple[float, ...], backwards: bool) -> str:
    """A number for each channel, red first whatever the order of the channels at the step."""
    if len(numbers) != 3:
        raise words.CannotSay(f"pictures have three channels, the program normalises {len(numbers)}")
    return ", ".join(repr(float(number)) for number in (numbers[::-1] if backwards else numbers))
