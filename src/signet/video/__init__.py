"""Video frame by frame: files, cameras and streams in, annotated files out. PyAV does the coding."""

from signet.video.kinds import EXTENSIONS, is_address, is_live, is_video
from signet.video.live import newest
from signet.video.reading import Facts, Frame, Video
from signet.video.writing import VideoWriter, fitted, new_video

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
