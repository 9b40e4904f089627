"""A step in parts: the same gradient, and a way on where memory is not enough."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from signet.errors import CheckFailed
from signet.progress import Progress
from signet.training import Optimisation, train
from signet.training.dispatch import task_of
from signet.training.gradients import Gradients, Share
from signet.training.micro_batches import is_out_of_memory, parts_of, statistics_kept_on_error
from signet.training.moments import Moment
from signet.training.ranks import Ranks
from signet.training.tasks import Examples


def settled(tiny: ModuleType, **changes: Any) -> Any:
    """No statistics of batches and no dropout: the parts of a step know nothing of each other."""
    fields = {"batchnorm": "frozen", "augmentation": "light", "epochs": 3, "checkpoint_seconds": 60}
    return tiny.settings(**{**fields, **changes})


def network(tiny: ModuleType) -> nn.Module:
    module = tiny.network()
    module.drop.p = 0.0
    return module


def apart(one: Any, other: Any) -> float:
    """The greatest difference between two results' weights, and between their training losses."""
    weights = max(float((one.best[name] - other.best[name]).abs().max()) for name in one.best)
    losses = [[row.get("train_loss", 0.0) for row in result.history] for result in (one, other)]
    return max(weights, float(np.abs(np.subtract(*losses)).max()))


def test_parts_are_cut_in_order_and_know_their_share() -> None:
    examples = Examples(torch.arange(7), tuple("abcdefg"))
    parts = list(parts_of(examples, 7, 3))
    assert [part.examples.images.tolist() for part in parts] == [[0, 1, 2], [3, 4], [5, 6]]
    assert [part.examples.targets for part in parts] == [tuple("abc"), tuple("de"), tuple("fg")]
    assert sum(part.share for part in parts) == pytest.approx(1.0)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_two_batches_of_8_make_the_step_of_one_of_16(
    tiny: ModuleType, images: Path, tmp_path: Path, optimizer: Any
) -> None:
    data = tiny.data_in(images)
    results = []
    for batch, accumulate in ((16, 1), (8, 2)):
        way = Optimisation(optimizer=optimizer, accumulate=accumulate)
        how = settled(tiny, batch=batch, optimisation=way, head_rate=1e-3, backbone_rate=1e-3)
        folder = tmp_path / f"{batch}"
        results.append(train(network(tiny), data, how, folder=folder, resume=False))
    assert apart(*results) < 1e-6
    assert results[0].best_epoch
    alone = train(
        network(tiny), data, settled(tiny, batch=8, head_rate=1e-3), folder=tmp_path / "8a", resume=False
    )
    assert apart(results[0], alone) > 1e-4


def refusing(module: nn.Module, most: int, seen: list[int], message: str) -> nn.Module:
    """A network that has no memory for more than some images when it learns."""

    def check(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if torch.is_grad_enabled():
            seen.append(len(inputs[0]))
            if len(inputs[0]) > most:
                raise RuntimeError(message)

    # After the first BatchNorm has moved its statistics: what has happened must be taken back.
    module.body.register_forward_pre_hook(check)
    return module


MESSAGES = [
    "CUDA out of memory. Tried to allocate 2.00 GiB",
    "[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory: you tried to allocate",
]


@pytest.mark.parametrize("message", MESSAGES)
def test_where_memory_runs_out_the_images_are_halved_and_the_result_stays(
    tiny: ModuleType, images: Path, tmp_path: Path, message: str
) -> None:
    data, how = tiny.data_in(images), settled(tiny, batch=16)
    told: list[Progress] = []
    seen: list[int] = []
    free = train(network(tiny), data, how, folder=tmp_path / "free", resume=False)
    module = refusing(network(tiny), 4, seen, message)
    tight = train(module, data, how, folder=tmp_path / "tight", resume=False, on_progress=told.append)
    assert apart(free, tight) < 1e-5
    # Once each for 16 and 8; then never again.
    assert [size for size in seen if size > 4] == [15, 8]
    assert free.notes == ()
    assert "memory ran out with 16 images at once: from then on 4 went" in tight.notes[0]
    assert "a step still learned from 16" in tight.notes[0]
    assert "memory ran out: batches in 4 parts" in told[-1].note
    again = train(network(tiny), data, how, folder=tmp_path / "tight", resume=True)
    assert again.notes == tight.notes


def test_a_batchnorm_that_learns_takes_in_no_statistics_of_what_failed(tiny: ModuleType) -> None:
    module = tiny.network()
    module.stem.train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(RuntimeError, match="channels"), statistics_kept_on_error(module):
        module(torch.rand(4, 3, 16, 16)) + module.stem(torch.rand(4, 5, 16, 16))
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    with statistics_kept_on_error(module):
        module.stem(torch.rand(4, 3, 16, 16))
    assert not torch.equal(module.stem[1].running_mean, before["stem.1.running_mean"])


def test_no_memory_for_a_single_image_ends_the_run_with_advice(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    module = refusing(network(tiny), 0, [], MESSAGES[0])
    with pytest.raises(CheckFailed, match=r"memory ran out for a single image.*smaller input_size"):
        train(module, tiny.data_in(images), settled(tiny), folder=tmp_path, resume=False)


class Company(Ranks):
    """The second of two processes, with what the first one adds to the sums."""

    def summed(self, values: Sequence[float]) -> list[float]:
        """A loss of 1, and the first process has no memory for a single image."""
        return [value + other for value, other in zip(values, [1.0, 1.0, 1.0, *values[3:]], strict=True)]


def test_where_another_process_has_no_memory_for_an_image_all_end_alike(
    tiny: ModuleType, images: Path
) -> None:
    module, how = network(tiny), settled(tiny)
    device = torch.device("cpu")
    task = task_of(tiny.data_in(images), how)
    share = Share(task.examples(np.arange(4), 1), 2, 4)
    gradients = Gradients(module, task, how, device, Company(1, 2, 2, device))
    with pytest.raises(CheckFailed, match="memory ran out for a single image"):
        gradients.of(share, Moment(epoch=1))


def test_other_errors_are_none_of_memory(tiny: ModuleType, images: Path, tmp_path: Path) -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("no"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shapes do not fit"))
    assert not is_out_of_memory(ValueError("out of memory"))
    module = refusing(network(tiny), 2, [], "shapes do not fit")
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        train(module, tiny.data_in(images), settled(tiny), folder=tmp_path, resume=False)
