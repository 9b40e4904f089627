"""Views of training pictures: functions of seed, epoch and image; and what is kept of decoded images."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from signet.decoding import read
from signet.preprocessing import prepare
from signet.programs import Program
from signet.steps import Layout, Read, Resize
from signet.training.augmentation import augmented, generator_of, whole
from signet.training.pictures import Batches
from signet.training.variation import STRENGTHS


def batches(tiny: ModuleType, images: Path, **changes: object) -> Batches:
    data = tiny.data_in(images)
    return Batches(data.train, data.program, tiny.settings(**changes), learning=True)


@pytest.mark.parametrize("kind", ["light", "medium", "strong"])
def test_a_view_depends_on_seed_epoch_and_image_only(tiny: ModuleType, images: Path, kind: str) -> None:
    some = batches(tiny, images, augmentation=kind)
    forward = some.batch(np.arange(8), 1).numpy()
    backward = batches(tiny, images, augmentation=kind).batch(np.arange(8)[::-1].copy(), 1).numpy()
    assert np.array_equal(forward, backward[::-1])
    assert not np.array_equal(forward, some.batch(np.arange(8), 2).numpy())
    other = batches(tiny, images, augmentation=kind, seed=1)
    assert not np.array_equal(forward, other.batch(np.arange(8), 1).numpy())
    assert forward.shape == (8, 3, 16, 16)
    assert forward.dtype == np.float32
    assert -1 <= forward.min() < 0 < forward.max() <= 1


def test_without_augmentation_it_is_the_evaluation_program_to_the_bit(tiny: ModuleType, images: Path) -> None:
    data = tiny.data_in(images)
    some = batches(tiny, images, augmentation="none")
    expected = prepare([read(path) for path in data.train[:6]], data.program).arrays
    for epoch in (1, 2):
        assert np.array_equal(some.batch(np.arange(6), epoch).numpy(), expected)


def test_what_is_kept_does_not_change_what_is_seen(tiny: ModuleType, images: Path) -> None:
    some, none = batches(tiny, images), batches(tiny, images, memory_bytes=0)
    order = np.array([0, 3, 0, 7])
    for epoch in (1, 2):
        assert np.array_equal(some.batch(order, epoch).numpy(), none.batch(order, epoch).numpy())
    assert len(some.pictures._kept) == 3
    assert not none.pictures._kept


def test_a_large_picture_is_kept_small(tiny: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("RGB", (300, 200), (10, 20, 30)).save(path)
    some = Batches([path], tiny.PROGRAM, tiny.settings(augmentation="light"), learning=True)
    assert some.pictures[0].shape == (21, 32, 3)  # 1.3 times 16, in the picture's proportions


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 200), (64, 64)])
def test_any_shape_of_picture_has_views(shape: tuple[int, int]) -> None:
    pixels = np.full((*shape, 3), 99, np.uint8)
    for strength, place in itertools.product(STRENGTHS.values(), range(5)):
        view = augmented(pixels, (24, 16), strength, generator_of(0, place))
        assert view.shape == (24, 16, 3)
        assert view.dtype == np.uint8
    top, left, height, width = whole(shape, (24, 16))
    assert 0 <= top <= top + height <= shape[0]
    assert 0 <= left <= left + width <= shape[1]


def test_the_light_crop_keeps_at_least_its_share(tiny: ModuleType) -> None:
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[:, :] = np.arange(100, dtype=np.uint8)[None, :, None]
    for place in range(30):
        view = augmented(pixels, (50, 50), STRENGTHS["light"], generator_of(place))
        spread = int(view.max()) - int(view.min())
        assert spread >= 40  # of 99: never a small part of the picture, nor one without colour


@pytest.mark.parametrize("flip", [True, False])
def test_left_and_right_are_exchanged_only_where_they_may_be(
    tiny: ModuleType, tmp_path: Path, flip: bool
) -> None:
    ramp = np.zeros((40, 40, 3), np.uint8)
    ramp[:, :] = np.linspace(0, 255, 40).astype(np.uint8)[None, :, None]
    path = tmp_path / "ramp.png"
    Image.fromarray(ramp).save(path)
    some = Batches([path] * 24, tiny.PROGRAM, tiny.settings(augmentation="light", flip=flip), learning=True)
    views = some.batch(np.arange(24), 1).numpy()
    rising = (views[..., -1] > views[..., 0]).mean(axis=(1, 2)) > 0.5
    assert rising.all() != flip
    assert rising.any()


def test_numeric_steps_before_a_resize_still_count(tiny: ModuleType, images: Path) -> None:
    from signet.steps import Range

    steps = (Read(), Range(scale=2 / 255, offset=-1), Resize(fit="stretch", size=(16, 16)), Layout())
    data = tiny.data_in(images, program=Program(steps))
    some = Batches(data.train, data.program, tiny.settings(augmentation="light"), learning=True)
    view = some.batch(np.arange(4), 1).numpy()
    assert -1 <= view.min() < -0.2
    assert 0.2 < view.max() <= 1
