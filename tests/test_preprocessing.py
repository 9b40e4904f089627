"""The executor itself: fused and whole, one and many, and what it refuses. Pixels: tests/golden."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from signet import preprocessing
from signet.batches import Batch
from signet.errors import BadInput
from signet.geometry import Geometry
from signet.images import Image
from signet.preprocessing import crop_box, finish, numeric, prepare, resized_size
from signet.programs import Program
from signet.steps import Crop, Layout, Normalise, Order, Pad, Range, Read, Resize, Type

NUMERIC = (Type(), Range(1 / 255), Normalise((0.1, 0.2, 0.3), (0.5, 0.6, 0.7)), Order("BGR"), Layout())


def image(height: int, width: int) -> Image:
    random = np.random.default_rng(height * 1000 + width)
    return Image(random.integers(0, 256, (height, width, 3), np.uint8), f"{height}x{width}")


@pytest.mark.parametrize("steps", [(Resize(short=20), Crop(size=(16, 12))), (Resize(short=20),), ()])
def test_fused_and_then_finished_is_whole(steps: tuple[object, ...]) -> None:
    images = [image(30, 40), image(50, 31), image(16, 16)]
    program = Program((Read(), *steps, *NUMERIC))
    fused, whole = prepare(images, program, fuse=True), prepare(images, program)
    assert fused.pending == NUMERIC
    assert all(array.dtype == np.uint8 for array in fused.arrays)
    finished = finish(fused)
    assert finished.pending == whole.pending == ()
    assert finished.geometry == whole.geometry
    for one, other in zip(finished.arrays, whole.arrays, strict=True):
        assert np.array_equal(one, other)


def test_images_of_one_size_are_one_array_and_others_a_list() -> None:
    program = Program((Read(), Type()))
    same = prepare([image(3, 4), image(3, 4)], program)
    assert isinstance(same.arrays, np.ndarray)
    assert same.arrays.shape == (2, 3, 4, 3)
    different = prepare([image(3, 4), image(4, 3)], program)
    assert [array.shape for array in different.arrays] == [(3, 4, 3), (4, 3, 3)]
    assert different.sources == ("3x4", "4x3")
    assert len(prepare([], program)) == 0


def test_a_batch_without_pending_steps_is_returned_as_it_is() -> None:
    batch = prepare([image(3, 4)], Program((Read(), *NUMERIC)))
    assert finish(batch) is batch


def test_images_are_not_changed() -> None:
    picture = image(30, 40)
    before = picture.pixels.copy()
    prepare([picture], Program((Read(), Crop(size=(50, 50)), *NUMERIC)))
    prepare([picture], Program((Read(), Range(1 / 255), Resize(short=9), Layout())))
    assert np.array_equal(picture.pixels, before)


@given(
    height=some.integers(1, 400), width=some.integers(1, 400), box=some.tuples(*[some.integers(1, 400)] * 2)
)
def test_a_centred_crop_lies_in_the_middle(height: int, width: int, box: tuple[int, int]) -> None:
    top, left, rows, columns = crop_box(Crop(size=box), (height, width))
    assert (rows, columns) == box
    for corner, side, length in ((top, height, rows), (left, width, columns)):
        assert abs(2 * corner + length - side) <= 1


@given(height=some.integers(1, 3000), width=some.integers(1, 3000), side=some.integers(1, 600))
def test_no_resize_makes_an_empty_picture(height: int, width: int, side: int) -> None:
    for step in (
        Resize(short=side),
        Resize(short=side, longest=side, rounding="floor"),
        Resize(size=(side, 7), fit="pad"),
        Resize(size=(3, side), fit="pad", rounding="round"),
    ):
        to = resized_size(step, (height, width))
        assert min(to) >= 1
        if step.fit == "pad":
            assert to[0] <= step.size[0]
            assert to[1] <= step.size[1]
        else:
            assert min(to) <= side


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ((Normalise((0.5,), (0.5,)),), "somewhere: normalise: expected 1 channels, got 3"),
        ((Layout(), Crop(size=(2, 2))), "somewhere: program step 'crop': expected before the layout step"),
        ((Pad(to=(40_000, 40_000)),), "would become 40000x40000; expected at most 134,217,728 pixels"),
        ((Crop(size=(40_000, 40_000)),), "would become 40000x40000"),
        ((Resize(size=(40_000, 40_000), fit="stretch"),), "would become 40000x40000"),
        ((Resize(short=9), Pad(multiple=30_000)), "would become 30000x30000"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_name_of_the_image(
    steps: tuple[object, ...], words: str
) -> None:
    picture = Image(np.zeros((4, 4, 3), np.uint8), "somewhere")
    with pytest.raises(BadInput, match=words):
        prepare([picture], Program((Read(), *steps)))


def test_a_long_strip_does_not_grow_to_gigabytes_on_its_way_to_a_crop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strip = Image(
        np.repeat(np.arange(10_000, dtype=np.uint32) % 256, 3).reshape(1, -1, 3).astype(np.uint8), "strip"
    )
    asked: list[tuple[int, int]] = []
    real = preprocessing._resize

    def watched(array: np.ndarray, to: tuple[int, int], step: Resize) -> np.ndarray:
        asked.append(to)
        return real(array, to, step)

    monkeypatch.setattr(preprocessing, "_resize", watched)
    program = Program((Read(), Resize(short=256), Crop(size=(224, 224)), *NUMERIC))
    batch = prepare([strip], program)
    assert np.asarray(batch.arrays).shape == (1, 3, 224, 224)
    assert not asked, "only the box of the crop is made"
    middle = batch.geometry[0].to_original(np.array([[112.0, 112.0]]))
    np.testing.assert_allclose(middle, [[5000, 0.5]], atol=0.01)
    with pytest.raises(BadInput, match="strip: program step 'resize'"):
        prepare([strip], Program((Read(), Resize(short=256))))


def test_numeric_steps_come_alone() -> None:
    with pytest.raises(BadInput, match="expected before all numeric steps"):
        numeric(np.zeros((1, 2, 2, 3)), [Resize(short=2)])
    assert numeric(np.zeros((2, 4, 5, 3), np.uint8), NUMERIC).flags.c_contiguous


def test_finish_takes_lists_of_different_sizes() -> None:
    arrays = [np.zeros((2, 3, 3), np.uint8), np.ones((4, 5, 3), np.uint8)]
    places = (Geometry.of((2, 3)), Geometry.of((4, 5)))
    finished = finish(Batch(arrays, places, ("a", "b"), (Type(), Layout())))
    assert [array.shape for array in finished.arrays] == [(3, 2, 3), (3, 4, 5)]
    assert finished.arrays[0].dtype == np.float32
