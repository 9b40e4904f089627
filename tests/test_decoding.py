"""Reading image files: every kind of odd file is read right or refused in words."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from signet import decoding
from signet.decoding import read, upright
from signet.errors import BadInput, BadRequest


def test_every_hostile_file_is_read_right_or_refused(hostile, hostile_cases):
    assert len({case.kind for case in hostile_cases}) >= 40
    wrong = []
    for case in hostile_cases:
        if case.needs_unprivileged and os.geteuid() == 0:
            continue
        try:
            image = read(case.path)
        except BadInput as error:
            if case.expectation == "ok" or case.says not in str(error):
                wrong.append(f"{case.kind}: {error}")
            if not str(error).isprintable():
                wrong.append(f"{case.kind}: the message holds control codes")
        else:
            if case.expectation == "error":
                wrong.append(f"{case.kind}: was read")
            elif case.expectation == "ok":
                hostile.check(case, image.pixels)
                assert image.source == str(case.path)
    assert not wrong, "\n".join(wrong)


def test_bytes_and_streams_give_the_same(hostile, hostile_cases):
    for case in hostile_cases:
        if case.expectation == "ok":
            data = case.path.read_bytes()
            hostile.check(case, read(data).pixels)
            hostile.check(case, read(io.BytesIO(data)).pixels)


def test_photographs_have_pillows_pixels(shared):
    files = sorted((shared / "data" / "imagenet_sample_250").glob("*.JPEG"))
    assert len(files) == 250
    for file in files:
        with Pillow.open(file) as picture:
            expected = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
        np.testing.assert_array_equal(read(file).pixels, expected)


def test_plain_jpegs_take_the_fast_way(monkeypatch, hostile_cases):
    def refuse(*_):
        raise AssertionError("Pillow was asked")

    monkeypatch.setattr(decoding, "_with_pillow", refuse)
    for case in hostile_cases:
        if case.kind in ("plain JPEG", "progressive JPEG", "grey JPEG", "JPEG of EXIF orientation 6"):
            read(case.path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_agrees_with_pillow(orientation):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Pillow.open(buffer)))
    np.testing.assert_array_equal(upright(pixels, orientation), expected)
    np.testing.assert_array_equal(read(buffer.getvalue()).pixels, expected)


def test_orient_false_leaves_the_picture_as_stored(hostile, hostile_cases):
    for case in hostile_cases:
        if "EXIF orientation 6" in case.kind:
            as_stored = read(case.path, orient=False)
            assert as_stored.size == as_stored.stored == (hostile.WIDTH, hostile.HEIGHT)
            turned = read(case.path)
            assert turned.stored == as_stored.stored
            np.testing.assert_array_equal(upright(as_stored.pixels, 6), turned.pixels)


def test_luma_channels(hostile):
    data = hostile.encoded(hostile.quadrants(), "PNG")
    pixels = read(data, channels="L").pixels
    assert pixels.shape == (hostile.HEIGHT, hostile.WIDTH, 3)
    assert pixels[0, 0].tolist() == [76, 76, 76]  # 0.299 of red


def test_sixteen_bits_are_scaled_not_clipped(hostile):
    ramp = np.linspace(0, 65535, 512).astype(">u2").reshape(2, 256)
    pixels = read(hostile.png(16, 0, ramp.tobytes(), size=(2, 256))).pixels[..., 0]
    assert np.abs(pixels - ramp / 257.0).max() < 1
    assert len(np.unique(pixels)) == 256


def test_a_limit_of_ones_own():
    buffer = io.BytesIO()
    Pillow.new("RGB", (30, 20)).save(buffer, "JPEG")
    assert read(buffer.getvalue(), max_pixels=600).size == (20, 30)
    with pytest.raises(BadInput, match=r"at most 599 pixels, got 30 x 20 = 600"):
        read(buffer.getvalue(), max_pixels=599)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
def test_large_images_below_the_limit_raise_no_warning(kind):
    # Pillow itself warns from 89,478,486 pixels on; warnings are errors in these tests.
    buffer = io.BytesIO()
    Pillow.new("1" if kind != "GIF" else "L", (10_000, 9_000)).save(buffer, kind)
    assert read(buffer.getvalue()).size == (9_000, 10_000)


def test_pillows_global_limit_is_neither_used_nor_changed(monkeypatch):
    buffer = io.BytesIO()
    Pillow.new("RGB", (30, 20)).save(buffer, "TIFF")
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 10)
    assert read(buffer.getvalue()).size == (20, 30)
    assert Pillow.MAX_IMAGE_PIXELS == 10


def test_devices_and_sockets_are_refused(tmp_path, monkeypatch):
    with pytest.raises(BadInput, match="a device"):
        read("/dev/zero")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.jpg")
        with pytest.raises(BadInput, match="a socket"):
            read("s.jpg")


def test_a_file_without_permission(hostile):
    """In a child process that gives up its rights, since root may read everything."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user; as an ordinary user the hostile cases test it")
    script = textwrap.dedent(
        """
        import os, sys
        from signet.decoding import read
        from signet.errors import BadInput
        from signet.sources import list_images
        os.setgid(65534)
        os.setuid(65534)
        folder = sys.argv[1]
        found = [os.path.relpath(path, folder) for path in list_images([folder])]
        assert found == ["closed", "locked.png", "open.png"], found
        read(folder + "/open.png")
        for name in ("closed", "locked.png"):
            try:
                read(f"{folder}/{name}")
            except BadInput as error:
                assert "permission denied" in str(error), error
            else:
                raise SystemExit("was read")
        """
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for file in ("locked.png", "open.png"):
            (folder / file).write_bytes(hostile.encoded(hostile.quadrants(), "PNG"))
        (folder / "locked.png").chmod(0)
        (folder / "closed").mkdir(mode=0)
        done = subprocess.run(
            [sys.executable, "-c", script, name], capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr


def test_asked_wrongly():
    with pytest.raises(BadRequest, match="expected 'RGB' or 'L', got 'BGR'"):
        read(b"", channels="BGR")
    with pytest.raises(BadRequest, match="max_pixels"):
        read(b"", max_pixels=0)
    with pytest.raises(BadRequest, match="got ndarray"):
        read(np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(BadInput, match="open it 'rb'"):
        read(io.StringIO("text"))
    with pytest.raises(BadInput, match="no file can have"):
        read("nul\0byte.jpg")
    with pytest.raises(BadInput, match=r"'': expected .* no such file"):
        read("")
    with pytest.raises(BadInput, match="got a folder"):
        read(".")


def test_messages_say_what_came(tmp_path):
    file = tmp_path / "note.jpg"
    file.write_text("hello")
    with pytest.raises(BadInput) as caught:
        read(file)
    message = str(caught.value)
    assert str(file) in message
    assert "expected an image (JPEG, PNG, WebP, BMP, TIFF or GIF), got text that begins 'hello'" in message


def test_threads_decode_the_same(hostile, hostile_cases):
    cases = [case for case in hostile_cases if case.expectation == "ok"] * 4
    with ThreadPoolExecutor(8) as pool:
        for case, image in zip(cases, pool.map(lambda case: read(case.path), cases), strict=True):
            hostile.check(case, image.pixels)


def test_no_open_files_are_left(hostile_cases):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for case in hostile_cases:
        try:
            read(case.path)
        except BadInput:
            continue
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
