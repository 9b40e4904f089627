"""From a name to a network: `efficientnet:width=1.1,depth=1.2,size=240`. Torch is loaded by `build` alone.

What may be named and set is in the table (`signet.architectures.catalogue`); nothing else is understood.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from signet.architectures.catalogue import Architecture, Argument, Value, find
from signet.errors import BadRequest, MissingExtra, UnknownName


@dataclass(frozen=True, slots=True)
class Request:
    """A name, understood.

    Attributes:
        architecture: its key in the table.
        arguments: all that is set, by the name and after it; `build` takes them.
        size: height and width, in pixels, that it is meant for.
    """

    architecture: str
    arguments: Mapping[str, Value]
    size: int


def parse_name(name: str) -> Request:
    """What a name asks for: an architecture of the table, and after a colon `key=value` parts.

    Example:
        >>> parse_name("efficientnet:width=1.1,depth=1.2,size=240").arguments["width"]
        1.1

    Raises:
        UnknownName: no such architecture, or it has nothing of that name to set.
        BadRequest: a part is not `key=value`, is given twice, or its value is out of range.
    """
    architecture, colon, rest = name.partition(":")
    entry = find(architecture)
    given: dict[str, Value] = {}
    for part in rest.split(",") if colon else ():
        key, equals, text = (piece.strip() for piece in part.partition("="))
        if not equals or not key or not text:
            raise BadRequest(
                f"{name!r}: expected key=value after the colon, received {part!r}. "
                f"What {architecture} takes: {_listed(entry.arguments)}."
            )
        if key in given:
            raise BadRequest(f"{name!r}: {key!r} is given twice.")
        given[key] = text
    return request(architecture, given)


def request(architecture: str, given: Mapping[str, Value]) -> Request:
    """The same from an architecture and arguments, as text or numbers: each is known and within its range.

    Raises:
        UnknownName: no such architecture, or it has nothing of that name to set.
        BadRequest: a value is out of range, or does not go with another.
    """
    entry = find(architecture)
    arguments: dict[str, Value] = dict(entry.fixed)
    for key, value in given.items():
        if key in entry.arguments:
            arguments[key] = _checked(architecture, key, value, entry.arguments[key])
        elif key not in entry.fixed or entry.fixed[key] != value:
            raise UnknownName(
                f"argument of {architecture}",
                key,
                entry.arguments,
                f"It takes: {_listed(entry.arguments)}.",
            )
    if "phi" in given:
        if both := sorted({"width", "depth", "size"} & set(given)):
            raise BadRequest(f"phi sets width, depth and size together; give it, or {both[0]}, not both.")
        arguments.update(compound(float(arguments.pop("phi"))))
    size = arguments.pop("size", entry.size)
    if int(size) % entry.multiple:
        raise BadRequest(
            f"size of {architecture}: expected a multiple of {entry.multiple}, received {size!r}."
        )
    return Request(architecture, arguments, int(size))


def compound(phi: float) -> dict[str, Value]:
    """EfficientNet's equation 3: width, depth and size of B0 times 1.1^phi, 1.2^phi and 1.15^phi.

    The size goes to the nearest multiple of 8. The published B1 to B7 are near this curve and not on it
    (B1 is width 1.0, depth 1.1, 240 pixels), so they are kept by name.

    Example:
        >>> compound(0)
        {'width': 1.0, 'depth': 1.0, 'size': 224}

    Source: Tan & Le, EfficientNet (2019), arXiv:1905.11946, section 3.3 and figure 2.
    """
    return {"width": 1.1**phi, "depth": 1.2**phi, "size": 8 * round(224 * 1.15**phi / 8)}


def build(architecture: str, classes: int, arguments: Mapping[str, Value] | None = None) -> Any:
    """The network with random weights, as a `torch.nn.Module` in training mode, float32.

    Args:
        architecture: a name of the table.
        classes: outputs of the head; 0 for features.
        arguments: what is set of it, as `parse_name` gives it.

    Raises:
        MissingExtra: torch is not installed.
        UnknownName: no such architecture or argument.
        BadRequest: a value out of range.
    """
    if classes < 0:
        raise BadRequest(f"Classes: expected 0 or more, received {classes}.")
    entry = find(architecture)
    if entry.outputs and not classes:
        raise BadRequest(
            f"Classes of {architecture}: expected 1 or more, received 0: it is nothing but its head."
        )
    settings = dict(request(architecture, arguments or {}).arguments)
    try:
        return _built(entry, architecture, classes, settings)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtra(f"The architecture {architecture}", "train", "torch") from error


def _built(entry: Architecture, name: str, classes: int, settings: dict[str, Any]) -> Any:
    match entry.family:
        case "inception_v2":
            from signet.architectures import inception_v2

            return inception_v2.InceptionV2(settings["form"], classes)
        case "nasnet":
            from signet.architectures import nasnet

            base = nasnet.LARGE if name == "nasnet_a_large" else nasnet.MOBILE
            return nasnet.NASNet(replace(base, **settings), classes)
        case "densenet":
            from signet.architectures import densenet

            return densenet.DenseNet264(classes)
        case "efficientnet":
            from signet.architectures import efficientnet

            return efficientnet.EfficientNet(efficientnet.Settings(**settings), classes)
        case "coca":
            from signet.architectures import coca

            return coca.CoCa(coca.Settings(), classes)
        case "yolov7":
            from signet.architectures import yolov7

            return yolov7.build(settings["variant"], classes)
        case "yolov8":
            from signet.architectures import yolov8

            return yolov8.build(settings["variant"], settings["kind"], classes)
        case "yolov9":
            from signet.architectures import yolov9

            return yolov9.build(settings["variant"], classes, settings.get("head", "published"))


def _checked(architecture: str, key: str, value: Value, rule: Argument) -> Value:
    if rule.kind is str:
        if value not in rule.choices:
            raise UnknownName(
                f"{key} of {architecture}", str(value), rule.choices, f"It is one of {rule.choices}."
            )
        return value
    number: float
    try:
        number = int(value) if rule.kind is int else float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not rule.least <= number <= rule.most or (rule.kind is int and float(value) != number):
        whole = "a whole number" if rule.kind is int else "a number"
        raise BadRequest(
            f"{key} of {architecture}: expected {whole} from {rule.least:g} to {rule.most:g}, "
            f"received {value!r}."
        )
    return number


def _listed(arguments: Mapping[str, Argument]) -> str:
    return ", ".join(sorted(arguments)) or "nothing"
