"""How one setting of a recipe is checked: its type as it is annotated, its range, what is said of others.

What a setting may be is read from its annotation: whole numbers, numbers, truth values, text, one of several
words (`Literal`), lists of these (`tuple[X, ...]`), tables of them by name (`Mapping[str, X]`), and unions of
one of those with `Literal` words or None.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from signet.errors import BadRequest

_KINDS = {bool: "true or false", str: "text"}


def setting(default: Any, low: float | None = None, high: float | None = None) -> Any:
    """A field with the range in which its value, or each of its values, makes sense, ends included.

    Args:
        default: of the field; a mapping is read-only afterwards.
        low: least number; None where there are no numbers.
        high: greatest number.
    """
    ends = {"low": low, "high": high}
    if isinstance(default, Mapping):
        return dataclasses.field(default_factory=lambda: types.MappingProxyType(dict(default)), metadata=ends)
    return dataclasses.field(default=default, metadata=ends)


def specs_of(kind: type) -> dict[str, tuple[dataclasses.Field[Any], Any]]:
    """Setting of a dataclass to its field and its type."""
    hints = typing.get_type_hints(kind)
    return {spec.name: (spec, hints[spec.name]) for spec in dataclasses.fields(kind)}


def checked(spec: dataclasses.Field[Any], kind: Any, value: Any) -> Any:
    """One setting's value in its type and range.

    Args:
        spec: its field.
        kind: its type, as annotated.
        value: as it was given: plain JSON or TOML, or what this returns.

    Raises:
        BadRequest: it is not of that type, or out of range.
    """
    # `int | None` is of another class than `Literal[...] | None`.
    union = typing.get_origin(kind) in (types.UnionType, typing.Union)
    options = typing.get_args(kind) if union else (kind,)
    if value is None and type(None) in options:
        return None
    words = [word for option in options for word in _words_of(option)]
    if isinstance(value, str) and value in words:
        return value
    others = [option for option in options if option is not type(None) and not _words_of(option)]
    if not others:
        raise BadRequest(f"recipe: {spec.name} is one of {', '.join(map(repr, words))}; got {value!r}.")
    try:
        return _of_kind(spec, others[0], value)
    except BadRequest as error:
        if not words:
            raise
        aside = ", ".join(map(repr, words))
        raise BadRequest(f"{error} It may also be {aside}.") from None


def plain(value: Any) -> Any:
    """A setting's value as plain JSON."""
    if isinstance(value, tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, Mapping):
        return {name: plain(entry) for name, entry in value.items()}
    return value


def _words_of(option: Any) -> tuple[Any, ...]:
    return typing.get_args(option) if typing.get_origin(option) is Literal else ()


def _of_kind(spec: dataclasses.Field[Any], wanted: Any, value: Any) -> Any:
    origin = typing.get_origin(wanted)
    if origin is tuple:
        return _list(spec, typing.get_args(wanted)[0], value)
    if origin is not None and issubclass(origin, Mapping):
        return _table(spec, typing.get_args(wanted)[1], value)
    if wanted in (int, float):
        return _number(spec, wanted, value)
    if not isinstance(value, wanted):
        raise BadRequest(f"recipe: {spec.name} is {_KINDS[wanted]}; got {value!r}.")
    return value


def _list(spec: dataclasses.Field[Any], inner: Any, value: Any) -> tuple[Any, ...]:
    """A list; it may be empty where the default is."""
    words = "names" if inner is str else "numbers"
    if not isinstance(value, list | tuple) or (not value and spec.default != ()):
        raise BadRequest(f"recipe: {spec.name} is a list of {words}; got {value!r}.")
    return tuple(checked(spec, inner, entry) for entry in value)


def _table(spec: dataclasses.Field[Any], inner: Any, value: Any) -> Mapping[str, Any]:
    """A table by name, in the order of the names, so that equal ones are written alike."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and name for name in value):
        raise BadRequest(f"recipe: {spec.name} is a table, NAME = value; got {value!r}.")
    return types.MappingProxyType({name: checked(spec, inner, value[name]) for name in sorted(value)})


def _number(spec: dataclasses.Field[Any], wanted: type, value: Any) -> Any:
    low, high = spec.metadata["low"], spec.metadata["high"]
    words = "a whole number" if wanted is int else "a number"
    right_type = isinstance(value, int if wanted is int else int | float) and not isinstance(value, bool)
    if not right_type or not math.isfinite(value) or not low <= value <= high:
        raise BadRequest(f"recipe: {spec.name} is {words} from {low:g} to {high:g}; got {value!r}.")
    return wanted(value)
