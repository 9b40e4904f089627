"""Colours of labels, and ink that is read on them."""

from __future__ import annotations

import colorsys
import functools
import itertools

import numpy as np

from signet.arrays import Array

Colour = tuple[int, int, int]
"""Red, green, blue, each 0 to 255."""

_OKABE_ITO: tuple[Colour, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
)
_CHOSEN = 64
"""Colours that are chosen for their distance from one another; the next ones only differ."""
_GOLDEN = 0.618034  # of a turn: no two of any number of successive hues lie close
_LIGHTNESSES = (0.45, 0.62, 0.78)

# Linear RGB to the cones' responses, and what two kinds of colour-blind eyes have instead of one of them.
_CONES = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
_PROTAN = np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]])
_DEUTAN = np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])
# Linear RGB to Oklab, by way of cones of its own.
_OKLAB = (
    np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    ),
    np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    ),
)


def palette(count: int) -> tuple[Colour, ...]:
    """The colours of the first `count` labels; the same each time."""
    return tuple(colour_of(index) for index in range(count))


def colour_of(index: int) -> Colour:
    """The colour of a label by its position in the label list: in every picture and frame the same.

    The first seven are those of Okabe and Ito. Each of the next ones, up to 64, is the farthest from all
    before it, for eyes of three kinds: those that see all colours, and those that lack one of two cones.
    From there on colours follow at golden angles of hue, in three lightnesses.

    Source: Okabe & Ito, Color Universal Design (2002).
    """
    if 0 <= index < _CHOSEN:
        return _chosen()[index]
    number = index - _CHOSEN
    light = _LIGHTNESSES[number % len(_LIGHTNESSES)]
    return _rgb((0.13 + number * _GOLDEN) % 1, light, 0.7)


def seen_by(colours: Array) -> Array:
    """Float64 (3, N, 3): Oklab of RGB colours (N, 3), for full colour vision, protanopes and deuteranopes.

    Source: Vienot, Brettel & Mollon, "Digital video colourmaps for checking the legibility of displays by
    dichromats", Color Research & Application 24 (1999); Ottosson, "A perceptual color space for image
    processing" (2020).
    """
    parts = np.asarray(colours, np.float64) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    kinds = []
    for lacking in (np.eye(3), _PROTAN, _DEUTAN):
        seen = linear @ (np.linalg.inv(_CONES) @ lacking @ _CONES).T
        kinds.append(np.cbrt(seen.clip(0, 1) @ _OKLAB[0].T) @ _OKLAB[1].T)
    return np.array(kinds)


@functools.cache
def _chosen() -> tuple[Colour, ...]:
    """The farthest-first walk, from Okabe and Ito's colours, through colours of middle lightness."""
    grid = itertools.product(range(36), (0.33, 0.42, 0.52, 0.64, 0.76), (0.35, 0.65, 1.0))
    tried = [*_OKABE_ITO, *dict.fromkeys(_rgb(hue / 36, light, full) for hue, light, full in grid)]
    seen = seen_by(np.array(tried))
    # The least distance over the kinds of eyes: a pair that one of them confuses is near.
    nearest = np.full(len(tried), np.inf)
    chosen: list[int] = []
    for step in range(_CHOSEN):
        place = step if step < len(_OKABE_ITO) else int(nearest.argmax())
        chosen.append(place)
        apart = np.linalg.norm(seen - seen[:, place, None], axis=-1).min(axis=0)
        nearest = np.minimum(nearest, apart)
    return tuple(tried[place] for place in chosen)


def _rgb(hue: float, light: float, full: float) -> Colour:
    red, green, blue = colorsys.hls_to_rgb(hue, light, full)
    return round(255 * red), round(255 * green), round(255 * blue)


def ink_on(ground: Colour) -> Colour:
    """White or black, whichever is read more easily on a colour; a contrast of at least 4.5.

    The product of the two contrasts is 21, so the greater one is at least its square root, 4.58.
    """
    white, black = (255, 255, 255), (0, 0, 0)
    return max((white, black), key=lambda ink: contrast(ink, ground))


def contrast(first: Colour, second: Colour) -> float:
    """The contrast ratio of two colours, 1 to 21.

    Source: WCAG 2.2, definition of contrast ratio and relative luminance.
    """
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Colour) -> float:
    parts = [value / 255 for value in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
