"""Videos in, frame by frame.

A frame is decoded when it is asked for, so a film of any length needs the memory of one frame. A frame that
cannot be decoded comes out as an error in its place, and the next ones follow.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from signet.arrays import Array
from signet.decoding import MAX_PIXELS
from signet.errors import BadInput, MissingExtra
from signet.geometry import Size
from signet.images import Image
from signet.naming import shown
from signet.video.kinds import camera_of, is_address

USUAL_RATE = Fraction(25)
"""Frames a second of a video that does not say."""

# Only what holds its pictures itself: a playlist or a list of parts would name other files and addresses.
_FILE_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,asf,flv,ogg,mjpeg,yuv4mpegpipe,h264,hevc"
)
_FILE_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FILE_FORMATS}
_STREAM_OPTIONS = {"protocol_whitelist": "http,https,tcp,tls,udp,rtp,rtsp,rtsps,rtmp,rtmps,srt,crypto,hls"}
_SECONDS = (15.0, 30.0)  # to open an address, and to wait for its next bytes
_TICKS = 1_000_000  # of PyAV's container clock, in a second
_MOST_BROKEN = 500
"""Unreadable frames in a row after which a video is given up: nothing more is to be had from it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, or why it could not be had.

    Attributes:
        number: from 0, in the order in which frames are shown.
        seconds: since the beginning, as the file says; by its frame rate where it does not.
        image: upright, with the same source; None when there is an error.
        error: what is wrong with it.
        source: `NAME#frame=NUMBER`.
    """

    number: int
    seconds: float
    image: Image | None
    error: BadInput | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a video says of itself.

    Attributes:
        size: (height, width) of a frame as it is stored, before it is turned upright.
        rate: frames a second; None where nobody says.
        frames: how many there are; None where nobody says, as for a stream.
        exact: whether the file counts them; else `frames` follows from its length, and may be wrong by a few.
        codec: how its frames are coded.
        audio: whether it has sound.
    """

    size: Size
    rate: Fraction | None
    frames: int | None
    exact: bool
    codec: str
    audio: bool


class Video:
    """A video that is open for reading; a context manager, and an iterator over its frames.

    Args:
        source: a file, an address, or a camera.
        max_pixels: frames with more are refused before they are decoded.

    Raises:
        BadInput: it cannot be opened, or has no pictures.
        MissingExtra: PyAV is not installed.
    """

    def __init__(self, source: str | Path, *, max_pixels: int = MAX_PIXELS) -> None:
        self.source = os.fspath(source)
        self._max_pixels = max_pixels
        self._number = 0
        self._container = _opened(self.source)
        try:
            self._stream = self._picture_stream()
            self.facts = self._facts()
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the file, the camera or the connection back."""
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        """The frames from here on, each decoded as it is asked for.

        Raises:
            BadInput: nothing can be read any more, although the end is not reached.
        """
        broken = 0
        start: float | None = None
        for picture in self._pictures():
            number = self._number
            self._number += 1
            seconds = None if isinstance(picture, BadInput) else picture.time
            if seconds is not None:
                start = seconds if start is None else start
                seconds = max(0.0, seconds - start)
            else:
                seconds = number / float(self.facts.rate or USUAL_RATE)
            frame = self._frame(number, seconds, picture)
            yield frame
            broken = broken + 1 if frame.error else 0
            if broken == _MOST_BROKEN:
                raise BadInput(
                    f"{shown(self.source)}: {broken} frames in a row cannot be decoded; given up at frame "
                    f"{number}. Repair the file or copy it again."
                )

    def _pictures(self) -> Iterator[Any]:
        """Decoded frames of PyAV, with an error in the place of each that cannot be had."""
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                yield from packet.decode()
            except av.FFmpegError as error:
                if isinstance(error, EOFError):
                    return
                yield BadInput(reason(error))

    def _frame(self, number: int, seconds: float, picture: Any) -> Frame:
        name = f"{self.source}#frame={number}"
        seconds = round(seconds, 6)
        if isinstance(picture, BadInput):
            return Frame(number, seconds, None, _unreadable(name, str(picture)), name)
        if picture.width * picture.height > self._max_pixels:
            # The size may change within a stream.
            came = (
                f"one of {picture.width} x {picture.height} pixels, and at most {self._max_pixels:,} are read"
            )
            return Frame(number, seconds, None, _unreadable(name, came), name)
        if picture.is_corrupt:
            return Frame(number, seconds, None, _unreadable(name, "a damaged one"), name)
        return Frame(number, seconds, Image(_upright(picture), source=name), source=name)

    def _picture_stream(self) -> Any:
        if not self._container.streams.video:
            raise BadInput(f"{shown(self.source)}: expected a video, got a file without pictures.")
        stream = self._container.streams.video[0]
        if stream.codec_context is None:
            raise BadInput(
                f"{shown(self.source)}: expected pictures in a coding that this PyAV knows, got another. "
                "Convert the file to H.264 or VP9 first."
            )
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > self._max_pixels:
            raise BadInput(
                f"{shown(self.source)}: expected frames of at most {self._max_pixels:,} pixels, got "
                f"{width} x {height}. Make it smaller, or raise max_pixels if you trust where it came from."
            )
        # A frame that is broken is an error, and not a guess from the frame before.
        stream.codec_context.options = {"err_detect": "explode"}
        # Threads that take a frame each would be faster, but give frames late, and lose the last ones of a
        # file in which one of them is broken.
        stream.thread_type = "SLICE"
        return stream

    def _facts(self) -> Facts:
        stream = self._stream
        rate = stream.average_rate or stream.guessed_rate
        frames = stream.frames or None
        if frames is None and rate and self._container.duration:
            frames = round(self._container.duration / _TICKS * rate) or None
        context = stream.codec_context
        return Facts(
            (context.height, context.width),
            rate,
            frames,
            bool(stream.frames),
            context.name,
            bool(self._container.streams.audio),
        )


def pyav() -> Any:
    """PyAV, which is imported where it is used.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtra("video", "video", "av") from error
    return av


def _opened(source: str) -> Any:
    av = pyav()
    camera = camera_of(source)
    try:
        if camera:
            return av.open(camera[1], format=camera[0], timeout=_SECONDS)
        if is_address(source):
            return av.open(source, options=_STREAM_OPTIONS, timeout=_SECONDS)
        # With its protocol said, no name of a file is taken for an address.
        return av.open(f"file:{Path(source).absolute()}", options=_FILE_OPTIONS)
    except (av.FFmpegError, OSError, ValueError) as error:
        if camera:
            kind, advice = "a camera", "See which ones are there, and whether this user may use them."
        elif is_address(source):
            kind, advice = "a stream", "Check the address, and whether this machine may reach it."
        else:
            kind = "a video file"
            advice = "Check the name; it must hold its own frames (MP4, MOV, MKV, WebM, AVI ...)."
        raise BadInput(
            f"{shown(source)}: expected {kind} that can be opened, got: {reason(error)}. {advice}"
        ) from error


def _upright(picture: Any) -> Array:
    """Uint8 (H, W, 3), RGB, turned as the file says that it is shown."""
    pixels: Array = picture.to_ndarray(format="rgb24")
    turns = round(picture.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _unreadable(name: str, came: str) -> BadInput:
    return BadInput(f"{shown(name)}: expected a frame that can be decoded, got {came}. It is passed over.")


def reason(error: Exception) -> str:
    """What a library says, in its words."""
    return str(getattr(error, "strerror", None) or error)
