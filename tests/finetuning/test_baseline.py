"""The network from random weights: what of a recipe it takes over, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from signet.finetuning.baseline import settings_from_random
from signet.finetuning.plans import Plan
from signet.recipes import Recipe

pytest.importorskip("torch")

PLAN = Plan(
    model="m",
    dataset="d",
    labels=3,
    strategy="partial",
    images={},
    trained="",
    frozen="",
    why=(),
    probe_size=None,
    stages=("stem", "stages.0"),
    epochs=9,
    batch=16,
)


def settings(**changes: Any) -> Any:
    return settings_from_random(PLAN, Recipe(**changes), "head", 4)


def test_it_takes_the_same_steps() -> None:
    made = settings(accumulate=2, optimizer="sgd", augmentation="medium", averaging="swa")
    assert (made.epochs, made.step_images, made.augmentation, made.swa_start) == (4, 32, "medium", 0.75)
    assert (made.optimisation.optimizer, made.patience, made.overfitting) == ("sgd", 0, "off")


def test_nothing_of_it_is_treated_as_pretrained() -> None:
    made = settings(layer_decay=0.7, stage_rates={"stem": 1e-6}, batchnorm_stages={"stages.1": "frozen"})
    assert made.frozen == ()
    assert made.backbone_rate == made.head_rate == 1e-3
    assert (made.optimisation.layer_decay, made.optimisation.stage_rates) == (1.0, ())
    assert made.batchnorm_stages == ()


@pytest.mark.parametrize(
    ("policy", "own"),
    [("frozen", "batch"), ("adapt", "batch"), ("batch", "batch"), ("re-estimated", "re-estimated")],
)
def test_no_statistics_of_random_weights_are_kept(policy: Any, own: str) -> None:
    assert settings(batchnorm=policy).batchnorm == own
