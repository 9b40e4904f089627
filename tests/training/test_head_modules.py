"""Heads that are more than one matrix: put in place, checked, and taught on features."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from signet.errors import BadGraph, BadInput, BadRequest  # noqa: E402
from signet.training import checked_head, mlp, replace_head, taught_on_features  # noqa: E402


def network():
    return nn.Sequential(OrderedDict(body=nn.Linear(6, 5), head=nn.Linear(5, 7))).eval()


def rings(count=300, seed=0):
    """Two classes that no line can part: inside and outside of a circle."""
    random = np.random.default_rng(seed)
    truth = np.arange(count) % 2
    angle = random.uniform(0, 2 * np.pi, count)
    radius = np.where(truth, 3.0, 1.0) + random.normal(0, 0.2, count)
    rows = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return rows.astype(np.float32), truth.astype(np.int64)


def test_a_perceptron_takes_the_place_of_the_head():
    module, name = replace_head(network(), "head", mlp(5, 3, 11, 0.5))
    assert name == "head"
    assert module(torch.zeros(4, 6)).shape == (4, 3)
    assert [tuple(one.shape) for one in module.head.parameters()] == [(11, 5), (11,), (3, 11), (3,)]
    assert not module.head.training


def test_a_network_without_a_head_gets_one_after_it():
    module, name = replace_head(nn.Linear(6, 5), None, mlp(5, 3, 8, 0.0))
    assert name == "head"
    assert module(torch.zeros(4, 6)).shape == (4, 3)


def test_a_head_that_sees_maps_is_not_replaced():
    module = nn.Sequential(OrderedDict(head=nn.Conv2d(3, 4, 1)))
    with pytest.raises(BadRequest, match="Conv2d, which sees maps"):
        replace_head(module, "head", mlp(3, 2, 4, 0.0))
    with pytest.raises(BadGraph, match="nothing"):
        replace_head(network(), "fc", mlp(3, 2, 4, 0.0))


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (lambda _width, _classes: "head", "torch.nn.Module of the factory, got str"),
        (lambda width, classes: nn.Linear(width + 1, classes), "it refuses"),
        (lambda width, classes: nn.Linear(width, classes + 1), r"got \(3, 3\)"),
        (lambda width, classes: nn.Sequential(nn.Linear(width, classes), nn.Threshold(9, np.nan)), "finite"),
    ],
)
def test_a_factory_of_something_else_is_refused_in_words(factory, words):
    with pytest.raises(BadInput, match=words):
        checked_head(factory, 5, 2)


def test_it_learns_on_features_what_no_line_can():
    rows, truth = rings()
    others, answers = rings(seed=1)
    torch.manual_seed(0)
    head = mlp(2, 2, 32, 0.1)
    taught_on_features(head, rows, truth, seed=0)
    with torch.no_grad():
        right = (head(torch.from_numpy(others)).argmax(1).numpy() == answers).mean()
    assert right > 0.95


def test_the_same_seed_teaches_the_same_and_leaves_the_global_generator():
    rows, truth = rings()
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        head = mlp(2, 2, 8, 0.5)
        before = torch.random.get_rng_state()
        taught_on_features(head, rows, truth, seed=7)
        assert torch.equal(torch.random.get_rng_state(), before)
        states.append(head.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_head_without_weights_is_refused():
    with pytest.raises(BadInput, match="without any"):
        taught_on_features(nn.Identity(), *rings(), seed=0)
