"""Frames in: their order, times and pixels; broken ones; what is no video."""

from __future__ import annotations

import functools
import http.server
import itertools
import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.errors import BadInput, MissingExtra
from signet.video import Video, is_address, is_live, is_video


@pytest.fixture(scope="module")
def clip(moving, tmp_path_factory):
    return moving.make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


def test_frames_in_order_with_times_sources_and_pixels(clip, moving):
    with Video(clip) as video:
        facts = video.facts
        found = list(video)
    assert (facts.size, float(facts.rate), facts.frames, facts.exact) == (
        moving.SIZE,
        25,
        moving.FRAMES,
        True,
    )
    assert (facts.codec, facts.audio) == ("h264", False)
    assert [frame.number for frame in found] == list(range(moving.FRAMES))
    assert [frame.seconds for frame in found] == pytest.approx(
        [n / 25 for n in range(moving.FRAMES)], abs=1e-6
    )
    for number, frame in enumerate(found):
        assert frame.error is None
        assert frame.source == frame.image.source == f"{clip}#frame={number}"
        assert np.abs(frame.image.pixels.astype(int) - moving.picture(number)).mean() < 3


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("mp4", "mpeg4"), ("mkv", "libx264"), ("avi", "mjpeg"), ("webm", "libvpx"), ("ts", "libx264")],
)
def test_containers(moving, tmp_path, suffix, codec):
    import av

    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    path = moving.make_clip(tmp_path / f"clip.{suffix}", 8, codec)
    with Video(path) as video:
        found = list(video)
    assert [frame.number for frame in found if frame.image is not None] == list(range(8))
    assert [frame.seconds for frame in found] == pytest.approx([n / 25 for n in range(8)], abs=0.002)


@pytest.mark.parametrize(("suffix", "codec"), [("avi", "mjpeg"), ("mp4", "libx264"), ("mkv", "libx264")])
@pytest.mark.parametrize("number", [0, 7, 29])
def test_a_broken_frame_is_an_error_in_its_place(moving, tmp_path, suffix, codec, number):
    path = moving.spoil(moving.make_clip(tmp_path / f"clip.{suffix}", codec=codec, bf="0"), number)
    with Video(path) as video:
        found = list(video)
    broken = [frame for frame in found if frame.error is not None]
    assert len(broken) == 1
    assert broken[0].image is None
    assert broken[0].source == f"{path}#frame={broken[0].number}"
    assert "expected a frame that can be decoded" in str(broken[0].error)
    assert broken[0].number == number
    assert len(found) == moving.FRAMES


def test_a_video_of_nothing_but_rubbish_is_given_up(moving, tmp_path, monkeypatch):
    path = moving.make_clip(tmp_path / "clip.avi", codec="mjpeg")
    for number in range(5, moving.FRAMES):
        moving.spoil(path, number)
    monkeypatch.setattr("signet.video.reading._MOST_BROKEN", 10)
    found = []
    with Video(path) as video, pytest.raises(BadInput, match=r"10 frames in a row .* given up at frame 14"):
        found.extend(iter_until(video, found))
    assert [frame.error is None for frame in found] == [True] * 5 + [False] * 10


def iter_until(video, found):
    for frame in video:
        found.append(frame)
    return []


@pytest.mark.parametrize("cut", [0, 1, 100, 2000])
def test_a_file_that_breaks_off_stops_nothing(clip, tmp_path, cut):
    path = tmp_path / "cut.mkv"
    path.write_bytes(clip.read_bytes()[:cut])
    with pytest.raises(BadInput, match="expected a video file that can be opened"):
        Video(path)


def test_what_cannot_be_opened_is_said(tmp_path, moving):
    with pytest.raises(BadInput, match="No such file"):
        Video(tmp_path / "none.mp4")
    with pytest.raises(BadInput, match="expected a camera that can be opened"):
        Video("camera:99")
    with pytest.raises(BadInput, match="expected a stream that can be opened"):
        Video("rtsp://127.0.0.1:9/none")
    path = moving.make_clip(tmp_path / "a.mp4", 2)
    with pytest.raises(BadInput, match="at most 100 pixels, got 128 x 96"):
        Video(path, max_pixels=100)


def test_an_unknown_coding_is_said(clip, tmp_path):
    path = tmp_path / "odd.mp4"
    path.write_bytes(clip.read_bytes().replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))
    with pytest.raises(BadInput, match="a coding that this PyAV knows"):
        Video(path)


