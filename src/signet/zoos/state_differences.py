"""How the tensors of a file differ from those of an architecture, as data and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from signet.catalogue import signatures
from signet.catalogue.signatures import Shapes
from signet.naming import shown

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """How the tensors of a file differ from those of an architecture.

    Attributes:
        name: `zoo/architecture`.
        missing: tensors of the architecture that the file has not.
        unexpected: tensors of the file that the architecture has not.
        shapes: tensors of both with other shapes: name, expected (-1 for any), got.
    """

    name: str
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    shapes: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]

    def words(self) -> str:
        """One line."""
        other = [f"{name} {_shape(got)} where it has {_shape(wanted)}" for name, wanted, got in self.shapes]
        parts = [
            f"{len(found)} {words} ({', '.join(map(shown, found[:_MOST_NAMED]))}"
            f"{', ...' if len(found) > _MOST_NAMED else ''})"
            for words, found in (
                ("missing", self.missing),
                ("unexpected", self.unexpected),
                ("of another shape", other),
            )
            if found
        ]
        return f"{self.name}: {', '.join(parts) or 'the same names and shapes'}"


def differing(name: str, wanted: Shapes, got: Shapes, compared: Shapes | None = None) -> Difference:
    """Which tensors are in one set only, and which have other shapes.

    Args:
        name: of the architecture.
        wanted: its tensors.
        got: those of the file.
        compared: the latter as their shapes are compared, where an axis is left open.
    """
    shapes = got if compared is None else compared
    both = sorted(set(wanted) & set(got))
    return Difference(
        name,
        tuple(sorted(set(wanted) - set(got))),
        tuple(sorted(set(got) - set(wanted))),
        tuple((key, wanted[key], got[key]) for key in both if wanted[key] != shapes[key]),
    )


def _shape(shape: Sequence[int]) -> str:
    return "x".join("any" if length == signatures.OPEN else str(length) for length in shape) or "one value"
