"""Each step of a program against the transform of torchvision or timm that it stands for, on real images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signet.decoding import read
from signet.images import Image
from signet.preprocessing import crop_box, prepare, resized_size, stages
from signet.programs import Program
from signet.steps import Crop, Layout, Normalise, Order, Pad, Range, Read, Resize, Type

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("timm")

from timm.data.transforms import CenterCropOrPad, ResizeKeepRatio  # noqa: E402
from torchvision import transforms  # noqa: E402
from torchvision.transforms import InterpolationMode  # noqa: E402
from torchvision.transforms.v2 import functional  # noqa: E402

FILTERS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")


def ours(image: Image, *steps: Any) -> np.ndarray:
    return np.asarray(prepare([image], Program((Read(), *steps))).arrays)[0]


def theirs(image: Image, transform: Any) -> np.ndarray:
    return np.asarray(transform(image.to_pillow()))


def same(pictures: list[Image], transform: Any, *steps: Any) -> None:
    for image in pictures:
        expected, found = theirs(image, transform), ours(image, *steps)
        assert found.shape == expected.shape, image.size
        assert np.array_equal(found, expected), image.size


@pytest.mark.parametrize("kernel", FILTERS)
def test_resize_of_the_short_side_is_torchvisions(kernel: str, pictures: list[Image]) -> None:
    transform = transforms.Resize(96, InterpolationMode(kernel))
    same(pictures, transform, Resize(short=96, filter=kernel))


@pytest.mark.parametrize("side", [224, 235, 256, 288, 342])
def test_the_length_of_the_long_side_is_torchvisions(side: int) -> None:
    """Its own order of operations: `side / short * long` is cut at another whole number now and then."""
    others = 0
    for short in range(200, 700, 7):
        for long in range(short, 1000, 3):
            expected = int(side * long / short)
            others += int(side / short * long) != expected
            assert resized_size(Resize(short=side), (short, long)) == (side, expected)
            assert resized_size(Resize(short=side), (long, short)) == (expected, side)
    assert others, "the sizes tell the two orders apart"


@pytest.mark.parametrize("kernel", FILTERS)
def test_stretching_is_torchvisions(kernel: str, pictures: list[Image]) -> None:
    transform = transforms.Resize((97, 131), InterpolationMode(kernel))
    same(pictures, transform, Resize(size=(97, 131), fit="stretch", filter=kernel))


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(256, 256), (160, 224), (65, 129)])
def test_fitting_inside_is_timms(kernel: str, size: tuple[int, int], pictures: list[Image]) -> None:
    transform = ResizeKeepRatio(size, longest=1.0, interpolation=kernel)
    step = Resize(size=size, fit="pad", filter=kernel, rounding="round")
    for image in pictures:
        # timm asks Pillow for a side of 0 where a picture is that narrow; ours keeps one pixel.
        if min(round(side / max(image.height / size[0], image.width / size[1])) for side in image.size) < 1:
            assert min(resized_size(step, image.size)) == 1
            continue
        assert np.array_equal(ours(image, step), theirs(image, transform)), image.size


@pytest.mark.parametrize("longest", [120, 200])
def test_a_limit_of_the_long_side_is_torchvisions(longest: int, pictures: list[Image]) -> None:
    transform = transforms.Resize(96, InterpolationMode.BILINEAR, max_size=longest)
    for image in pictures:
        step = Resize(short=96, longest=longest)
        long = int(96 * max(image.size) / min(image.size))
        if long > longest and int(longest * 96 / long) < 1:
            assert min(resized_size(step, image.size)) == 1  # torchvision refuses such a picture
            continue
        assert np.array_equal(ours(image, step), theirs(image, transform)), image.size


@pytest.mark.parametrize("size", [(224, 224), (96, 224), (1, 1), (225, 63)])
def test_centre_crop_is_torchvisions(size: tuple[int, int], pictures: list[Image]) -> None:
    same(pictures, transforms.CenterCrop(size), Crop(size=size))


@pytest.mark.parametrize("size", [(224, 224), (96, 224), (301, 63)])
def test_centre_crop_with_a_fill_is_timms(size: tuple[int, int], pictures: list[Image]) -> None:
    fill = (124, 116, 104)
    same(pictures, CenterCropOrPad(size, fill=fill), Crop(size=size, fill=fill))


def test_padding_is_torchvisions(pictures: list[Image]) -> None:
    for image in pictures:
        height, width = (-(-side // 32) * 32 for side in image.size)
        right, bottom = width - image.width, height - image.height
        top_left = transforms.Pad((0, 0, right, bottom), fill=(7, 8, 9))
        step = Pad(multiple=32, value=(7, 8, 9), anchor="top-left")
        assert np.array_equal(ours(image, step), theirs(image, top_left))
        centred = transforms.Pad(
            (right // 2, bottom // 2, right - right // 2, bottom - bottom // 2), fill=114
        )
        step = Pad(to=(height, width), value=114)
        assert np.array_equal(ours(image, step), theirs(image, centred))


def test_grey_is_torchvisions(pictures: list[Image]) -> None:
    transform = transforms.Grayscale(num_output_channels=3)
    for image in pictures:
        found = np.asarray(prepare([image], Program((Read(channels="L"),))).arrays)[0]
        assert np.array_equal(found, theirs(image, transform))


def test_to_tensor_is_torchvisions_to_the_last_bit(pictures: list[Image]) -> None:
    steps = (Type("float32"), Range(1 / 255, 0.0), Layout("NCHW"))
    for image in pictures:
        assert np.array_equal(ours(image, *steps), theirs(image, transforms.ToTensor()))
        # A range straight on bytes is the same numbers.
        assert np.array_equal(ours(image, *steps[1:]), theirs(image, transforms.ToTensor()))


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ((123 / 255, 117 / 255, 104 / 255), (1 / 255, 1 / 255, 1 / 255)),
    ],
)
def test_normalise_is_torchvisions(mean: Any, std: Any, few: list[Image]) -> None:
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    steps = (Type("float32"), Range(1 / 255, 0.0), Normalise(mean, std), Layout("NCHW"))
    before = (*steps[:2], Layout("NCHW"), Normalise(mean, std))
    for image in few:
        expected = theirs(image, transform)
        assert np.abs(ours(image, *steps) - expected).max() <= 1e-6 * np.abs(expected).max()
        assert np.array_equal(ours(image, *before), ours(image, *steps)), "the layout may come first"


def test_order_and_layout_move_values_and_change_none(awkward_images: list[Image]) -> None:
    for image in awkward_images:
        assert np.array_equal(ours(image, Order("BGR")), image.pixels[..., ::-1])
        assert np.array_equal(ours(image, Layout("NCHW")), image.pixels.transpose(2, 0, 1))
        twice = ours(image, Layout("NCHW"), Order("BGR"), Layout("NHWC"), Order("BGR"))
        assert np.array_equal(twice, image.pixels)


def test_bytes_are_rounded_half_to_even_and_clipped() -> None:
    image = Image(np.array([[[0, 1, 2], [3, 101, 255]]], np.uint8))
    found = ours(image, Type("float32"), Range(2.5, -3.0), Type("uint8"))
    # -3, -0.5, 2, 4.5, 249.5, 634.5
    assert found.tolist() == [[[0, 0, 2], [4, 250, 255]]]


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(97, 131), (224, 224), (700, 401)])
def test_without_antialias_is_torchs(kernel: str, size: tuple[int, int], pictures: list[Image]) -> None:
    """Within one level, and equal but for ties that float32 decides otherwise: at most 2 values of 100."""
    for image in pictures:
        tensor = torch.from_numpy(image.pixels.transpose(2, 0, 1).copy())[None].float()
        expected = torch.nn.functional.interpolate(
            tensor, size=size, mode=kernel, align_corners=False, antialias=False
        )
        rounded = expected.round().clamp(0, 255)[0].permute(1, 2, 0).numpy()
        step = Resize(size=size, fit="stretch", filter=kernel, antialias=False)
        difference = np.abs(ours(image, step).astype(int) - rounded)
        assert difference.max() <= 1, image.size
        assert np.count_nonzero(difference) <= 0.02 * difference.size, image.size


def test_without_antialias_is_what_torchvision_does_to_tensors(real_images: list[Image]) -> None:
    """The trap itself: the same call on a tensor, and on a picture, gives other pixels."""
    image = real_images[0]
    tensor = torch.from_numpy(image.pixels.transpose(2, 0, 1).copy())
    expected = functional.resize(tensor, [64, 64], antialias=False).permute(1, 2, 0).numpy().astype(int)
    plain = ours(image, Resize(size=(64, 64), fit="stretch", antialias=False)).astype(int)
    smooth = ours(image, Resize(size=(64, 64), fit="stretch")).astype(int)
    assert np.abs(plain - expected).max() <= 1
    assert np.abs(smooth - expected).max() > 20


def test_floats_are_resized_like_bytes_but_for_rounding(real_images: list[Image]) -> None:
    for antialias in (True, False):
        step = Resize(size=(61, 83), fit="stretch", filter="bilinear", antialias=antialias)
        for image in real_images[:4]:
            floats, integers = ours(image, Type("float32"), step), ours(image, step)
            assert floats.dtype == np.float32
            # Pillow rounds bytes after each of its two passes, and floats never.
            assert np.abs(floats - integers).max() <= (1.0 if antialias else 0.5)


def test_a_picture_that_may_not_grow_stays(pictures: list[Image]) -> None:
    step = Resize(short=300, upscale=False)
    for image in pictures:
        grown = min(image.size) < 300
        assert resized_size(step, image.size) == (
            image.size if grown else resized_size(Resize(short=300), image.size)
        )


@pytest.mark.parametrize("rounding", ["floor", "round", "ceil"])
def test_rounding_of_lengths_and_corners_is_as_stated(rounding: str) -> None:
    lengths = {"floor": 133, "round": 133, "ceil": 134}
    assert resized_size(Resize(short=100, rounding=rounding), (300, 400)) == (100, lengths[rounding])
    corners = {"floor": 0, "round": 0, "ceil": 1}
    assert crop_box(Crop(size=(4, 4), rounding=rounding), (5, 7))[:2] == (
        corners[rounding],
        {"floor": 1, "round": 2, "ceil": 2}[rounding],
    )


def test_a_fraction_is_a_square_of_the_short_side_and_never_nothing() -> None:
    assert crop_box(Crop(fraction=0.875), (375, 500)) == (24, 86, 328, 328)
    assert crop_box(Crop(fraction=0.875), (500, 375)) == (86, 24, 328, 328)
    assert crop_box(Crop(fraction=0.001), (10, 10))[2:] == (1, 1)


def test_stages_end_where_the_program_ends(real_images: list[Image]) -> None:
    steps = (
        Resize(short=96),
        Crop(size=(80, 80)),
        Type(),
        Range(1 / 255),
        Normalise((0.5,) * 3, (0.5,) * 3),
        Layout(),
    )
    program = Program((Read(), *steps))
    for image in real_images[:3]:
        found = list(stages(image, program))
        assert [name for name, _, _ in found] == ["read", "resize", "crop", "normalise", "layout"]
        assert np.array_equal(found[0][1], image.pixels)
        assert np.array_equal(found[-1][1], np.asarray(prepare([image], program).arrays)[0])
        assert found[-1][2] == prepare([image], program).geometry[0]


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic", "lanczos"])
def test_what_an_approximate_resize_may_differ_by(kernel: str, shared: Path) -> None:
    """`exact=False` computes only the box that the next crop keeps; the figures of its docstring."""
    files = sorted((shared / "data" / "imagenet_sample_250").glob("*.JPEG"))[::8]
    program = Program((Read(), Resize(short=235, filter=kernel), Crop(size=(224, 224))))
    differences = []
    for image in map(read, files):
        exact, quick = (prepare([image], program, exact=flag) for flag in (True, False))
        differences.append(np.abs(np.asarray(exact.arrays).astype(int) - np.asarray(quick.arrays)))
        assert exact.geometry == quick.geometry
    found = np.concatenate(differences)
    assert 0 < np.count_nonzero(found) <= 0.04 * found.size
    assert np.count_nonzero(found > 1) <= 1e-4 * found.size
    if kernel == "bilinear":
        assert found.max() <= 2  # no overshoot, so only rounding is left: half a level in each pass


def test_an_approximate_resize_that_cannot_be_one_is_exact(awkward_images: list[Image]) -> None:
    """The crop reaches outside, there is no antialias, or nothing is resized: both are the same."""
    for steps in (
        (Resize(short=64), Crop(size=(80, 80))),
        (Resize(short=96, antialias=False), Crop(size=(80, 80))),
        (Resize(short=96, filter="nearest"), Crop(size=(80, 80))),
    ):
        for image in awkward_images:
            program = Program((Read(), *steps))
            exact, quick = (
                np.asarray(prepare([image], program, exact=flag).arrays) for flag in (True, False)
            )
            assert np.array_equal(exact, quick)
