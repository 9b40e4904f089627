"""Copies are found, also changed ones; what only looks alike is not."""

from __future__ import annotations

import io
import tracemalloc

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from signet import duplicates
from signet.duplicates import duplicate_groups, grey_thumbnail, near_pairs, perceptual_hash


def _scene(seed: int, size: tuple[int, int] = (120, 160)) -> Image.Image:
    """A random picture with structure on all scales, as photographs have it."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((*size, 3))
    for step in (2, 4, 8, 16, 32):
        layer = Image.fromarray(rng.integers(0, 256, (step, step, 3), np.uint8)).resize(size[::-1], 3)
        picture += np.asarray(layer, float) / step
    picture -= picture.min()
    return Image.fromarray((picture / picture.max() * 255).astype(np.uint8))


def _groups(pictures: list[Image.Image], digests: list[str] | None = None):
    pixels = [np.asarray(picture.convert("RGB")) for picture in pictures]
    hashes = np.array([perceptual_hash(one) for one in pixels], np.uint64)
    thumbnails = np.array([grey_thumbnail(one) for one in pixels])
    return duplicate_groups(digests or [str(i) for i in range(len(pixels))], hashes, thumbnails).tolist()


def _jpeg(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def test_the_hash_is_imagehashs():
    picture = _scene(1)
    expected = int(str(imagehash.phash(picture)), 16)
    assert int(perceptual_hash(np.asarray(picture))) == expected


def test_changed_copies_are_found():
    scene = _scene(2)
    copies = [
        scene,
        _jpeg(scene, 20),
        scene.resize((80, 60)),
        scene.resize((100, 100)),
        scene.convert("L"),
        ImageEnhance.Brightness(scene).enhance(1.15),
        ImageEnhance.Contrast(scene).enhance(0.7),
        scene.crop((1, 1, 159, 119)),
    ]
    assert _groups([_scene(3), *copies, _scene(4)]) == [0, *[1] * len(copies), len(copies) + 1]


def test_different_scenes_are_apart():
    assert _groups([_scene(seed) for seed in range(200)]) == list(range(200))


def test_equal_files_are_together_whatever_they_show():
    flat = [Image.new("RGB", (32, 32), (shade, shade, shade)) for shade in (0, 10, 200, 200, 255)]
    assert _groups(flat) == [0, 1, 2, 3, 4]
    assert _groups(flat, ["a", "b", "c", "c", "a"]) == [0, 1, 2, 2, 0]


def test_unreadable_files_are_never_copies():
    blank = np.zeros((3, 16, 16), np.uint8)
    assert duplicate_groups(["", "", "x"], np.zeros(3, np.uint64), blank).tolist() == [0, 1, 2]
    assert duplicate_groups([], np.zeros(0, np.uint64), np.zeros((0, 16, 16), np.uint8)).tolist() == []


def test_chains_become_one_group():
    rng = np.random.default_rng(0)
    digests = [str(i) for i in range(300)]
    hashes = rng.integers(0, 2**63, 300, dtype=np.uint64)
    thumbnails = rng.integers(0, 256, (300, 16, 16), np.uint8)
    thumbnails[10:20] = thumbnails[10]
    hashes[10:20] = [int(hashes[10]) ^ ((1 << 2 * i) - 1) for i in range(10)]  # neighbours differ in 2 bits
    groups = duplicate_groups(digests, hashes, thumbnails)
    assert groups[10:20].tolist() == [10] * 10
    assert len(np.unique(groups)) == 291


def test_a_group_that_is_too_large_is_judged_strictly():
    """Many small pictures that are alike (digits) are not copies of one picture."""
    rng = np.random.default_rng(0)
    shape = rng.integers(0, 256, (16, 16)).astype(float)
    alike = np.clip(shape + rng.normal(0, 16, (100, 16, 16)), 0, 255).astype(np.uint8)
    one = int(rng.integers(0, 2**63))
    hashes = np.array([one ^ (0b111 << 3 * (i % 10)) for i in range(100)], np.uint64)
    groups = duplicate_groups([str(i) for i in range(100)], hashes, alike)
    assert len(np.unique(groups)) == 100
    few = duplicate_groups([str(i) for i in range(15)], hashes[:15], alike[:15])
    assert len(np.unique(few)) == 1


@pytest.mark.parametrize("distance", [0, 1, 4, 8, 11])
def test_near_pairs_are_those_of_all_pairs(distance):
    rng = np.random.default_rng(distance)
    hashes = rng.integers(0, 2**63, 400, dtype=np.uint64)
    for i in range(0, 400, 4):  # plant neighbours at every distance up to 12
        flips = rng.choice(64, rng.integers(0, 13), replace=False)
        hashes[i + 1] = np.uint64(int(hashes[i]) ^ sum(1 << int(bit) for bit in flips))
    left, right = np.triu_indices(400, 1)
    near = np.bitwise_count(hashes[left] ^ hashes[right]) <= distance
    expected = np.stack([left[near], right[near]], axis=1)
    np.testing.assert_array_equal(near_pairs(hashes, distance), expected)


def test_many_hashes_are_compared_in_seconds():
    hashes = np.random.default_rng(0).integers(0, 2**63, 50_000, dtype=np.uint64)
    hashes[49_999] = hashes[0] ^ np.uint64(0b1011)
    assert near_pairs(hashes).tolist() == [[0, 49_999]]


def test_thousands_of_one_picture_take_seconds_and_little_memory():
    count = 4000
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (1, 16, 16)).astype(np.uint8)
    hashes = np.full(count, int(rng.integers(0, 2**63)), np.uint64)
    tracemalloc.start()
    try:
        groups = duplicate_groups(["same"] * count, hashes, np.repeat(picture, count, axis=0))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert set(groups.tolist()) == {0}
    assert peak < 100e6


def test_what_is_joined_does_not_depend_on_how_many_pairs_are_held(monkeypatch):
    """Frames of still scenes: far more pairs than frames; only a forest of them is kept."""
    rng = np.random.default_rng(1)
    scenes = rng.integers(0, 256, (6, 16, 16))
    of = np.arange(240) % 6
    frames = np.clip(scenes[of] + rng.normal(0, 6, (240, 16, 16)), 0, 255).astype(np.uint8)
    bits = rng.integers(0, 2**63, 6).astype(np.uint64)
    hashes = bits[of] ^ np.array([0b11 << 2 * (i % 4) for i in range(240)], np.uint64)
    names = [str(i) for i in range(240)]
    whole = duplicate_groups(names, hashes, frames)
    assert len(np.unique(whole)) == 6
    monkeypatch.setattr(duplicates, "_CANDIDATES_AT_ONCE", 200)
    monkeypatch.setattr(duplicates, "_PAIRS_AT_ONCE", 32)
    np.testing.assert_array_equal(duplicate_groups(names, hashes, frames), whole)
