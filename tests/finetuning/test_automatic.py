"""The automatic choice over a grid of situations: each rule, its reason, and what a small budget does."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.finetuning.automatic import (
    LEAST_A_CLASS,
    LEAST_DECIDING,
    MANY_IMAGES,
    Situation,
    Strategy,
    automatic,
    within,
)

FAMILIES = ("batchnorm", "transformer", "other")


def at(a_class=100, classes=10, **changes):
    images = a_class * classes
    fields = {
        "images": images,
        "classes": classes,
        "least": a_class,
        "deciding": images // 10,
        "family": "batchnorm",
        "adapters": True,
    }
    return Situation(**{**fields, **changes})


@pytest.mark.parametrize(
    ("situation", "strategy", "reason"),
    [
        (at(untrainable="torch is not installed"), "probe", "torch is not installed"),
        (at(a_class=1), "probe", "the rarest class has 1 of the 20 images"),
        (at(a_class=19), "probe", "has 19 of the 20"),
        (at(a_class=30, classes=2), "probe", "6 validation images are too few"),
        (at(a_class=19, linear=False), "head", "the head alone"),
        (at(), "partial", "BatchNorm"),
        (at(family="other"), "partial", "the last stages"),
        (at(family="transformer"), "lora", "low-rank adapters"),
        (at(family="transformer", adapters=False), "partial", "the last stages"),
        (at(a_class=1000), "probe-then-finetune", "10,000 images"),
        (at(a_class=1000, family="transformer"), "probe-then-finetune", "10,000 images"),
    ],
)
def test_each_rule_says_why(situation, strategy, reason):
    chosen = automatic(situation)
    assert chosen.name == strategy
    assert reason in chosen.why[0]


def test_over_the_grid_the_choice_only_widens_with_more_images():
    width = {"probe": 0, "head": 1, "partial": 2, "lora": 2, "probe-then-finetune": 3}
    for family, adapters, linear, classes in itertools.product(
        FAMILIES, (True, False), (True, False), (2, 10, 200)
    ):
        widths = [
            width[automatic(at(count, classes, family=family, adapters=adapters, linear=linear)).name]
            for count in (1, 2, 5, 10, 19, 20, 50, 100, 1_000, 10_000)
        ]
        assert widths == sorted(widths), (family, adapters, linear, classes, widths)
        assert widths[-1] == 3


@given(
    a_class=st.integers(1, 20_000),
    classes=st.integers(2, 1000),
    family=st.sampled_from(FAMILIES),
    trainable=st.booleans(),
    adapters=st.booleans(),
    linear=st.booleans(),
)
def test_what_is_chosen_can_be_had(a_class, classes, family, trainable, adapters, linear):
    reason = None if trainable else "it is a graph"
    situation = at(a_class, classes, family=family, untrainable=reason, adapters=adapters, linear=linear)
    chosen = automatic(situation)
    assert chosen.why
    assert "{" not in chosen.why[0]
    if not trainable:
        assert chosen.name == "probe"
    elif not linear:
        assert chosen.name != "probe"
    if chosen.name == "lora":
        assert adapters
    if chosen.name not in ("probe", "head"):
        assert situation.least >= LEAST_A_CLASS or situation.images >= MANY_IMAGES
        assert situation.deciding >= LEAST_DECIDING or not linear


def test_a_budget_that_the_least_training_exceeds_narrows_it_and_says_so():
    wide = Strategy("probe-then-finetune", ("many images",))
    assert within(wide, 100, None) is None
    assert within(wide, 100, 100) is None
    narrow = within(wide, 101, 100)
    assert narrow.name == "partial"
    assert narrow.why[0] == "many images"
    assert "about 101 of 100 seconds" in narrow.why[1]
    assert within(narrow, 101, 100).name == "head"
    assert within(Strategy("head", ()), 101, 100) is None
