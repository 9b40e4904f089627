"""The running average of the weights."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from signet.errors import BadRequest
from signet.progress import Progress
from signet.training import ending, loop, train
from signet.training.averaging import Average, EpochAverage, Soup, weights_of


class Stop(Exception):
    """What the tests interrupt with."""


def layer(value: float) -> nn.Linear:
    module = nn.Linear(1, 1)
    nn.init.constant_(module.weight, value)
    nn.init.constant_(module.bias, -value)
    return module


def _stopped_within(average: Average) -> None:
    with average.in_place():
        raise Stop


@settings(max_examples=25, deadline=None)
@given(decay=st.floats(0.1, 0.999), values=st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=30))
def test_it_is_the_sum_that_its_definition_says(decay: float, values: list[float]) -> None:
    module = layer(1.0)
    average, expected = Average(module, decay), 1.0
    for step, value in enumerate(values, 1):
        nn.init.constant_(module.weight, value)
        average.update(step)
        held = min(decay, (1 + step) / (10 + step))
        expected = held * expected + (1 - held) * value
    assert average.tensors["weight"].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)
    # What does not change keeps its value, but for the rounding of the sum.
    assert average.tensors["bias"].item() == pytest.approx(-1.0, rel=1e-5)


def test_it_is_lent_to_the_module_and_taken_back_to_the_bit() -> None:
    module = layer(0.1)
    average = Average(module, 0.9)
    nn.init.constant_(module.weight, 0.7)
    average.update(100)
    before = module.weight.detach().clone()
    with average.in_place():
        assert torch.equal(module.weight, average.tensors["weight"])
    assert torch.equal(module.weight, before)
    with pytest.raises(Stop):
        _stopped_within(average)
    assert torch.equal(module.weight, before)
    assert module.weight.requires_grad


def test_what_is_frozen_and_a_decay_of_zero_have_no_average() -> None:
    module = layer(1.0)
    assert Average(module, 0.0).tensors == {}
    module.bias.requires_grad_(False)
    assert list(Average(module, 0.9).tensors) == ["weight"]


def test_the_average_is_what_is_kept_and_a_resume_goes_on_with_it(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    def run(place: str, *, resume: bool = False, **changes: Any) -> Any:
        how = tiny.settings(epochs=2, head_rate=3e-3, **changes)
        return train(tiny.network(), data, how, folder=tmp_path / place, resume=resume, on_progress=told)

    stop_at: list[int] = []

    def told(moment: Progress) -> None:
        if moment.done in stop_at:
            raise Stop

    data = tiny.data_in(images)
    raw, straight = run("raw"), run("straight", ema=0.99)
    # The same steps were made: the losses of training are equal, and what validation saw is not.
    for one, other in zip(raw.history[1:], straight.history[1:], strict=True):
        assert one["train_loss"] == other["train_loss"]
        assert one["validation_loss"] != other["validation_loss"]
    assert straight.best_epoch
    statistics = [name for name in straight.best if "num_batches" in name]
    assert all(int(straight.best[name]) == straight.best_epoch * 6 for name in statistics)
    stop_at.append(9)
    with pytest.raises(Stop):
        run("stopped", ema=0.99)
    stop_at.clear()
    assert tiny.same(straight, run("stopped", resume=True, ema=0.99))
    with pytest.raises(BadRequest, match="other settings"):
        run("stopped", resume=True)


def drifting(decay: float, statistics: tuple[str, ...]) -> tuple[nn.Sequential, Average]:
    """A layer whose weights move by the same amount in each step, and the BatchNorm behind it."""
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, affine=False))
    nn.init.zeros_(module[0].bias)
    nn.init.constant_(module[0].weight, 0.5)
    average = Average(module, decay, statistics)
    images = torch.randn(64, 2, generator=torch.Generator().manual_seed(0)) + 1
    module.train()
    for step in range(1, 401):
        with torch.no_grad():
            module[0].weight += 0.01
        module(images)
        average.update(step)
    with average.in_place(), torch.no_grad():
        exact = module[0](images)
    module.exact = exact.mean(0), exact.var(0)  # type: ignore[assignment]
    return module, average


def test_statistics_that_follow_the_weights_are_averaged_with_them() -> None:
    names = ("1.running_mean", "1.running_var")
    module, average = drifting(0.99, names)
    mean, variance = module.exact  # type: ignore[misc]
    own = [module.get_buffer(name).clone() for name in names]
    with average.in_place():
        lent = [module.get_buffer(name).clone() for name in names]
    assert all(torch.equal(module.get_buffer(name), before) for name, before in zip(names, own, strict=True))
    for exact, newest, averaged in zip((mean, variance), own, lent, strict=True):
        assert (averaged - exact).abs().max() < 0.4 * (newest - exact).abs().max()
    assert "1.num_batches_tracked" not in average.tensors


@pytest.mark.parametrize(
    ("changes", "followed"),
    [
        ({"batchnorm": "batch"}, True),
        ({"batchnorm": "frozen"}, False),
        ({"batchnorm": "re-estimated"}, False),
        ({"batchnorm": "batch", "frozen": ("stem", "body")}, False),
    ],
)
def test_which_statistics_are_averaged_is_the_policys(
    tiny: ModuleType, changes: dict[str, Any], followed: bool
) -> None:
    module = tiny.network()
    average = weights_of(module, tiny.settings(ema=0.9, **changes))
    assert any(name.endswith("running_var") for name in average.tensors) is followed


# --- the mean of epochs -------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(first=st.integers(1, 5), values=st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=12))
def test_the_mean_of_the_last_epochs_is_their_plain_mean(first: int, values: list[float]) -> None:
    module = layer(0.0)
    average = EpochAverage(module, first)
    for epoch, value in enumerate(values, 1):
        nn.init.constant_(module.weight, value)
        average.gather(epoch)
        assert average.mixed is (epoch >= first)
        with average.in_place():
            wanted = np.mean(values[first - 1 : epoch]) if epoch >= first else value
            assert module.weight.item() == pytest.approx(wanted, rel=1e-4, abs=1e-4)
        assert module.weight.item() == pytest.approx(value)


@settings(max_examples=60, deadline=None)
@given(first=st.integers(1, 4), moves=st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_a_mean_that_went_back_is_of_the_epochs_on_the_way_that_was_kept(
    first: int, moves: list[int]
) -> None:
    """A move of 0 goes on after the epoch; one of n goes back to the n-th last epoch of the way, and on."""
    module = layer(0.0)
    average = EpochAverage(module, first)
    way = [(0, 0.0, 0.0)]  # epoch, its weight, and what was judged
    for epoch, move in enumerate(moves, 1):
        nn.init.constant_(module.weight, value := float(epoch**2 % 11))
        average.gather(epoch)
        of_mean = [one for place, one, _ in way if place >= first] + [value] * (epoch >= first)
        with average.in_place():
            judged = module.weight.item()
        assert judged == pytest.approx(np.mean(of_mean) if of_mean else value, abs=1e-4)
        way.append((epoch, value, judged))
        if move and len(way) > move:
            way = way[:-move]
            nn.init.constant_(module.weight, way[-1][2])
            average.restart(way[-1][0])
            other = EpochAverage(module, first)  # as a resume makes it
            other.restore(average.tensors)
            average = other


def test_stochastic_weight_averaging_holds_the_rate_and_keeps_the_mean(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    data = tiny.data_in(images)
    states: list[dict[str, torch.Tensor]] = []

    def after_each_epoch(moment: Progress) -> None:
        if moment.done % 6 == 0:
            states.append({name: tensor.clone() for name, tensor in module.state_dict().items()})

    module = tiny.network()
    how = tiny.settings(
        epochs=4, swa_start=0.5, swa_rate=0.4, batchnorm="frozen", checkpoint_seconds=60, select="loss"
    )
    done = train(module, data, how, folder=tmp_path, resume=False, on_progress=after_each_epoch)
    assert [row["learning_rate"] for row in done.history[3:]] == [pytest.approx(0.4 * how.head_rate)] * 2
    # Told twice at an epoch's end: after its last step, and after it was judged.
    assert done.best_epoch == 4
    ends = [states[2 * epoch] for epoch in (3, 4)]
    mean = (ends[0]["head.weight"] + ends[1]["head.weight"]) / 2
    torch.testing.assert_close(done.best["head.weight"], mean, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(ends[1]["head.weight"], mean, atol=1e-4)


@pytest.mark.parametrize("changes", [{"swa_start": 0.3, "batchnorm": "batch"}, {"soup": 3}])
@pytest.mark.parametrize("step", [5, 12, 17])
def test_a_stop_and_a_resume_change_no_average(
    tiny: ModuleType, images: Path, tmp_path: Path, changes: dict[str, Any], step: int
) -> None:
    def stop(moment: Progress) -> None:
        if moment.done == step:
            raise Stop

    data, how = tiny.data_in(images), tiny.settings(epochs=3, select="loss", **changes)
    straight = train(tiny.network(), data, how, folder=tmp_path / "a", resume=False)
    with pytest.raises(Stop):
        train(tiny.network(), data, how, folder=tmp_path / "b", resume=False, on_progress=stop)
    resumed = train(tiny.network(), data, how, folder=tmp_path / "b", resume=True)
    assert tiny.same(straight, resumed)
    assert straight.notes == resumed.notes


def test_a_mean_that_goes_on_after_a_step_back_is_of_what_was_kept(
    tiny: ModuleType, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epochs 2 to 5 are averaged; after epoch 4 the run goes back to epoch 3: 2, 3 and 5 are in the mean."""
    monkeypatch.setattr(ending, "memorising", lambda rows, *_: "overfitting" if len(rows) == 5 else None)
    monkeypatch.setattr(loop, "is_better", lambda row, best, *_: row["epoch"] in (1, 2, 3, 5))
    data = tiny.data_in(images)
    how = tiny.settings(epochs=5, swa_start=0.2, swa_rate=0.3, batchnorm="frozen", overfitting="step-back")
    ends: dict[int, torch.Tensor] = {}
    module = tiny.network()

    def run(place: str, stop: int = 0) -> Any:
        def told(moment: Progress) -> None:
            if stop and moment.done == stop and not moment.history:
                raise Stop
            if not moment.history and moment.done % 6 == 0:  # after the last step of an epoch, not yet judged
                ends[moment.done // 6] = module.head.weight.detach().clone()

        module.load_state_dict(tiny.network().state_dict())
        return train(module, data, how, folder=tmp_path / place, resume=True, on_progress=told)

    done = run("a")
    assert "it went back to epoch 3" in done.notes[0]
    assert done.best_epoch == 5
    torch.testing.assert_close(done.best["head.weight"], torch.stack([ends[2], ends[3], ends[5]]).mean(0))
    with pytest.raises(Stop):
        run("b", stop=27)  # in the epoch after it went back
    assert tiny.same(done, run("b"))


# --- soup ---------------------------------------------------------------------------------------------------


def soup_of(values: list[float], most: int) -> tuple[nn.Linear, Soup]:
    module = layer(0.0)
    soup = Soup(module, most)
    for epoch, value in enumerate(values, 1):
        nn.init.constant_(module.weight, value)
        soup.gather(epoch)
    return module, soup


def greedy(values: list[float], order: list[int], target: float) -> float | None:
    """What the recipe finds, word for word: the next one goes in where the mean comes nearer."""
    chosen, best = order[:1], abs(values[order[0] - 1] - target)
    found = None
    for epoch in order[1:]:
        distance = abs(float(np.mean([values[place - 1] for place in [*chosen, epoch]])) - target)
        if distance < best:
            chosen, best, found = [*chosen, epoch], distance, distance
    return found


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.floats(-8, 8, width=16), min_size=2, max_size=7, unique=True), target=st.floats(-4, 4)
)
def test_the_soup_is_the_greedy_one(values: list[float], target: float) -> None:
    module, soup = soup_of(values, most=9)
    order = sorted(range(1, len(values) + 1), key=lambda epoch: abs(values[epoch - 1] - target))
    wanted = greedy(values, order, target)
    start = abs(values[order[0] - 1] - target)

    def better(one: float, found: float | None) -> bool:
        return one < (start if found is None else found) - 1e-4

    before = module.weight.item()
    found, chosen = soup.mix(order, lambda: abs(module.weight.item() - target), better)
    assert module.weight.item() == before
    if wanted is None or start - wanted > 1e-3:  # else rounding decides
        assert (found is None) == (wanted is None)
    if found is not None:
        mean = float(np.mean([values[epoch - 1] for epoch in chosen]))
        assert found == pytest.approx(abs(mean - target), abs=1e-4)
        assert found < start
        assert order[0] in chosen


