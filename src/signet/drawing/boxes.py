"""Boxes: an outline around each object, and a plate with its name and score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from signet.arrays import Array
from signet.boxes import Boxes
from signet.drawing.colours import Colour, colour_of, ink_on
from signet.drawing.letters import font_of, name_of
from signet.drawing.plates import Plate, draw_plates
from signet.drawing.sizes import check_size, enlarged, line_width, text_height
from signet.drawing.style import Style
from signet.images import Image

_SMALLEST = 96  # a picture with a shorter side is put on a ground where a name has room


def draw_boxes(image: Image, boxes: Boxes, style: Style | None = None) -> Image:
    """The picture with its boxes.

    Lines and letters grow with the picture. One smaller than 224 pixels is enlarged by a whole factor. Names
    stand inside the picture, clear of one another and of other objects where they can; in a crowd those with
    low scores are left out.

    Args:
        image: any size from 1 x 1.
        boxes: of this picture.
        style: which are drawn, and how.

    Returns:
        uint8 (H, W, 3), at least 96 pixels high and wide; the same source.

    Raises:
        BadInput: boxes of a picture of another size.
        BadRequest: bytes of a font that is none.
    """
    settings = style or Style()
    check_size(image, boxes.size, "boxes")
    picture, factor = enlarged(image)
    chosen = boxes[shown_objects(boxes, settings)]
    corners = (chosen.xyxy * factor).clip(0, np.tile([picture.width, picture.height], 2))
    colours = [colour_of(index) for index in chosen.indices.tolist()]
    canvas = on_ground(picture, settings).copy()
    pen = ImageDraw.Draw(canvas)
    width = line_width((picture.height, picture.width))
    # The best is drawn last, over the others.
    for box, colour in reversed(list(zip(corners, colours, strict=True))):
        _outline(pen, box, colour, width)
    name_objects(canvas, chosen, corners, settings)
    return Image(np.array(canvas), source=image.source)


def shown_objects(boxes: Boxes, style: Style) -> Array:
    """Int64: which objects are drawn, the best first."""
    order = np.argsort(-boxes.scores, kind="stable")
    kept: Array = order[boxes.scores[order] >= style.object_score][: style.most_objects]
    return kept


def on_ground(picture: PillowImage.Image, style: Style) -> PillowImage.Image:
    """The picture, at the top left of a ground when it is too low or narrow for a name."""
    width, height = max(picture.width, _SMALLEST), max(picture.height, _SMALLEST)
    if (width, height) == picture.size:
        return picture
    canvas = PillowImage.new("RGB", (width, height), style.ground)
    canvas.paste(picture, (0, 0))
    return canvas


def name_objects(
    canvas: PillowImage.Image, boxes: Boxes, corners: Sequence[Array] | Array, style: Style
) -> None:
    """Draw a plate for each object, the first ones in the better places.

    Args:
        canvas: the picture, which is changed.
        boxes: labels and scores, the best first.
        corners: (K, 4), left, top, right, bottom in the drawn picture.
        style: the font.
    """
    height = text_height((canvas.height, canvas.width))
    font = font_of(style.font, height)
    plates = [
        Plate(np.asarray(box), name_of(label, index, font), f"{score:.2f}", colour_of(index))
        for box, label, index, score in zip(
            corners, boxes.labels, boxes.indices.tolist(), boxes.scores.tolist(), strict=True
        )
    ]
    draw_plates(canvas, plates, font, height)


def _outline(pen: ImageDraw.ImageDraw, box: Array, colour: Colour, width: int) -> None:
    """A line just inside the box's pixels, with a thin edge outside that sets it off from any ground."""
    left, top = np.floor(box[:2]).astype(int).tolist()
    right, bottom = (np.ceil(box[2:]).astype(int) - 1).tolist()
    right, bottom = max(left, right), max(top, bottom)
    edge = max(1, width // 3)
    around = (left - edge, top - edge, right + edge, bottom + edge)
    pen.rectangle(around, outline=ink_on(colour), width=edge)
    pen.rectangle((left, top, right, bottom), outline=colour, width=width)
