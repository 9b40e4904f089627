"""Frames at their own pace: the newest is taken, none is queued."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from signet.errors import BadInput
from signet.images import Image
from signet.video import Frame, newest


def frame(number):
    return Frame(number, number / 25, Image(np.zeros((1, 1, 3), np.uint8)), source=f"f{number}")


def test_a_slow_reader_sees_the_newest_frame():
    step = threading.Semaphore(0)
    taken = threading.Semaphore(0)

    def source():
        for number in range(6):
            step.acquire()
            yield frame(number)
            taken.release()

    def advance(count):
        for _ in range(count):
            step.release()
            taken.acquire()

    frames = newest(source())
    threading.Thread(target=advance, args=(6,)).start()
    first = next(frames)
    rest = [found.number for found in frames]
    seen = [first.number, *rest]
    assert seen == sorted(set(seen))
    assert seen[-1] == 5


def test_frames_that_came_meanwhile_are_lost():
    done = threading.Event()

    def source():
        for number in range(1000):
            yield frame(number)
        done.set()

    frames = newest(source())
    first = next(frames).number
    assert done.wait(10)
    rest = [found.number for found in frames]
    assert rest in ([999], []) if first == 999 else rest == [999]


def test_errors_and_the_end_come_through():
    def source():
        yield frame(0)
        raise BadInput("the camera is gone")

    with pytest.raises(BadInput, match="the camera is gone"):
        list(newest(source()))
    assert list(newest(iter(()))) == []


def test_closing_it_ends_the_thread():
    def source():
        number = 0
        while True:
            yield frame(number)
            number += 1

    frames = newest(source())
    next(frames)
    frames.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "signet-camera"]
