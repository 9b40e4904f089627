"""Video frame by frame: files, cameras and streams in, annotated files out. PyAV does the coding."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from signet.video.kinds import EXTENSIONS, is_address, is_live, is_video

if TYPE_CHECKING:
    from signet.video.live import newest
    from signet.video.reading import Facts, Frame, Video
    from signet.video.writing import VideoWriter, fitted, new_video

_PLACES = {
    "Facts": "reading",
    "Frame": "reading",
    "Video": "reading",
    "VideoWriter": "writing",
    "fitted": "writing",
    "new_video": "writing",
    "newest": "live",
}
"""What asking whether a source is a video has no use for: bound on first use."""

__all__ = [
    "EXTENSIONS",
    "Facts",
    "Frame",
    "Video",
    "VideoWriter",
    "fitted",
    "is_address",
    "is_live",
    "is_video",
    "new_video",
    "newest",
]


def __getattr__(name: str) -> Any:
    """Bind what reads and writes frames when it is first asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module 'signet.video' has no attribute {name!r}")
    value = getattr(import_module(f"signet.video.{_PLACES[name]}"), name)
    globals()[name] = value
    return value