def test_only_the_best_epochs_are_remembered_and_a_checkpoint_brings_them_back() -> None:
    _, soup = soup_of([1.0, 2.0, 3.0, 4.0], most=2)
    soup.keep([3, 1, 4, 2])
    assert soup.epochs == (1, 3)
    _, other = soup_of([], most=2)
    other.restore(soup.tensors)
    assert other.epochs == (1, 3)
    assert other.tensors["3/weight"].item() == 3.0


def test_a_soup_that_helps_is_a_row_of_its_own_and_is_what_is_kept(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    how = tiny.settings(
        epochs=5, soup=5, select="loss", head_rate=0.09, augmentation="none", checkpoint_seconds=60
    )
    done = train(tiny.network(), tiny.data_in(images), how, folder=tmp_path, resume=False)
    last = done.history[-1]
    assert last["epoch"] == 6 == done.best_epoch
    assert last["soup"] >= 2
    assert last["validation_loss"] < min(row["validation_loss"] for row in done.history[:-1])
    assert re.fullmatch(r"soup: the mean of the weights of epochs [\d, ]+ is kept, as row 6", done.notes[-1])


def test_two_averages_at_once_are_refused(tiny: ModuleType) -> None:
    with pytest.raises(BadRequest, match="expected one average of the weights, got ema and soup"):
        tiny.settings(ema=0.9, soup=2)
