"""Colours of labels, and ink that is read on them."""

from __future__ import annotations

import colorsys

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
_GOLDEN = 0.618034  # of a turn: no two of any number of successive hues lie close
_LIGHTNESSES = (0.45, 0.62, 0.78)


def palette(count: int) -> tuple[Colour, ...]:
    """`count` colours that differ for colour-blind eyes as far as they can; the same each time.

    The first seven are those of Okabe and Ito; the next follow at golden angles of hue, in three
    lightnesses.

    Source: Okabe & Ito, Color Universal Design (2002).
    """
    return tuple(colour_of(index) for index in range(count))


def colour_of(index: int) -> Colour:
    """The colour of a label by its position in the label list: in every picture and frame the same."""
    if 0 <= index < len(_OKABE_ITO):
        return _OKABE_ITO[index]
    number = index - len(_OKABE_ITO)
    light = _LIGHTNESSES[number % len(_LIGHTNESSES)]
    red, green, blue = colorsys.hls_to_rgb((0.13 + number * _GOLDEN) % 1, light, 0.7)
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
