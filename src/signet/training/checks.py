"""How settings of a training are checked when they are made, and what is said of one that is out of range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from signet.errors import BadRequest


@dataclass(frozen=True, slots=True)
class Whole:
    """A setting that is a whole number.

    Attributes:
        name: of the field.
        low: least value.
        high: greatest one; None for no limit.
    """

    name: str
    low: int
    high: int | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """A setting that is a number.

    Attributes:
        name: of the field.
        low: least value.
        high: greatest one.
        advice: why it ends there.
        open_end: `high` itself is too much.
    """

    name: str
    low: float
    high: float
    advice: str = ""
    open_end: bool = False


def check_fields(
    settings: object,
    whole: tuple[Whole, ...] = (),
    ranges: tuple[Range, ...] = (),
    choices: Mapping[str, tuple[str, ...]] | None = None,
) -> None:
    """Check fields of a settings noun.

    Args:
        settings: whose attributes are looked at.
        whole: those that are whole numbers.
        ranges: those that are numbers.
        choices: those that are one of some words.

    Raises:
        BadRequest: one is not.
    """
    for field in whole:
        check_whole(field, getattr(settings, field.name))
    for wanted in ranges:
        check_range(wanted, getattr(settings, wanted.name))
    for name, allowed in (choices or {}).items():
        if getattr(settings, name) not in allowed:
            words = ", ".join(map(repr, allowed))
            raise BadRequest(f"{name}: expected one of {words}; got {getattr(settings, name)!r}.")


def check_whole(field: Whole, value: object) -> None:
    """Refuse what is no whole number, or one out of range.

    Raises:
        BadRequest: with what was expected.
    """
    fits = (
        isinstance(value, int)
        and not isinstance(value, bool)
        and value >= field.low
        and (field.high is None or value <= field.high)
    )
    if not fits:
        raise BadRequest(f"{field.name}: expected a whole number of at least {field.low}, got {value!r}.")


def check_range(wanted: Range, value: object) -> None:
    """Refuse what is no number, or one out of range.

    Raises:
        BadRequest: with what was expected.
    """
    fits = (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and wanted.low <= value <= wanted.high
        and not (wanted.open_end and value == wanted.high)
    )
    if not fits:
        if wanted.high == math.inf:
            words = f"a finite number of at least {wanted.low:g}"
        else:
            words = f"{wanted.low:g} to {'below ' if wanted.open_end else ''}{wanted.high:g}"
        advice = f" {wanted.advice}" if wanted.advice else ""
        raise BadRequest(f"{wanted.name}: expected {words}, got {value!r}.{advice}")
