"""A segment map: colours over the picture, and a legend of the labels that occur below it."""

from __future__ import annotations

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from signet.arrays import Array, Bytes
from signet.drawing.colours import colour_of, ink_on
from signet.drawing.letters import Font, font_of, name_of, percent, shortened
from signet.drawing.sizes import NARROWEST, check_size, enlarged, line_width, text_height
from signet.drawing.style import Style
from signet.images import Image
from signet.segments import SegmentMap

_BAND = 1 << 22
"""Pixels that are mixed at a time: a picture of a hundred million needs no more memory for it."""
_MOST_ROWS = 12

Entry = tuple[int, str, str]
"""A label's index, its name, its share."""


def draw_segments(image: Image, segments: SegmentMap, style: Style | None = None) -> Image:
    """The picture under the colours of its labels, above a legend with the share of each.

    The background and what is unlabelled are not painted, and are not in the legend. Shares are of all
    pixels of the picture.

    Args:
        image: any size from 1 x 1.
        segments: of this picture.
        style: opacity, lines of the legend, font.

    Returns:
        uint8 (H + legend, W, 3), W at least 224; the same source.

    Raises:
        BadInput: a map of a picture of another size.
        BadRequest: bytes of a font that is none.
    """
    settings = style or Style()
    check_size(image, segments.size, "a segment map")
    picture, factor = enlarged(image)
    pixels = np.array(picture)
    indices = (
        segments.indices.repeat(factor, axis=0).repeat(factor, axis=1) if factor > 1 else segments.indices
    )
    _overlay(pixels, indices, segments, settings.opacity)
    width = max(picture.width, NARROWEST)
    height = text_height((max(picture.height, NARROWEST), width))
    font = font_of(settings.font, height)
    rows = _rows(_entries(segments, font), font, (height, width), settings)
    pad, line = round(0.8 * height), round(1.7 * height)
    canvas = PillowImage.new("RGB", (width, picture.height + line * len(rows) + pad), settings.ground)
    canvas.paste(PillowImage.fromarray(pixels), ((width - picture.width) // 2, 0))
    pen = ImageDraw.Draw(canvas)
    for number, row in enumerate(rows):
        _row(pen, picture.height + round(0.6 * pad) + number * line, row, (font, height), settings)
    return Image(np.array(canvas), source=image.source)


def _overlay(pixels: Bytes, indices: Array, segments: SegmentMap, opacity: float) -> None:
    """Mix the colours in, band by band; where two labels meet, a line has the full colour."""
    count = len(segments.labels)
    # The last row is what -1 chooses: unlabelled.
    colours = np.array([*(colour_of(index) for index in range(count)), (0, 0, 0)], np.uint16)
    parts = np.full(count + 1, round(256 * opacity), np.uint16)
    painted = np.ones(count + 1, bool)
    painted[-1] = False
    if segments.background is not None:
        painted[segments.background] = False
    reach = max(1, line_width((pixels.shape[0], pixels.shape[1])) // 2)
    step = max(1, _BAND // pixels.shape[1])
    for top in range(0, len(pixels), step):
        low, high = max(0, top - reach), min(len(pixels), top + step + reach)
        band = indices[low:high]
        own = slice(top - low, top - low + min(step, len(pixels) - top))
        meets = _meets(band, reach)[own]
        here = band[own]
        part = np.where(meets, np.uint16(256), parts[here]) * painted[here]
        mixed = pixels[top : top + step] * (256 - part)[..., None].astype(np.uint16)
        pixels[top : top + step] = (mixed + colours[here] * part[..., None] + 128) >> 8


def _meets(indices: Array, reach: int) -> Array:
    """Bool: pixels that have another label within `reach` above, below, left or right."""
    found = np.zeros(indices.shape, bool)
    across = indices[:, reach:] != indices[:, :-reach]
    found[:, reach:] |= across
    found[:, :-reach] |= across
    down = indices[reach:] != indices[:-reach]
    found[reach:] |= down
    found[:-reach] |= down
    return found


def _entries(segments: SegmentMap, font: Font) -> list[Entry]:
    """Labels that occur, the largest first."""
    counts = segments.counts
    present = [index for index in segments.present if index != segments.background]
    return [
        (index, name_of(segments.labels[index], index, font), percent(counts[index] / segments.indices.size))
        for index in sorted(present, key=lambda index: (-counts[index], index))
    ]


def _rows(entries: list[Entry], font: Font, size: tuple[int, int], style: Style) -> list[list[Entry]]:
    """The legend in lines; what has no line of its own is counted at the end of the last."""
    height, width = size
    pad = round(0.8 * height)
    most = style.legend_rows or _MOST_ROWS
    rows: list[list[Entry]] = [[]]
    used = float(pad)
    for number, (index, name, share) in enumerate(entries):
        room = width - 2 * pad - _swatch(height) - font.getlength(f" {share}")
        entry = (index, shortened(name, font, room), share)
        need = _length(entry, font, height)
        last = len(rows) == most
        left = len(entries) - number
        more = font.getlength(f"+ {left} more") + pad if last and left > 1 else 0
        if rows[-1] and used + need + more > width:
            if last:
                rows[-1].append((-1, f"+ {left} more", ""))
                break
            rows.append([])
            used = float(pad)
        rows[-1].append(entry)
        used += need
    if not entries:
        rows[0].append((-1, "none of the labels", ""))
    return rows + [[]] * (0 if style.legend_rows is None else most - len(rows))


def _swatch(height: int) -> float:
    return 1.5 * height


def _length(entry: Entry, font: Font, height: int) -> float:
    return _swatch(height) + font.getlength(f"{entry[1]} {entry[2]}") + 1.2 * height


def _row(
    pen: ImageDraw.ImageDraw, top: int, row: list[Entry], letters: tuple[Font, int], style: Style
) -> None:
    font, height = letters
    left = 0.8 * height
    middle = top + 0.75 * height
    ink = ink_on(style.ground)
    for entry in row:
        index, name, share = entry
        if index < 0:
            pen.text((left, middle), name, fill=ink, font=font, anchor="lm")
            break
        box = (round(left), round(middle - height / 2), round(left + height), round(middle + height / 2))
        pen.rectangle(box, fill=colour_of(index), outline=ink, width=max(1, height // 16))
        pen.text((left + _swatch(height), middle), f"{name} {share}", fill=ink, font=font, anchor="lm")
        left += _length(entry, font, height)
