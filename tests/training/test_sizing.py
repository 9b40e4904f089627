"""Programs at another input size."""

from __future__ import annotations

import numpy as np
import pytest

from signet.errors import BadRequest
from signet.images import Image
from signet.preprocessing import prepare
from signet.programs import Program
from signet.steps import Crop, Layout, Pad, Range, Read, Resize
from signet.training import program_at

SHORT = Program((Read(), Resize(short=256), Crop(size=(224, 224)), Range(scale=1 / 255), Layout()))


def test_a_short_side_and_its_crop_shrink_together() -> None:
    smaller = program_at(SHORT, (112, 112))
    assert smaller.steps[1:3] == (Resize(short=128), Crop(size=(112, 112)))
    assert smaller.steps[3:] == SHORT.steps[3:]
    assert program_at(SHORT, (224, 224)) is SHORT


@pytest.mark.parametrize("size", [(96, 96), (128, 64), (64, 160), (300, 299)])
@pytest.mark.parametrize(
    "program",
    [
        SHORT,
        Program((Read(), Crop(fraction=0.875), Resize(fit="stretch", size=(224, 224)), Layout())),
        Program((Read(), Resize(fit="pad", size=(224, 224)), Pad(to=(224, 224)), Layout())),
        Program((Read(), Resize(fit="stretch", size=(256, 256)), Crop(size=(227, 227)), Layout())),
    ],
)
def test_every_image_ends_with_that_size(program: Program, size: tuple[int, int]) -> None:
    sized = program_at(program, size)
    assert sized.input_size() == size
    images = [Image(np.zeros((*shape, 3), np.uint8)) for shape in ((50, 40), (300, 500), (7, 90))]
    assert np.asarray(prepare(images, sized).arrays).shape == (3, 3, *size)


def test_a_size_that_depends_on_the_image_is_refused() -> None:
    with pytest.raises(BadRequest, match="expected a program that gives every image one size"):
        program_at(Program((Read(), Resize(short=256), Layout())), (112, 112))
    with pytest.raises(BadRequest, match="of at least 1, got"):
        program_at(SHORT, (0, 112))
