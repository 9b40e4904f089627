"""Adapting a small network of torch: what was learned by heart is no other kind, and TENT keeps its prior."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from signet.finetuning.domains import Candidate, Network, Target, adapted_to, adapting, evidence, methods
from signet.finetuning.domains.networks import Buildable
from signet.finetuning.partition import Part
from signet.progress import silent
from signet.recipes import Recipe

torch = pytest.importorskip("torch")

TRAINING, VALIDATION, TARGET = range(90), range(90, 170), range(170, 290)


def paths(places) -> tuple[Path, ...]:
    return tuple(Path(str(place)) for place in places)


def pictures(some) -> torch.Tensor:
    """float32 (N, 20): clouds of two classes, one for each path. No kind of them differs from another."""
    rows = np.stack([np.random.default_rng([3, int(path.name)]).normal(size=20) for path in some])
    rows[:, 0] += 2.0 * np.array([int(path.name) % 2 for path in some])
    return torch.from_numpy(rows.astype("f4"))


def module() -> torch.nn.Sequential:
    """Has begun to learn two classes; its BatchNorm has statistics of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = torch.nn.Sequential(
            torch.nn.Linear(20, 64), torch.nn.BatchNorm1d(64), torch.nn.ReLU(), torch.nn.Linear(64, 2)
        )
        rows, targets = pictures(paths(TRAINING)), torch.arange(len(TRAINING)) % 2
        optimizer = torch.optim.Adam(made.parameters(), lr=0.02)
        for _ in range(20):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(made(rows), targets).backward()
            optimizer.step()
    return made.eval()


class ByHeart(torch.nn.Module):
    """Answers by how near an image is to those that it learned from: a network overfitted altogether.

    Source: D. Specht, "Probabilistic Neural Networks", Neural Networks 3 (1990) 109-118.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        near = torch.exp(-(torch.cdist(images, pictures(paths(TRAINING))) ** 2) / 4)
        return torch.stack([near[:, first::2].sum(1) for first in (0, 1)], dim=1)


def candidate(made: torch.nn.Sequential, recipe: Recipe, *, trained: bool) -> Candidate:
    development = Part(paths((*TRAINING, *VALIDATION)), np.arange(170) % 2)
    parts = SimpleNamespace(
        development=development, validation=np.array(VALIDATION), labels=("even", "odd"), test=None
    )
    job = SimpleNamespace(
        parts=parts, recipe=recipe, start=None, on_progress=silent, plan=SimpleNamespace(threads=1)
    )
    network = Network(
        logits=lambda some: made(pictures(some)).detach().numpy(),
        features=lambda some: made[:-1](pictures(some)).detach().numpy(),
        sealable=lambda: None,
        with_head=None,
        build=lambda: Buildable(made, "3", None, None),
    )
    return Candidate(job, network, None, SimpleNamespace() if trained else None, paths(TARGET), 1.0)


@pytest.fixture
def readable(monkeypatch):
    monkeypatch.setattr(adapting, "features_of", lambda _, some, *__: (None, np.arange(len(some)), []))


def test_images_of_the_same_kind_are_not_another_one_to_a_network_that_knows_its_own_by_heart(readable):
    made = torch.nn.Sequential(ByHeart(), torch.nn.Linear(2, 2))
    one = candidate(made, Recipe(strategy="full", target="x"), trained=True)
    learned, new = (one.network.features(paths(some)) for some in (TRAINING, TARGET))
    assert evidence.told_apart(learned, new, 0).low > evidence.LEAST_AREA  # by what it remembers
    target = Target("x", paths(TARGET), ("",) * len(TARGET), None, False, ())
    network, found = adapted_to(one, target, None, seed=0)
    assert network is None
    assert found.method == "none"
    assert found.told_apart.low < 0.55
    assert "not told from what was learned from" in found.why[0]
    assert found.trained


def test_without_enough_images_held_out_from_training_nothing_is_chosen(readable):
    one = candidate(module(), Recipe(strategy="full", target="x"), trained=True)
    one.job.parts.validation = np.array(VALIDATION[:1])
    target = Target("x", paths(TARGET), ("",) * len(TARGET), None, False, ())
    network, found = adapted_to(one, target, None, seed=0)
    assert network is None
    assert found.told_apart is None
    assert "1 images held out from training and 120 of the target are too few to choose by" in found.why[0]
    assert any("no image was held out from training" in note for note in found.notes)


@pytest.fixture
def without_files(monkeypatch):
    def batches(_, __, some, ___, turn=0):
        order = np.random.default_rng(turn).permutation(len(some))
        yield from pictures([some[place] for place in order]).split(40)

    monkeypatch.setattr(methods, "_batches", batches)
    monkeypatch.setattr(methods, "of_module", lambda _, built, __: built)


def test_entropies_before_and_after_a_descent_that_learns_nothing_are_equal(without_files, monkeypatch):
    from signet.training import entropy_descent

    still = partial(entropy_descent.Descent, rate=0.0)
    monkeypatch.setattr(entropy_descent, "Descent", still)
    one = candidate(module(), Recipe(strategy="probe", target="x"), trained=False)
    _, _, done = methods.with_entropy(one)
    # The statistics of 16 images of the source are in both.
    assert done.entropies[1] == pytest.approx(done.entropies[0], abs=1e-6)
    assert done.spreads[1] == pytest.approx(done.spreads[0], abs=1e-6)


def test_tent_goes_down_and_leaves_all_but_the_norms(without_files):
    made = module()
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    _, built, done = methods.with_entropy(
        candidate(made, Recipe(strategy="probe", target="x"), trained=False)
    )
    assert done.steps > 0
    assert done.entropies[-1] < done.entropies[0]
    after = built.module.state_dict()
    moved = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert moved - {"1.num_batches_tracked"} == {
        f"1.{name}" for name in ("weight", "bias", "running_mean", "running_var")
    }
