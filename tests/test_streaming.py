"""Answers come in order, in bounded memory, and one broken image harms no other."""

from __future__ import annotations

import gc
import threading
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from signet.decoding import read
from signet.engines.contract import EngineSettings
from signet.errors import BadInput, EngineError
from signet.images import Image
from signet.streaming import AHEAD, settings_for, source_of, stream


class Echo:
    """A model whose answer is the image's number; some numbers break it."""

    def __init__(
        self, workers: int = 1, batch: int = 1, broken: tuple[int, ...] = (), slow: int = -1
    ) -> None:
        self.running = SimpleNamespace(settings=EngineSettings(workers=workers, batch=batch))
        self.broken = broken
        self.slow = slow
        self.go_on = threading.Event()
        self.sizes: list[int] = []

    def read(self, picture):
        return picture if isinstance(picture, Image) else read(picture)

    def prepare(self, images):
        if self.slow in (numbers := [number_of(image) for image in images]):
            self.go_on.wait(60)
        self.sizes.append(len(numbers))
        return numbers

    def run(self, numbers):
        if set(numbers) & set(self.broken):
            raise EngineError("this one breaks it")
        return numbers


def number_of(image: Image) -> int:
    return int(image.pixels[0, 0].astype(int) @ (1, 256, 65536))


def picture(number: int) -> Image:
    pixels = np.zeros((1, 1, 3), np.uint8)
    pixels[0, 0] = number % 256, number // 256 % 256, number // 65536
    return Image(pixels, source=str(number))


def answers(model: Echo, inputs):
    return stream(model, inputs, lambda raw, _: raw)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("count", [0, 1, 5, 50])
def test_in_order(workers, batch, count):
    found = list(answers(Echo(workers, batch), map(picture, range(count))))
    assert [answered.answer for answered in found] == list(range(count))
    assert [answered.source for answered in found] == [str(number) for number in range(count)]
    assert all(answered.size == (1, 1) and answered.error is None for answered in found)


def test_a_slow_worker_does_not_change_the_order():
    model = Echo(workers=2, slow=0)
    threading.Timer(0.05, model.go_on.set).start()
    assert [answered.answer for answered in answers(model, map(picture, range(20)))] == list(range(20))


@pytest.mark.parametrize(("workers", "batch"), [(1, 1), (2, 4), (3, 2)])
def test_look_ahead_is_bounded(workers, batch):
    taken = 0

    def inputs():
        nonlocal taken
        for number in range(2000):
            taken += 1
            yield picture(number)

    most = workers * (1 + AHEAD) * batch
    for done, _ in enumerate(answers(Echo(workers, batch), inputs())):
        assert taken <= done + most
    assert taken == 2000


def test_images_are_let_go_of_when_they_are_answered():
    alive: list[weakref.ref] = []
    workers, batch = 2, 4

    def inputs():
        for number in range(1000):
            image = picture(number)
            alive.append(weakref.ref(image.pixels))
            yield image

    worst = 0
    for number, _ in enumerate(answers(Echo(workers, batch), inputs())):
        if number % 50 == 0:
            gc.collect()
            worst = max(worst, sum(reference() is not None for reference in alive))
    # What is under way, the chunk that is being handed out, and what a worker still holds.
    assert 0 < worst <= (workers * (1 + AHEAD) + 1 + workers) * batch


def test_the_memory_of_a_long_run_is_that_of_a_short_one(tmp_path):
    import tracemalloc

    def peak(count: int) -> int:
        gc.collect()
        tracemalloc.start()
        for _ in answers(Echo(2, 4), map(picture, range(count))):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(100)
    assert peak(5000) < 2 * peak(500)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_broken_image_harms_no_other(batch):
    model = Echo(1, batch, broken=(2, 5))
    found = list(answers(model, map(picture, range(8))))
    assert [answered.answer for answered in found] == [0, 1, None, 3, 4, None, 6, 7]
    assert [type(answered.error) for answered in found if answered.error] == [EngineError] * 2
    assert [answered.source for answered in found if answered.error] == ["2", "5"]


def test_an_unreadable_path_is_an_error_of_its_own():
    found = list(answers(Echo(1, 4), [picture(1), "nothing.jpg", picture(3)]))
    assert [answered.answer for answered in found] == [1, None, 3]
    assert isinstance(found[1].error, BadInput)
    assert found[1].source == "nothing.jpg"


def test_other_errors_are_not_swallowed():
    model = Echo()
    model.run = lambda _: 1 / 0
    with pytest.raises(ZeroDivisionError):
        list(answers(model, [picture(0)]))


def test_leaving_early_takes_no_more_inputs_and_ends_the_threads():
    taken = []

    def inputs():
        for number in range(1000):
            taken.append(number)
            yield picture(number)

    before = threading.active_count()
    stopped = answers(Echo(2, 1), inputs())
    next(stopped)
    stopped.close()
    assert len(taken) <= 1 + 2 * (1 + AHEAD)
    assert threading.active_count() == before


def test_an_error_of_the_inputs_comes_through_and_ends_the_threads():
    def inputs():
        yield picture(0)
        raise BadInput("the list ends here")

    before = threading.active_count()
    with pytest.raises(BadInput, match="ends here"):
        list(answers(Echo(2, 1), inputs()))
    assert threading.active_count() == before


def test_settings():
    one = settings_for(many=False, threads=2)
    assert (one.batch, one.workers, one.thread_count) == (1, 1, 2)
    many = settings_for(many=True, threads=3)
    assert (many.batch, many.workers) == (4, 3)
    assert settings_for(many=True, engine="torch").batch == 8
    assert settings_for(many=True, batch=7).batch == 7


def test_names_of_inputs():
    assert source_of(picture(7)) == "7"
    assert source_of("a/b.jpg") == "a/b.jpg"
