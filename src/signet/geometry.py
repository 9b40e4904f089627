"""Where a prepared pixel came from: the map between the original image and the network's input.

Frame: x to the right, y down, in pixels, the corner of the first pixel at (0, 0), so a pixel's centre
lies at +0.5. Every geometric step of a program is a scale and a shift of each axis, so the whole way
is one too: `prepared = original * scale + shift`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signet.arrays import Array  # numpy: a tenth of a second that cards have no use for

Size = tuple[int, int]
"""(height, width), in pixels."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """The way from an original image to its prepared array.

    Attributes:
        original: (height, width) of the upright original.
        prepared: (height, width) after all geometric steps so far.
        scale: (y, x) factors.
        shift: (y, x) offsets, in prepared pixels.
    """

    original: Size
    prepared: Size
    scale: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, original: Size) -> Geometry:
        """The identity for an image of one (height, width)."""
        return cls(original=original, prepared=original)

    def resized(self, to: Size) -> Geometry:
        """After a resize of the whole frame to (height, width)."""
        factors = (to[0] / self.prepared[0], to[1] / self.prepared[1])
        return replace(
            self,
            prepared=to,
            scale=(self.scale[0] * factors[0], self.scale[1] * factors[1]),
            shift=(self.shift[0] * factors[0], self.shift[1] * factors[1]),
        )

    def cropped(self, top: float, left: float, to: Size) -> Geometry:
        """After a crop whose corner was at (top, left); negative corners pad."""
        return replace(self, prepared=to, shift=(self.shift[0] - top, self.shift[1] - left))

    def to_original(self, points: Array) -> Array:
        """Prepared (..., 2) points in x, y order, brought home to original pixels; float64."""
        return (points - [self.shift[1], self.shift[0]]) / [self.scale[1], self.scale[0]]

    def to_prepared(self, points: Array) -> Array:
        """Original (..., 2) points in x, y order, taken into the prepared frame; float64."""
        return points * [self.scale[1], self.scale[0]] + [self.shift[1], self.shift[0]]
