"""Threads that make batches: the order stays, waiting is counted, and more of them come where it helps."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from signet.arrays import Integers
from signet.training import feeding, train
from signet.training.feeding import Feed
from signet.training.tasks import Examples

PARTS = [np.array([place]) for place in range(8)]


def slow(indices: Integers, epoch: int) -> Examples:
    """The earlier ones take longer, so that threads overtake each other."""
    time.sleep(0.004 * (8 - int(indices[0])))
    return Examples(torch.tensor([epoch * 100 + int(indices[0])]), None)


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_come_in_order(workers: int) -> None:
    feed = Feed(slow, workers, processor=True)
    found = [int(examples.images[0]) for _, examples in feed.batches(PARTS, 2)]
    assert found == [200 + place for place in range(8)]


def test_several_threads_work_at_once_and_the_rest_is_not_made_when_it_ends_early() -> None:
    made: list[int] = []
    together = threading.Barrier(3, timeout=5)

    def make(indices: Integers, _: int) -> Examples:
        made.append(int(indices[0]))
        if len(made) <= 3:
            together.wait()
        return Examples(torch.zeros(1), None)

    for _ in Feed(make, 3, processor=True).batches([np.array([place]) for place in range(50)], 1):
        break
    assert 3 <= len(made) < 12


def test_waiting_is_counted() -> None:
    feed = Feed(slow, 1, processor=True)
    feed.start()
    for _ in feed.batches(PARTS, 1):
        pass
    assert feed.idle() > 0.8
    feed = Feed(lambda indices, epoch: Examples(torch.zeros(1), None), 1, processor=True)
    feed.start()
    for _ in feed.batches(PARTS, 1):
        time.sleep(0.01)
    assert feed.idle() < 0.2


def test_one_more_thread_comes_after_an_epoch_of_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "usable_processors", lambda: 4)
    feed = Feed(slow, 0, processor=True)
    counts = []
    for idle in (0.05, 0.5, 0.5, 0.05, 0.5, 0.5):
        feed.adapt(idle)
        counts.append(feed.workers)
    assert counts == [1, 2, 3, 3, 3, 3]  # one of four is the network's
    fixed = Feed(slow, 2, processor=True)
    fixed.adapt(0.9)
    assert fixed.workers == 2


def test_the_history_has_the_idle_share_and_the_result_does_not_depend_on_threads(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    data = tiny.data_in(images)
    results = [
        train(
            tiny.network(), data, tiny.settings(workers=workers), folder=tmp_path / f"{workers}", resume=False
        )
        for workers in (1, 3)
    ]
    assert tiny.same(*results)
    assert "idle" not in results[0].history[0]
    assert all(0 <= row["idle"] <= 1 for row in results[0].history[1:])
    # Another number of threads is no other run.
    again = train(tiny.network(), data, tiny.settings(workers=2), folder=tmp_path / "1", resume=True)
    assert tiny.same(results[0], again)
