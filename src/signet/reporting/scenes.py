"""Pictures of objects and pixels with truth and answer drawn, small enough for a page."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from signet.arrays import Array, Integers
from signet.boxes import Boxes
from signet.drawing import draw_segments
from signet.drawing.letters import Font, font_of, legible, percent
from signet.images import Image
from signet.instances import Instances
from signet.metrics.matching import IGNORED, RIGHT, match
from signet.segments import SegmentMap

LONGEST = 560
"""Pixels of a scene's longer side."""

FOUND, MISSED, ALARM = (255, 255, 255), (28, 93, 153), (217, 101, 31)
"""The page's colours of right and wrong; both are told apart by the words beside them as well."""

_INK, _DARK = (255, 255, 255), (0, 0, 0)
_LETTERS = 13


def object_scene(image: Image, truth: Boxes | Instances, answer: Boxes | Instances) -> Image:
    """What was found (thin and white), missed (blue) and wrong (orange, with its score).

    Small pictures are enlarged, and a name that all objects share is left out: with dozens of small objects
    the names would hide what they name.

    Args:
        image: the picture.
        truth: its objects.
        answer: what was answered, by the same indices, from the score on that counts.
    """
    there, given = _boxes(truth), _boxes(answer)
    labels = 1 + int(max([0, *there.indices.tolist(), *given.indices.tolist()]))
    found = match([(given, there)], labels)
    outcome = found.outcome[0, 0]
    got = np.zeros(len(there), np.bool_)
    got[found.partner[outcome == RIGHT]] = True
    missed = np.flatnonzero(~got & ~np.asarray(there.crowd))
    alarms = found.place[(outcome != RIGHT) & (outcome != IGNORED)]
    picture, factor = _small(image, enlarge=True)
    picture = _tinted(picture, truth, missed, MISSED)
    picture = _tinted(picture, answer, alarms, ALARM)
    pen, font = ImageDraw.Draw(picture), font_of(None, _LETTERS)
    for row in np.flatnonzero(got):
        _frame(pen, there.xyxy[row] * factor, FOUND, 1)
    alike = len({*there.indices.tolist(), *given.indices[alarms].tolist()}) == 1
    for row in missed:
        words = "" if alike else f"missed: {_name(there, int(row), font)}"
        _named(pen, there.xyxy[row] * factor, MISSED, words, font)
    for row in alarms[np.argsort(given.scores[alarms], kind="stable")]:
        name = "" if alike else f"{_name(given, int(row), font)} "
        words = f"{name}{percent(float(given.scores[row]))}"
        _named(pen, given.xyxy[row] * factor, ALARM, words, font)
    return Image(np.array(picture), source=image.source)


def crop(image: Image, xyxy: tuple[float, float, float, float], wrong: bool) -> Image:
    """One object with as much around it, and its box: orange where nothing is, else blue."""
    left, top, right, bottom = xyxy
    around = max(0.5 * max(right - left, bottom - top), 12.0)
    corner = max(int(left - around), 0), max(int(top - around), 0)
    end = min(round(right + around), image.width), min(round(bottom + around), image.height)
    if end[0] <= corner[0] or end[1] <= corner[1]:
        return image
    part = Image(
        np.ascontiguousarray(image.pixels[corner[1] : end[1], corner[0] : end[0]]), source=image.source
    )
    picture, factor = _small(part, 320, enlarge=True)
    box = (np.array([left, top, right, bottom]) - np.array([*corner, *corner])) * factor
    _frame(ImageDraw.Draw(picture), box, ALARM if wrong else MISSED, 3)
    return Image(np.array(picture), source=image.source)


def pixel_scene(image: Image, truth: SegmentMap, answer: SegmentMap) -> tuple[tuple[str, Image], ...]:
    """The truth, the answer, and where they differ, each with its caption."""
    picture, _ = _small(image)
    size = picture.size
    small = Image(np.array(picture), source=image.source)
    true, said = _scaled(truth, size), _scaled(answer, size)
    wrong = (true.indices >= 0) & (true.indices != said.indices)
    shade = np.where(wrong[..., None], np.array(ALARM), small.pixels // 2).astype(np.uint8)
    return (
        ("truth", draw_segments(small, true)),
        ("answer", draw_segments(small, said)),
        ("wrong pixels", Image(shade, source=image.source)),
    )


def _boxes(objects: Boxes | Instances) -> Boxes:
    return objects.boxes if isinstance(objects, Instances) else objects


def _tinted(
    picture: PillowImage.Image, objects: Boxes | Instances, rows: Integers, colour: tuple[int, int, int]
) -> PillowImage.Image:
    """Half in a colour where the masks of some objects are; boxes have none."""
    if not isinstance(objects, Instances) or not len(rows):
        return picture
    inside = np.zeros(objects.boxes.size, np.bool_)
    for row in rows.tolist():
        inside |= objects.masks[row].to_array()
    pixels = np.array(picture)
    here = inside[_nearest(inside.shape[0], picture.height)][:, _nearest(inside.shape[1], picture.width)]
    pixels[here] = pixels[here] // 2 + np.array(colour, np.uint8) // 2
    return PillowImage.fromarray(pixels)


def _nearest(old: int, new: int) -> Integers:
    """Which of `old` pixels lies under the middle of each of `new` ones."""
    return ((np.arange(new) + 0.5) * old / new).astype(np.int64)


def _small(image: Image, longest: int = LONGEST, enlarge: bool = False) -> tuple[PillowImage.Image, float]:
    """The picture at the size of a page, and by how much that is smaller."""
    factor = longest / max(image.size)
    if factor >= 1 and not enlarge:
        return image.to_pillow(), 1.0
    factor = min(factor, 8.0)
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    kind = PillowImage.Resampling.LANCZOS if factor < 1 else PillowImage.Resampling.BICUBIC
    return image.to_pillow().resize(size, kind), factor


def _scaled(segments: SegmentMap, size: tuple[int, int]) -> SegmentMap:
    """The nearest labels at (width, height)."""
    height, width = segments.size
    indices = segments.indices[_nearest(height, size[1])][:, _nearest(width, size[0])]
    return dataclasses.replace(segments, indices=indices, scores=None)


def _name(boxes: Boxes, row: int, font: Font) -> str:
    return legible(boxes.labels[row], font) or f"label {boxes.indices[row]}"


def _frame(pen: ImageDraw.ImageDraw, box: Array, colour: tuple[int, int, int], width: int) -> None:
    left, top, right, bottom = (round(float(side)) for side in box)
    right, bottom = max(right - 1, left), max(bottom - 1, top)
    pen.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=_DARK, width=width + 2)
    pen.rectangle((left, top, right, bottom), outline=colour, width=width)


def _named(
    pen: ImageDraw.ImageDraw, box: Array, colour: tuple[int, int, int], words: str, font: Font
) -> None:
    _frame(pen, box, colour, 2)
    if not words:
        return
    height, wide = _LETTERS + 5, font.getlength(words) + 6
    # A name that would leave the picture on the right begins further left.
    left, top = max(min(float(box[0]) - 1, pen.im.size[0] - wide), 0.0), float(box[1])
    above = top - height if top >= height else top
    pen.rectangle((left, above, left + wide, above + height), fill=colour)
    pen.text((left + 3, above + height / 2), words, fill=_INK, font=font, anchor="lm")
