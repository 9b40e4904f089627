"""The loop: what it learns, what it keeps, what it refuses, and what it leaves behind."""

from __future__ import annotations

import random
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from signet.decoding import read
from signet.errors import BadGraph, BadInput, BadRequest, CheckFailed, Diverged, UnknownName
from signet.preprocessing import prepare
from signet.progress import Progress
from signet.training import forget, program_at, train


class Stop(Exception):
    """What the tests interrupt a run with."""


def stop_at(step: int) -> object:
    def on_progress(moment: Progress) -> None:
        if moment.done == step:
            raise Stop

    return on_progress


def test_it_learns_and_returns_the_best_state_by_validation(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    module = tiny.network()
    data = tiny.data_in(images)
    settings = tiny.settings(epochs=12, augmentation="light", checkpoint_seconds=60)
    trained = train(module, data, settings, folder=tmp_path, resume=False)
    scores = [row["validation_accuracy"] for row in trained.history]
    assert [row["epoch"] for row in trained.history] == list(range(13))
    assert trained.history[trained.best_epoch]["validation_accuracy"] == max(scores)
    assert max(scores) >= 0.8 > scores[0]
    assert "train_loss" not in trained.history[0]
    assert trained.history[-1]["train_loss"] < trained.history[1]["train_loss"]
    assert trained.history[-1]["learning_rate"] < trained.history[2]["learning_rate"]
    assert not trained.stopped_early
    assert trained.validation_logits.shape == (10, 3)
    assert all(torch.equal(tensor, trained.best[name]) for name, tensor in module.state_dict().items())
    # The logits are those of the plain evaluation preprocessing: no mismatch of training and use.
    prepared = prepare([read(path) for path in data.validation], data.program).arrays
    with torch.no_grad():
        expected = module(torch.from_numpy(prepared)).numpy()
    np.testing.assert_allclose(trained.validation_logits, expected, atol=1e-5)


def test_same_seed_same_bits_and_another_seed_others(tiny: ModuleType, images: Path, tmp_path: Path) -> None:
    data = tiny.data_in(images)
    results = [
        train(tiny.network(), data, tiny.settings(epochs=2, seed=seed), folder=tmp_path / name, resume=False)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert tiny.same(results[0], results[1])
    assert not tiny.same(results[0], results[2])


@pytest.mark.parametrize("step", [1, 3, 6, 7, 13])
def test_a_stop_within_an_epoch_and_a_resume_change_nothing(
    tiny: ModuleType, images: Path, tmp_path: Path, step: int
) -> None:
    data, settings = tiny.data_in(images), tiny.settings(epochs=3)
    straight = train(tiny.network(), data, settings, folder=tmp_path / "straight", resume=False)
    with pytest.raises(Stop):
        train(
            tiny.network(),
            data,
            settings,
            folder=tmp_path / "stopped",
            resume=False,
            on_progress=stop_at(step),  # type: ignore[arg-type]
        )
    resumed = train(tiny.network(), data, settings, folder=tmp_path / "stopped", resume=True)
    assert tiny.same(straight, resumed)


def test_a_finished_run_is_resumed_to_its_result_without_a_step(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    data, settings = tiny.data_in(images), tiny.settings(epochs=1)
    first = train(tiny.network(), data, settings, folder=tmp_path, resume=False)
    moments: list[Progress] = []
    again = train(tiny.network(), data, settings, folder=tmp_path, resume=True, on_progress=moments.append)
    assert tiny.same(first, again)
    assert again.seconds == first.seconds
    assert not moments


def test_a_checkpoint_of_another_run_is_refused_and_says_what_differs(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    data, settings = tiny.data_in(images), tiny.settings(epochs=1)
    train(tiny.network(), data, settings, folder=tmp_path, resume=False)
    others = {
        "settings": (tiny.network(), data, tiny.settings(epochs=2)),
        "data": (tiny.network(), tiny.data_in(images, digest="other"), settings),
        "network weights": (tiny.network(seed=1), data, settings),
    }
    for name, (module, images_data, how) in others.items():
        with pytest.raises(BadRequest, match=f"other {name}\\. .*start again without resuming"):
            train(module, images_data, how, folder=tmp_path, resume=True)
    with pytest.raises(BadRequest, match="expected no checkpoint of an earlier run"):
        train(tiny.network(), data, settings, folder=tmp_path, resume=False)
    forget(tmp_path)
    assert not list(tmp_path.iterdir())


def test_how_often_it_is_written_down_does_not_count_as_another_run(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    data = tiny.data_in(images)
    first = train(tiny.network(), data, tiny.settings(epochs=1), folder=tmp_path, resume=False)
    other = tiny.settings(epochs=1, checkpoint_seconds=9, budget_seconds=99, memory_bytes=0)
    assert tiny.same(first, train(tiny.network(), data, other, folder=tmp_path, resume=True))


def test_nothing_global_is_changed(tiny: ModuleType, images: Path, tmp_path: Path) -> None:
    module = tiny.network()
    module.stem.requires_grad_(False)
    flags = [parameter.requires_grad for parameter in module.parameters()]
    threads = torch.get_num_threads()
    numbers = np.random.mtrand._rand  # what the functions of `np.random` draw from
    before = (torch.get_rng_state(), numbers.get_state()[1].copy(), random.getstate())
    train(module, tiny.data_in(images), tiny.settings(epochs=1), folder=tmp_path, resume=False)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], numbers.get_state()[1])
    assert before[2] == random.getstate()
    assert torch.get_num_threads() == threads
    assert [parameter.requires_grad for parameter in module.parameters()] == flags
    assert all(parameter.grad is None for parameter in module.parameters())
    assert not any(part.training for part in module.modules())


def test_what_draws_from_torch_outside_does_not_change_a_run(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    data, settings = tiny.data_in(images), tiny.settings(epochs=1)
    first = train(tiny.network(), data, settings, folder=tmp_path / "a", resume=False)
    with torch.random.fork_rng():
        torch.rand(17)
        other = train(tiny.network(), data, settings, folder=tmp_path / "b", resume=False)
    assert tiny.same(first, other)


def test_patience_ends_a_run_that_no_longer_gets_better(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    settings = tiny.settings(epochs=30, head_rate=1e-9, backbone_rate=0, patience=2, checkpoint_seconds=60)
    trained = train(tiny.network(), tiny.data_in(images), settings, folder=tmp_path, resume=False)
    assert trained.stopped_early
    assert len(trained.history) - 1 == trained.best_epoch + 2


def test_the_budget_ends_a_run_and_the_best_epoch_so_far_counts(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    settings = tiny.settings(epochs=500, budget_seconds=0.2, checkpoint_seconds=60)
    trained = train(tiny.network(), tiny.data_in(images), settings, folder=tmp_path, resume=False)
    assert trained.stopped_early
    assert len(trained.history) < 400
    assert trained.history[trained.best_epoch]["validation_accuracy"] == max(
        row["validation_accuracy"] for row in trained.history
    )


def test_a_loss_that_is_no_number_stops_and_says_what_to_lower(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    def poisoned(_: nn.Module, __: object, logits: torch.Tensor) -> torch.Tensor | None:
        return logits * float("nan") if torch.is_grad_enabled() else None

    data, settings = tiny.data_in(images), tiny.settings(epochs=1)
    module = tiny.network()
    module.register_forward_hook(poisoned)
    with pytest.raises(Diverged, match=r"epoch 1, step 1: .*finite loss.*Lower backbone_rate \(now 0\.01\)"):
        train(module, data, settings, folder=tmp_path / "a", resume=False)
    module = tiny.network()
    module.head.weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(Diverged, match="finite gradient"):
        train(module, data, settings, folder=tmp_path / "b", resume=False)
    module = tiny.network()
    with torch.no_grad():
        module.stem[0].weight[0] = float("nan")
    with pytest.raises(CheckFailed, match=r"before anything was learned.*weights"):
        train(module, data, settings, folder=tmp_path / "c", resume=False)


def test_another_input_size_is_used_and_is_that_of_program_at(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    seen: list[tuple[int, ...]] = []
    module = tiny.network()
    module.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[1:])))
    data = tiny.data_in(images, size=(32, 24))
    train(module, data, tiny.settings(epochs=1), folder=tmp_path, resume=False)
    assert set(seen) == {(3, 32, 24)}
    assert program_at(data.program, (32, 24)).input_size() == (32, 24)


def test_bf16_and_every_augmentation_run(tiny: ModuleType, images: Path, tmp_path: Path) -> None:
    for kind in ("none", "light", "medium"):
        settings = tiny.settings(epochs=1, bf16=True, augmentation=kind)
        trained = train(tiny.network(), tiny.data_in(images), settings, folder=tmp_path / kind, resume=False)
        assert len(trained.history) == 2
        assert trained.validation_logits.dtype == np.float32


def test_what_cannot_be_trained_is_refused(tiny: ModuleType, images: Path, tmp_path: Path) -> None:
    data = tiny.data_in(images)

    def run(module: nn.Module, how: object, of: object = data) -> None:
        forget(tmp_path)
        train(module, of, how, folder=tmp_path, resume=False)  # type: ignore[arg-type]

    with pytest.raises(BadRequest, match="expected parameters that learn, got none"):
        run(tiny.network(), tiny.settings(frozen=("stem", "body", "head")))
    with pytest.raises(UnknownName, match=r"No stage named 'stam'\. Did you mean 'stem'"):
        run(tiny.network(), tiny.settings(frozen=("stam",)))
    with pytest.raises(BadRequest, match="device: expected one that torch has here, got 'nonsense'"):
        run(tiny.network(), tiny.settings(device="nonsense"))
    module = tiny.network()
    module.head = nn.Linear(8, 7)
    with pytest.raises(BadRequest, match=r"expected logits of shape \(10, 3\)|\(5, 3\)"):
        run(module, tiny.settings())
    missing = [*data.train[1:], images / "missing.png"]
    with pytest.raises(BadInput, match=r"missing\.png"):
        run(tiny.network(), tiny.settings(), tiny.data_in(images, train=missing))
    steps = type(data.program)(data.program.steps[:-1])
    with pytest.raises(BadGraph, match="layout step to NCHW"):
        run(tiny.network(), tiny.settings(), tiny.data_in(images, program=steps))
