"""What a source is: a video file, the address of a stream, or a camera."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from signet.errors import BadInput
from signet.sources import is_folder

EXTENSIONS = frozenset(
    (
        ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".wmv",
        ".flv", ".ogv", ".3gp", ".mjpeg", ".mjpg", ".y4m",
    )
)  # fmt: skip
"""What is opened as a video, in lower case."""

_ADDRESS = re.compile(r"(rtsp|rtsps|rtmp|rtmps|http|https|udp|srt|tcp)://", re.IGNORECASE)
_CAMERA = re.compile(r"camera:([0-9]{1,3})|(/dev/video[0-9]{1,3})")
_WAITS = re.compile(r"https?://", re.IGNORECASE)  # a server of files waits for us; a camera does not


def is_video(source: str | Path) -> bool:
    """Whether a source is a video file, a stream's address (rtsp://, http:// ...) or a camera (camera:0).

    A file is recognised by its extension, or by its first bytes where the extension says nothing.
    """
    text = os.fspath(source)
    if is_address(text):
        return True
    path = Path(text)
    suffix = path.suffix.lower()
    return not is_folder(path) and (suffix in EXTENSIONS or (not suffix and _begins_as_video(path)))


def is_address(source: str | Path) -> bool:
    """Whether a source is a stream's address or a camera, and no file."""
    text = os.fspath(source)
    return bool(_ADDRESS.match(text) or _CAMERA.fullmatch(text))


def is_live(source: str | Path) -> bool:
    """Whether frames come at their own pace, and are lost when nobody takes them."""
    text = os.fspath(source)
    return is_address(text) and not _WAITS.match(text)


def camera_of(source: str | Path) -> tuple[str, str] | None:
    """(what FFmpeg calls this system's cameras, the device) of a camera; None where a source is none.

    Raises:
        BadInput: this system's cameras have no numbers.
    """
    found = _CAMERA.fullmatch(os.fspath(source))
    if found is None:
        return None
    if sys.platform == "darwin" and found[1]:
        return "avfoundation", found[1]
    if sys.platform.startswith("linux"):
        return "v4l2", found[2] or f"/dev/video{found[1]}"
    raise BadInput(
        f"{found[0]}: expected Linux or macOS, whose cameras have numbers, got {sys.platform}. Give the "
        "address of a stream (rtsp://...), or a video file."
    )


def _begins_as_video(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            start = stream.read(12)
    except (OSError, ValueError):
        return False
    film = start[4:8] == b"ftyp" and start[8:12] not in (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis")
    return (
        film
        or start[:4] in (b"\x1aE\xdf\xa3", b"OggS", b"FLV\x01")
        or (start[:4] == b"RIFF" and start[8:12] == b"AVI ")
    )
