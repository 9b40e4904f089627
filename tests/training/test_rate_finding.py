"""A trial of rates: the curve, the suggestion, and that nothing is changed by it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from signet.errors import BadRequest, CheckFailed
from signet.progress import Progress
from signet.training import Optimisation, find_rate, loop, rate_finding, train
from signet.training.moments import state_of
from signet.training.of_classes import ClassTask
from signet.training.rate_finding import HIGHEST, LOWEST, suggested

FACTORS = np.geomspace(1e-6, 1, 61)


def valley(steepest: float, least: float) -> list[float]:
    """A loss that is flat, falls around one rate, is least at another, and blows up after it."""
    fall = 1 / (1 + (FACTORS / steepest) ** 2)
    return (0.2 + fall + (FACTORS / least) ** 3 / 10).tolist()


def test_the_suggestion_lies_where_the_loss_falls_most_steeply() -> None:
    place = suggested(valley(1e-4, 1e-1), FACTORS)
    assert place is not None
    assert FACTORS[place] == pytest.approx(1e-4, rel=0.3)


@given(steepest=st.floats(1e-5, 1e-1), least=st.floats(1e-3, 1.0))
def test_it_is_well_below_the_rate_of_the_least_loss(steepest: float, least: float) -> None:
    losses = valley(steepest, least)
    place = suggested(losses, FACTORS)
    if place is not None:
        assert FACTORS[place] <= FACTORS[int(np.argmin(losses))] / 10 * 1.0001 or place == 0


def test_a_loss_that_never_falls_suggests_nothing() -> None:
    assert suggested([1.0] * 61, FACTORS) is None
    assert suggested(np.linspace(1, 4, 61).tolist(), FACTORS) is None


def test_a_real_network_learns_at_what_is_suggested(tiny: ModuleType, images: Path, tmp_path: Path) -> None:
    module, data = tiny.network(), tiny.data_in(images)
    settings = tiny.settings(epochs=6, augmentation="light", batchnorm="frozen", checkpoint_seconds=60)
    before, random = state_of(module), torch.get_rng_state()
    told: list[Progress] = []
    curve = find_rate(module, data, settings, on_progress=told.append)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert len(told) >= len(curve.losses) - 1
    # The proportion of the settings stays, and the greater of both goes from the lowest to the highest.
    assert np.allclose(np.divide(curve.head_rates, curve.backbone_rates), 3)
    assert curve.head_rates[0] == pytest.approx(LOWEST)
    assert max(curve.head_rates) <= HIGHEST * 1.0001
    assert curve.head_rate is not None
    assert curve.backbone_rate is not None
    assert 1e-4 < curve.head_rate < 0.1
    assert min(curve.losses) < 0.95 * curve.losses[0]
    assert curve == find_rate(module, data, settings)
    assert curve.to_dict()["steps"][curve.suggested]["head_rate"] == curve.head_rate
    losses = []
    for rate in (curve.head_rate, LOWEST * 10):
        way = tiny.settings(
            epochs=6, augmentation="light", batchnorm="frozen", head_rate=rate, backbone_rate=rate / 3
        )
        done = train(tiny.network(), data, way, folder=tmp_path / f"{rate:g}", resume=False)
        losses.append(done.history[-1]["train_loss"])
    assert losses[0] < losses[1]


def test_differences_between_batches_do_not_hide_what_a_rate_does(tiny: ModuleType, images: Path) -> None:
    """The loss is compared with that of the network as it was given, on the same images."""
    settings = tiny.settings(batch=2, augmentation="medium", batchnorm="frozen", backbone_rate=0)
    curve = find_rate(tiny.network(), tiny.data_in(images), settings, steps=40)
    # Batches of two lose very different amounts; at the lowest rates nothing of that is in the curve.
    low = [loss for loss, rate in zip(curve.losses, curve.head_rates, strict=True) if rate < 1e-4]
    assert len(low) > 8
    assert max(low) - min(low) < 1e-3 * low[0]


def test_what_the_run_has_frozen_stays_and_parts_add_up(tiny: ModuleType, images: Path) -> None:
    data = tiny.data_in(images)
    whole = tiny.settings(batchnorm="frozen", augmentation="none", batch=10, frozen=("stem",))
    parts = tiny.settings(
        batchnorm="frozen",
        augmentation="none",
        batch=5,
        frozen=("stem",),
        optimisation=Optimisation(accumulate=2),
    )
    module = tiny.network()
    module.drop.p = 0.0
    one, other = (find_rate(module, data, how, steps=12) for how in (whole, parts))
    assert np.allclose(one.losses, other.losses, atol=1e-4)
    head = find_rate(module, data, tiny.settings(backbone_rate=0), steps=12)
    assert set(head.backbone_rates) == {0.0}


def losses_of_steps(module: nn.Module, data: Any, settings: Any, folder: Path) -> list[float]:
    """What training loses in each of its first steps at a rate at which it does not move."""
    seen: list[float] = []

    def on_progress(moment: Progress) -> None:
        if not moment.history:
            seen.append(watched.losses.pop())

    watched = Watched(data, settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "task_of", lambda *_: watched)
        train(module, data, settings, folder=folder, resume=False, on_progress=on_progress)
    return seen


class Watched(ClassTask):
    """Notes what each step loses."""

    def __init__(self, data: Any, settings: Any) -> None:
        super().__init__(data, settings)
        self.losses: list[float] = []

    def loss(self, module: nn.Module, examples: Any) -> torch.Tensor:
        found = super().loss(module, examples)
        self.losses.append(float(found.detach()))
        return found


@pytest.mark.parametrize(
    "changes",
    [
        {"batchnorm": "frozen", "batchnorm_stages": (("body", "batch"),)},
        {"batchnorm": "adapt"},
        {"batchnorm": "adapt", "thaw": (("body", 2), ("stem", 3))},
        {"batchnorm": "batch", "thaw": (("stem", 2),)},
    ],
)
def test_the_steps_are_the_first_that_training_would_make(
    tiny: ModuleType, images: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """At rates that move nothing both lose the same, step by step: six are an epoch."""
    data = tiny.data_in(images)
    settings = tiny.settings(epochs=3, head_rate=1e-9, backbone_rate=1e-9, checkpoint_seconds=60, **changes)
    expected = losses_of_steps(tiny.network(), data, settings, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rate_finding, "LOWEST", 1e-9)
        patch.setattr(rate_finding, "HIGHEST", 1.0001e-9)
        curve = find_rate(tiny.network(), data, settings, steps=18)
    # Nothing moves, so the curve is flat at the mean of what the network loses as it was given.
    assert np.ptp(curve.losses) < 1e-4
    assert curve.losses[0] == pytest.approx(np.mean(expected), abs=1e-4)


def test_what_training_refuses_is_refused(tiny: ModuleType, images: Path) -> None:
    settings = tiny.settings(frozen=("stem",), batchnorm="frozen", batchnorm_stages=(("stem", "batch"),))
    with pytest.raises(BadRequest, match="batchnorm of stem: expected 'frozen' in a frozen stage"):
        find_rate(tiny.network(), tiny.data_in(images), settings)


def test_a_stage_that_has_not_thawed_does_not_move(tiny: ModuleType, images: Path) -> None:
    """With a thaw after the trial, the trial is that of the head alone."""
    data = tiny.data_in(images)
    later = tiny.settings(epochs=9, batchnorm="frozen", thaw=(("stem", 9), ("body", 9)))
    alone = tiny.settings(epochs=9, batchnorm="frozen", frozen=("stem", "body"))
    one, other = (find_rate(tiny.network(), data, how, steps=12) for how in (later, alone))
    np.testing.assert_allclose(one.losses, other.losses, rtol=1e-6)
    both = find_rate(tiny.network(), data, tiny.settings(epochs=9, batchnorm="frozen"), steps=12)
    assert not np.allclose(one.losses, both.losses, rtol=1e-3)


def test_what_cannot_be_tried_is_refused(tiny: ModuleType, images: Path) -> None:
    data = tiny.data_in(images)
    with pytest.raises(BadRequest, match="expected at least 10 for a curve, got 3"):
        find_rate(tiny.network(), data, tiny.settings(), steps=3)
    module = tiny.network()
    nn.init.constant_(module.head.weight, float("nan"))
    with pytest.raises(CheckFailed, match="finite loss before anything was learned"):
        find_rate(module, data, tiny.settings(), steps=12)


def test_where_memory_runs_out_it_says_what_to_do(
    tiny: ModuleType, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(rate_finding, "_losses", short)
    with pytest.raises(CheckFailed, match=r"memory ran out for a batch of .* Give a smaller batch"):
        find_rate(tiny.network(), tiny.data_in(images), tiny.settings())
