"""An answer drawn onto its picture, legible at any size.

One file for each kind of prediction; `draw` picks it. A colour belongs to a label's place in its list, so
one label has one colour in every picture and frame.
"""

from __future__ import annotations

from signet.boxes import Boxes
from signet.drawing.boxes import draw_boxes
from signet.drawing.classes import draw_classes
from signet.drawing.colours import Colour, colour_of, contrast, ink_on, palette
from signet.drawing.instances import Cutout, cutouts, draw_instances
from signet.drawing.letters import legible, percent, shortened
from signet.drawing.segments import draw_segments
from signet.drawing.style import Style
from signet.errors import WrongTask
from signet.images import Image
from signet.instances import Instances
from signet.predictions import Classes, Prediction
from signet.segments import SegmentMap

__all__ = [
    "Colour",
    "Cutout",
    "Style",
    "colour_of",
    "contrast",
    "cutouts",
    "draw",
    "draw_boxes",
    "draw_classes",
    "draw_instances",
    "draw_segments",
    "ink_on",
    "legible",
    "palette",
    "percent",
    "shortened",
]


def draw(image: Image, prediction: Prediction, style: Style | None = None) -> Image:
    """The picture with its answer.

    Args:
        image: any size from 1 x 1.
        prediction: about this picture.
        style: how it is drawn.

    Returns:
        A picture with the same source; a small one is enlarged by a whole factor.

    Raises:
        WrongTask: an answer that has no picture, such as an embedding.
        BadInput: an answer about a picture of another size.
    """
    match prediction:
        case Classes():
            return draw_classes(image, prediction, style)
        case Boxes():
            return draw_boxes(image, prediction, style)
        case Instances():
            return draw_instances(image, prediction, style)
        case SegmentMap():
            return draw_segments(image, prediction, style)
        case _:
            raise WrongTask(
                f"drawing: expected classes, boxes, instances or a segment map, got "
                f"{type(prediction).__name__}, which cannot be drawn on an image."
            )
