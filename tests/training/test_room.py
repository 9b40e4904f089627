"""The memory of a training: one bound for all that is kept, and maps before pictures."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from signet.training.freezing import set_learning_mode
from signet.training.of_classes import ClassTask
from signet.training.room import Room
from signet.training.stages import frozen_parameters

ACTS = st.lists(
    st.tuples(st.sampled_from(["keep", "maps", "back", "clear"]), st.integers(0, 40)), max_size=30
)


@given(total=st.integers(0, 100), acts=ACTS)
def test_never_more_than_the_total_and_maps_whatever_was_read(
    total: int, acts: list[tuple[str, int]]
) -> None:
    room, maps = Room(total), []
    shelves = [room.shelf(), room.shelf()]
    for place, (act, size) in enumerate(acts):
        if act == "keep":
            room.keep(shelves[place % 2], place, np.zeros(size, np.uint8))
        elif act == "maps":
            fits = room.take_for_maps(size)
            assert fits == (sum(maps) + size <= total)
            maps += [size] if fits else []
        elif act == "back" and maps:
            room.give_back(maps.pop())
        elif act == "clear":
            room.clear(shelves[place % 2])
        kept = sum(picture.nbytes for shelf in shelves for picture in shelf.values())
        assert room.used == kept + sum(maps) <= total


def kept_bytes(task: ClassTask) -> int:
    """Counted where they lie, and not where they were booked."""
    batches = {id(one): one for one in (task.learned, task.judged, task.plain)}.values()
    pictures = sum(array.nbytes for one in batches for array in one.pictures._kept.values())
    some = (task.prefix, *(one.prefix for one in (task.validated, task.reviewed) if one))
    return pictures + sum(one.bytes for one in some if one)


@torch.no_grad()
@pytest.mark.parametrize("augmentation", ["none", "light"])
def test_pictures_and_maps_of_a_task_stay_within_one_bound(
    tiny: ModuleType, images: Path, augmentation: str
) -> None:
    data, module = tiny.data_in(images), tiny.network()
    names = frozen_parameters(module, "head", ("stem",))
    found = {}
    for total in (0, 20_000, 60_000, 1 << 24):
        task = ClassTask(
            data, tiny.settings(augmentation=augmentation, memory_bytes=total, overfitting="stop")
        )
        set_learning_mode(module, names, "frozen")
        for _ in range(2):
            task.views(np.arange(task.count), 1)
            task.answers(module, np.arange(task.validation_count))
            task.look_back(module, np.arange(task.count))
            assert kept_bytes(task) == task.room.used <= total
            task.settle(module, names)
            assert kept_bytes(task) == task.room.used <= total
        found[total] = task
    assert kept_bytes(found[0]) == 0
    assert kept_bytes(found[20_000]) > 0
    rich = found[1 << 24]
    assert rich.validated is not None
    assert not rich.judged.pictures._kept  # maps stand in their place
