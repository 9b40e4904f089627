"""Films out: whole or not there, with the colours and times that went in."""

from __future__ import annotations

import signal
from fractions import Fraction

import numpy as np
import pytest

from signet.errors import AlreadyExists, SignetError
from signet.images import Image
from signet.video import Video, fitted, new_video


def plain(colour, size=(64, 96)):
    return Image(np.full((*size, 3), colour, np.uint8))


def read(path):
    with Video(path) as video:
        return video.facts, list(video)


@pytest.mark.parametrize("encoder", [None, "mpeg4"])
def test_colours_and_times_come_back(tmp_path, encoder, monkeypatch):
    if encoder:
        monkeypatch.setattr("signet.video.writing._ENCODERS", (encoder,))
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 64, 200), (255, 255, 255), (0, 0, 0)]
    times = [0.0, 0.04, 0.08, 0.5, 0.54, 2.0]
    with new_video(tmp_path / "a.mp4", Fraction(25)) as film:
        for colour, seconds in zip(colours, times, strict=True):
            film.write(plain(colour), seconds)
    _, found = read(tmp_path / "a.mp4")
    assert [frame.seconds for frame in found] == pytest.approx(times, abs=1e-4)
    for frame, colour in zip(found, colours, strict=True):
        assert np.abs(frame.image.pixels.astype(int) - colour).mean() < 6


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60)])
def test_rates_are_kept_exactly(tmp_path, rate):
    with new_video(tmp_path / "a.mp4", rate) as film:
        for _ in range(12):
            film.write(plain(80))
    facts, found = read(tmp_path / "a.mp4")
    assert facts.rate == rate
    assert [frame.seconds for frame in found] == pytest.approx([float(n / rate) for n in range(12)], abs=2e-5)


def test_times_that_stand_still_or_go_back_are_no_fault(tmp_path):
    with new_video(tmp_path / "a.mp4") as film:
        for seconds in (0.0, 0.0, 1.0, 0.5, 1.0):
            film.write(plain(80), seconds)
    assert len(read(tmp_path / "a.mp4")[1]) == 5


def test_odd_sides_and_other_sizes_are_fitted(tmp_path):
    with new_video(tmp_path / "a.mp4") as film:
        for size in ((63, 95), (63, 95), (120, 40), (64, 96)):
            film.write(plain(200, size))
    facts, found = read(tmp_path / "a.mp4")
    assert facts.size == (64, 96)
    assert len(found) == 4
    tall = found[2].image.pixels
    assert tall[32, 48].min() > 180
    assert tall[32, 5].max() < 20
    np.testing.assert_array_equal(fitted(plain(9, (3, 5)), (4, 6)), np.full((4, 6, 3), 9))
    assert fitted(plain(9, (1, 400)), (4, 6)).shape == (4, 6, 3)


def stopped(path, by):
    with new_video(path) as film:
        for _ in range(7):
            film.write(plain(80))
        raise by


def test_an_error_leaves_nothing_and_an_interruption_the_frames_so_far(tmp_path):
    with pytest.raises(ZeroDivisionError):
        stopped(tmp_path / "a.mp4", ZeroDivisionError())
    assert not list(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        stopped(tmp_path / "b.mp4", KeyboardInterrupt())
    assert [path.name for path in tmp_path.iterdir()] == ["b.mp4"]
    assert len(read(tmp_path / "b.mp4")[1]) == 7


class _Interrupting:
    """A stream of PyAV in which somebody presses Ctrl-C when a packet comes out of the encoder."""

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def encode(self, frame):
        packets = self._stream.encode(frame)
        if packets and frame is not None:
            signal.raise_signal(signal.SIGINT)
        return packets


def written_until_interrupted(path):
    with new_video(path) as film:
        for number in range(300):
            film.write(plain((number % 256, 255 - number % 256, 80)))
            if number == 0:
                film._stream = _Interrupting(film._stream)


@pytest.mark.parametrize("encoder", [None, "mpeg4"])
def test_no_packet_is_lost_between_the_encoder_and_the_file(tmp_path, encoder, monkeypatch):
    if encoder:
        monkeypatch.setattr("signet.video.writing._ENCODERS", (encoder,))
    with pytest.raises(KeyboardInterrupt):
        written_until_interrupted(tmp_path / "a.mp4")
    frames = read(tmp_path / "a.mp4")[1]
    assert 1 < len(frames) < 300
    assert not [frame.error for frame in frames if frame.error]


def test_without_a_frame_there_is_no_file(tmp_path):
    with new_video(tmp_path / "a.mp4") as film:
        pass
    with pytest.raises(KeyboardInterrupt), new_video(tmp_path / "a.mp4"):
        raise KeyboardInterrupt
    assert (film.frames, film.codec) == (0, "")
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_unasked(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("mine")
    with pytest.raises(AlreadyExists), new_video(path) as film:
        film.write(plain(80))
    assert path.read_text() == "mine"
    with new_video(path, overwrite=True) as film:
        film.write(plain(80))
    assert len(read(path)[1]) == 1


def test_a_disk_that_refuses_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SignetError, match="cannot be written"), new_video(tmp_path / "file" / "a.mp4"):
        pass
