"""Frames that come at their own pace, and a reader that may be slower."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable

from signet.video.reading import Frame

_SECONDS = 30.0  # to wait for the source's last frame


def newest(frames: Iterable[Frame]) -> Generator[Frame, None, None]:
    """Of frames that come at their own pace, always the newest; those that nobody had time for are lost.

    A thread takes them as they come and keeps one, so a slow reader sees now, and not a growing past.

    Raises:
        SignetError: what the source raises.
    """
    waiting: list[Frame | BaseException | None] = []
    there = threading.Condition()
    stopped = threading.Event()

    def take() -> None:
        ended: BaseException | None = None
        try:
            for frame in frames:
                with there:
                    waiting[:] = [frame]
                    there.notify()
                if stopped.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised again where frames are asked for
            ended = error
        with there:
            waiting.append(ended)
            there.notify()

    thread = threading.Thread(target=take, name="signet-camera", daemon=True)
    thread.start()
    try:
        while True:
            with there:
                there.wait_for(lambda: bool(waiting))
                found = waiting.pop(0)
            if isinstance(found, BaseException):
                raise found
            if found is None:
                return
            yield found
    finally:
        stopped.set()
        thread.join(timeout=_SECONDS)
