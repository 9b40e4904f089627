"""How answers are drawn: one settings noun for every kind."""

from __future__ import annotations

from dataclasses import dataclass

from signet.drawing.colours import Colour
from signet.errors import BadRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How answers are drawn.

    Attributes:
        most: classes shown, best first.
        least_score: classes below this are left out, the best excepted.
        object_score: boxes and instances below this are left out; truth has the score 1.
        most_objects: boxes and instances drawn, best first.
        opacity: of masks and of a segment map over the picture, 0 to 1.
        legend_rows: lines below a segment map; None for as many as its labels need, so that pictures of
            one size may come out with different heights. A video needs a number.
        ground: the colour of strips below the picture.
        font: the bytes of a TrueType or OpenType file, for scripts that the built-in Latin font lacks.
    """

    most: int = 3
    least_score: float = 0.01
    object_score: float = 0.25
    most_objects: int = 300
    opacity: float = 0.5
    legend_rows: int | None = None
    ground: Colour = (22, 24, 29)
    font: bytes | None = None

    def __post_init__(self) -> None:
        if self.most < 1:
            raise BadRequest(f"most: expected at least 1 label, got {self.most}.")
        if self.most_objects < 1:
            raise BadRequest(f"most_objects: expected at least 1, got {self.most_objects}.")
        if self.legend_rows is not None and self.legend_rows < 1:
            raise BadRequest(f"legend_rows: expected at least 1 line, or None, got {self.legend_rows}.")
        for name in ("object_score", "opacity"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise BadRequest(f"{name}: expected 0 to 1, got {value}.")
