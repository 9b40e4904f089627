"""Annotated videos out."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from signet import storage
from signet.arrays import Array
from signet.errors import SignetError
from signet.geometry import Size
from signet.images import Image
from signet.naming import shown
from signet.video.reading import USUAL_RATE, pyav, reason

_ENCODERS = ("libx264", "libopenh264", "mpeg4")
_FINEST = 60_000
"""Ticks a second at most: MPEG-4 counts them with 16 bits."""

_BT601, _LIMITED_RANGE = 6, 1
"""Source: ITU-T H.273, tables 4 (matrix coefficients) and 6 (full range flag, as FFmpeg numbers it)."""


class VideoWriter:
    """An MP4 file that takes frames; `new_video` lends one.

    Attributes:
        frames: how many it took.
        codec: how they are coded; "" before the first.
    """

    def __init__(self, path: Path, rate: Fraction | None) -> None:
        self.frames = 0
        self.codec = ""
        self._path = path
        self._rate = rate or USUAL_RATE
        self._container: Any = None
        self._stream: Any = None
        self._clock = _clock(self._rate)
        self._last = -1
        # Ctrl-C is raised in the main thread, anywhere: there a packet that the encoder has given and the
        # file has not could be lost, and every frame that is built on it could not be read again.
        self._hand = ThreadPoolExecutor(1, "video-writer")

    def write(self, image: Image, seconds: float | None = None) -> None:
        """Add a frame; one of another size than the first is fitted into its size.

        Args:
            image: the frame.
            seconds: since the beginning; by the frame rate when None.

        Raises:
            SignetError: the disk or the encoder refuses.
        """
        self._hand.submit(self._write, image, seconds).result()

    def finish(self) -> None:
        """Write what the encoder still holds, and the index at the end."""
        with self._hand:
            self._hand.submit(self._finish).result()

    def drop(self) -> None:
        """Let go of the file as it is."""
        with self._hand:
            self._hand.submit(self._drop).result()

    def _write(self, image: Image, seconds: float | None) -> None:
        import av

        with _as_ours(self._path):
            if self._container is None:
                self._begin(image.size)
            pixels = fitted(image, (self._stream.height, self._stream.width))
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU601", dst_color_range="MPEG")
            when = self.frames / self._rate if seconds is None else Fraction(seconds)
            # Two frames of one time are refused by every container.
            self._last = max(self._last + 1, round(when / self._clock))
            frame.pts, frame.time_base = self._last, self._clock
            self._container.mux(self._stream.encode(frame))
        self.frames += 1

    def _finish(self) -> None:
        if self._container is None:
            raise _Empty
        with _as_ours(self._path):
            self._container.mux(self._stream.encode(None))
            self._container.close()

    def _drop(self) -> None:
        if self._container is not None:
            with _as_ours(self._path):
                self._container.close()

    def _begin(self, size: Size) -> None:
        import av

        self.codec = next(name for name in _ENCODERS if _encodes(name))
        self._container = av.open(str(self._path), "w", format="mp4")
        self._stream = self._container.add_stream(self.codec, rate=self._rate)
        # Chroma has half the resolution, so both sides are even.
        self._stream.height, self._stream.width = (side + side % 2 for side in size)
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base = self._clock
        # Said in the file, so that no player has to guess how colours were coded.
        context.colorspace, context.color_range = _BT601, _LIMITED_RANGE
        if self.codec == "libx264":
            self._stream.options = {"preset": "veryfast", "crf": "20"}
        else:
            self._stream.bit_rate = round(size[0] * size[1] * float(self._rate) * 0.2)


def _clock(rate: Fraction) -> Fraction:
    """The seconds of a tick, of which a frame has a whole number where the rate allows: 30000/1001 too."""
    ticks = rate.numerator
    return Fraction(1, ticks * (_FINEST // ticks)) if ticks <= _FINEST else Fraction(1, _FINEST)


class _Empty(Exception):
    """No frame was written, so there is no file."""


@contextmanager
def new_video(
    path: str | Path, rate: Fraction | None = None, *, overwrite: bool = False
) -> Iterator[VideoWriter]:
    """Lend a writer of an MP4 file, which is whole or not there.

    H.264 where this PyAV has an encoder for it, else MPEG-4; without sound. When an interruption ends the
    body, the file holds the frames so far; after an error, or without a frame, there is none.

    Args:
        path: the file.
        rate: frames a second, where frames do not say their time.
        overwrite: replace a file that is there.

    Raises:
        AlreadyExists: it is there and `overwrite` was not given.
        MissingExtra: PyAV is not installed.
        SignetError: the disk or the encoder refuses.
    """
    pyav()
    stopped: BaseException | None = None
    try:
        with storage.new_file(path, overwrite=overwrite) as temporary:
            writer = VideoWriter(temporary, rate)
            try:
                yield writer
            except Exception:
                writer.drop()
                raise
            except BaseException as error:  # noqa: BLE001 - Ctrl-C; raised again below
                stopped = error
            writer.finish()
    except _Empty:
        pass  # the temporary file is gone
    if stopped is not None:
        raise stopped


def fitted(image: Image, size: Size) -> Array:
    """The picture's pixels at (height, width): a row or column more is repeated; else scaled, and centred."""
    more = size[0] - image.height, size[1] - image.width
    if more == (0, 0):
        return image.pixels
    if more in ((0, 1), (1, 0), (1, 1)):
        return np.pad(image.pixels, ((0, more[0]), (0, more[1]), (0, 0)), mode="edge")
    factor = min(size[0] / image.height, size[1] / image.width)
    inner = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    canvas = PillowImage.new("RGB", (size[1], size[0]))
    scaled = image.to_pillow().resize(inner, PillowImage.Resampling.BILINEAR)
    canvas.paste(scaled, ((size[1] - inner[0]) // 2, (size[0] - inner[1]) // 2))
    return np.array(canvas)


def _encodes(name: str) -> bool:
    import av

    try:
        return bool(av.Codec(name, "w").is_encoder)
    except av.codec.codec.UnknownCodecError:
        return False


@contextmanager
def _as_ours(path: Path) -> Iterator[None]:
    import av

    try:
        yield
    except (av.FFmpegError, OSError) as error:
        raise SignetError(
            f"{shown(path)} cannot be written: {reason(error)}. Expected a place that this user may write "
            "to, with room on the disk."
        ) from error
