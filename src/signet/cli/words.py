"""How figures of the catalogue stand in a table: short, with their unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signet.cards import Licence


def accuracy(value: object) -> str:
    """A fraction in percent."""
    return f"{100 * value:.1f} %" if isinstance(value, float) else ""


def millions(value: int | None) -> str:
    """A count in millions, with one more digit below ten."""
    if value is None:
        return ""
    return f"{value / 1e6:.2f} M" if value < 10**7 else f"{value / 1e6:,.1f} M"


def bytes_of(value: int | None) -> str:
    """Bytes in megabytes of 10^6, or gigabytes of 10^9."""
    if value is None:
        return ""
    return f"{value / 1e9:,.2f} GB" if value >= 10**9 else f"{value / 1e6:,.1f} MB"


def side(size: tuple[int, int] | None) -> str:
    """One figure for a square, both for what is none."""
    if size is None:
        return ""
    return f"{size[0]} px" if size[0] == size[1] else f"{size[0]}x{size[1]} px"


def licence(terms: Licence) -> str:
    """The licence of the weights; with "?" where it is merely inherited."""
    return terms.weights if terms.stated or terms.weights == "unknown" else f"{terms.weights}?"