@settings(max_examples=60)
@given(data=st.data())
def test_whatever_the_bytes_only_our_errors_come(moving, tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    path = folder / "sound.mkv"
    whole = path.read_bytes() if path.exists() else moving.make_clip(path, 6).read_bytes()
    first = data.draw(st.integers(0, len(whole)))
    last = data.draw(st.integers(first, min(len(whole), first + 400)))
    odd = folder / "odd.mkv"
    odd.write_bytes(whole[:first] + data.draw(st.binary(max_size=40)) + whole[last:])
    try:
        with Video(odd) as video:
            found = list(video)
    except BadInput as error:
        assert "expected" in str(error)  # noqa: PT017 - a film may also be read
    else:
        assert [frame.number for frame in found] == list(range(len(found)))
        assert all((frame.image is None) == (frame.error is not None) for frame in found)


def test_a_frame_that_grows_too_large_is_an_error(clip, monkeypatch):
    with Video(clip) as video:
        monkeypatch.setattr(video, "_max_pixels", 100)
        found = list(video)
    assert all("at most 100 are read" in str(frame.error) for frame in found)


def test_a_film_can_be_read_in_parts(clip, moving):
    with Video(clip) as video:
        first = [frame.number for frame in itertools.islice(video, 4)]
        second = [frame.number for frame in itertools.islice(video, 4)]
    assert (first, second[0] >= 4) == ([0, 1, 2, 3], True)


@pytest.mark.parametrize(("platform", "said"), [("win32", "expected Linux or macOS"), ("darwin", "a camera")])
def test_cameras_of_other_systems(monkeypatch, platform, said):
    monkeypatch.setattr("sys.platform", platform)
    with pytest.raises(BadInput, match=said):
        Video("camera:0")


def test_a_film_on_a_server(clip, moving):
    handler = functools.partial(Quiet, directory=str(clip.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with Video(f"http://127.0.0.1:{server.server_port}/{clip.name}") as video:
                assert len(list(video)) == moving.FRAMES
            with pytest.raises(BadInput, match="404"):
                Video(f"http://127.0.0.1:{server.server_port}/none.mp4")
        finally:
            server.shutdown()
            thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that does not talk."""

    def log_message(self, *_):
        """Say nothing."""


def test_no_file_leads_to_another_one(clip, tmp_path):
    """A playlist or a list of parts would have any file of this machine opened."""
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile '{clip}'\n")
    (tmp_path / "play.ts").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{clip}\n#EXT-X-ENDLIST\n"
    )
    for name in ("list.mp4", "play.ts"):
        with pytest.raises(BadInput):
            Video(tmp_path / name)


def test_a_name_is_never_an_address(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd = Path("concat:a|b?x=1#frag.mp4")
    odd.write_bytes(clip.read_bytes())
    with Video(odd) as video:
        assert next(iter(video)).image is not None


def test_a_film_is_shown_upright(clip, tmp_path, moving):
    """As a telephone writes it: lying frames, and in the header that they are to be turned."""
    data = bytearray(clip.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    data[place : place + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    path = tmp_path / "turned.mp4"
    path.write_bytes(data)
    with Video(path) as video:
        first = next(iter(video)).image
    expected = np.rot90(moving.picture(0), -1)
    assert first.size == expected.shape[:2]
    assert np.abs(first.pixels.astype(int) - expected).mean() < 3


def test_a_film_is_read_as_it_is_asked_for(moving, tmp_path):
    path = moving.make_clip(tmp_path / "long.avi", 400, "mjpeg")
    with Video(path) as video:
        taken = list(itertools.islice(video, 3))
        position = os.lseek(_descriptor(path), 0, os.SEEK_CUR)
    assert len(taken) == 3
    assert position < path.stat().st_size / 2


def _descriptor(path: Path) -> int:
    """The open file of this process."""
    for link in Path("/proc/self/fd").iterdir():
        if link.exists() and link.resolve() == path.resolve():
            return int(link.name)
    pytest.skip("open files are not listed here")


@pytest.mark.parametrize(
    ("source", "video", "address", "live"),
    [
        ("a.mp4", True, False, False),
        ("A.MOV", True, False, False),
        ("a.jpg", False, False, False),
        ("a.gif", False, False, False),
        ("folder", False, False, False),
        ("camera:0", True, True, True),
        ("camera:x", False, False, False),
        ("/dev/video1", True, True, True),
        ("rtsp://host/stream", True, True, True),
        ("HTTP://host/a.mp4", True, True, False),
        ("file:///etc/passwd", False, False, False),
        ("", False, False, False),
    ],
)
def test_what_a_source_is(source, video, address, live):
    assert (is_video(source), is_address(source), is_live(source)) == (video, address, live)


def test_first_bytes_tell_where_the_name_does_not(moving, tmp_path):
    for number, (suffix, codec) in enumerate((("mp4", "mpeg4"), ("mkv", "mpeg4"), ("avi", "mjpeg"))):
        path = moving.make_clip(tmp_path / f"clip.{suffix}", 2, codec)
        assert is_video(path.rename(tmp_path / f"clip{number}"))
    (tmp_path / "heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    assert not is_video(tmp_path / "heic")


def test_without_pyav_the_extra_is_named(clip, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingExtra, match=r"signet\[video\]"):
        Video(clip)
