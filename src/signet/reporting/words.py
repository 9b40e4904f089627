"""Figures and names as a person reads them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from signet.records import Interval

_SPACE = "\u00a0"  # does not break: a figure stays with its unit
_ISOLATE, _END = "\u2068", "\u2069"
_JOINERS = "\u200c\u200d"  # part of Persian and Indic spelling, and of emoji


def percent(value: float) -> str:
    """A fraction as "83.2 %"; never 100 % of what is less, nor 0 % of what is more; "unknown" for NaN."""
    if math.isnan(value):
        return "unknown"
    if 0.9995 <= value < 1:
        return f"over 99.9{_SPACE}%"
    return f"under 0.1{_SPACE}%" if 0 < value < 0.0005 else f"{100 * value:.1f}{_SPACE}%"


def points(difference: float) -> str:
    """The size of a difference of two fractions as "2 points", "1 point", "0.4 points"."""
    size = 100 * abs(difference)
    shown = f"{size:.1f}" if size < 0.95 else f"{size:.0f}"
    return f"{shown}{_SPACE}{'point' if shown == '1' else 'points'}"


def signed(difference: float) -> str:
    """A difference of two fractions in points: "+2.4", "-0.5", "0.0"; "unknown" for NaN."""
    if math.isnan(difference):
        return "unknown"
    shown = f"{abs(100 * difference):.1f}"
    sign = "" if shown == "0.0" else "+" if difference > 0 else "\u2212"
    return f"{sign}{shown}"


def signed_span(figure: Interval) -> str:
    """The interval of a difference in points: "-0.5 to +5.3"."""
    if math.isnan(figure.low):
        return "unknown"
    return f"{signed(figure.low)} to {signed(figure.high)}"


def span(figure: Interval) -> str:
    """An interval as "80.8 to 85.5 %"."""
    if math.isnan(figure.low):
        return "unknown"
    return f"{100 * figure.low:.1f} to {100 * figure.high:.1f}{_SPACE}%"


def whole(count: int) -> str:
    """A count as "12,345"."""
    return f"{count:,}"


def counted(count: int, one: str, many: str) -> str:
    """A count with its noun: "1 image", "12,345 images"."""
    return f"{whole(count)}{_SPACE}{one if count == 1 else many}"


def duration(seconds: float) -> str:
    """A time as "0.4 s", "38 s", "12 min 5 s", "2 h 7 min"."""
    if seconds < 10:
        return f"{seconds:.1f}{_SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest}{_SPACE}s"
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (0 if hours else rest, "s"))
    return _SPACE.join(f"{amount}{_SPACE}{unit}" for amount, unit in parts if amount)


def visible(text: str) -> str:
    r"""Text in which nothing acts: control and direction marks are written out as "\u202e".

    Isolates stay, as `quoted` sets them; they cannot turn what stands outside of them.
    """
    return "".join(
        letter
        if letter in _JOINERS + _ISOLATE + _END or unicodedata.category(letter) not in ("Cc", "Cf", "Cs")
        else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def quoted(name: str) -> str:
    """A foreign name for use inside a sentence: marks written out, direction kept to itself."""
    bare = name.replace(_ISOLATE, "").replace(_END, "")
    return f"\u201c{_ISOLATE}{visible(bare)}{_END}\u201d"


def facts(values: Mapping[str, Any], before: str = "") -> tuple[tuple[str, str], ...]:
    """A mapping, nested or not, as rows of name and text; what is empty is left out."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{before}{str(key).replace('_', ' ')}"
        if value is None or value in ("", [], (), {}):
            continue
        match value:
            case Mapping():
                rows.extend(facts(value, f"{name}, "))
            case bool():
                rows.append((name, "yes" if value else "no"))
            case float():
                rows.append((name, f"{value:.6g}"))
            case int():
                rows.append((name, whole(value) if abs(value) >= 10_000 else str(value)))
            case list() | tuple():
                shown = ", ".join(str(part) for part in value[:12])
                rows.append((name, shown + (f" and {len(value) - 12} more" if len(value) > 12 else "")))
            case _:
                rows.append((name, str(value)))
    return tuple(rows)
