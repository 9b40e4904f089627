"""From a recipe to statistics, averages and the watch; and what is refused."""

from __future__ import annotations

import pytest

from signet.errors import BadRequest
from signet.finetuning.steadying import reasons, refuse_unsteady, steadied
from signet.recipes import Recipe

PLAIN = {"batchnorm": "frozen", "batchnorm_stages": (), "overfitting": "stop", "ema": 0.0}


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ({}, {}),
        ({"batchnorm": "adapt"}, {"batchnorm": "adapt"}),
        ({"batchnorm_stages": {"layer4": "batch"}}, {"batchnorm_stages": (("layer4", "batch"),)}),
        ({"ema": 0.99}, {"ema": 0.99}),
        ({"averaging": "ema"}, {"ema": 0.998}),
        ({"averaging": "ema", "ema": 0.9}, {"ema": 0.9}),
        ({"averaging": "swa"}, {"swa_start": 0.75, "swa_rate": 0.5}),
        ({"averaging": "swa", "swa_start": 0.5, "swa_rate": 0.1}, {"swa_start": 0.5, "swa_rate": 0.1}),
        ({"averaging": "soup"}, {"soup": 5}),
        ({"averaging": "soup", "soup_epochs": 3}, {"soup": 3}),
        ({"overfitting": "step-back"}, {"overfitting": "step-back"}),
    ],
)
def test_each_setting_has_its_place(recipe: dict[str, object], changes: dict[str, object]) -> None:
    assert steadied(Recipe.from_dict(recipe), "classify") == {**PLAIN, **changes}


def test_random_weights_have_no_statistics_to_keep_and_objects_no_loss_to_watch() -> None:
    assert steadied(Recipe(), "classify", scratch=True)["batchnorm"] == "batch"
    assert steadied(Recipe(batchnorm="re-estimated"), "classify", scratch=True)["batchnorm"] == "re-estimated"
    assert steadied(Recipe(), "detect", usual_ema=0.9) == {**PLAIN, "overfitting": "off", "ema": 0.9}
    assert steadied(Recipe(averaging="none"), "detect", usual_ema=0.9)["ema"] == 0.0
    assert steadied(Recipe(), "segment")["overfitting"] == "stop"


@pytest.mark.parametrize(
    ("recipe", "task", "words"),
    [
        ({"swa_start": 0.5}, "classify", r"swa_start 0.5: expected averaging = 'swa'.*got none named"),
        ({"averaging": "soup", "ema": 0.9}, "classify", r"ema 0.9: expected averaging = 'ema'.*got 'soup'"),
        ({"averaging": "swa", "soup_epochs": 3}, "segment", r"soup_epochs 3: expected averaging = 'soup'"),
        ({"averaging": "ema", "ema": 0}, "classify", "keeps no mean"),
        ({"overfitting": "stop"}, "detect", r"overfitting 'stop': expected a dataset whose validation has a"),
        (
            {"strategy": "probe", "batchnorm": "batch"},
            "classify",
            "batchnorm: expected a strategy that trains",
        ),
        ({"strategy": "probe", "averaging": "ema"}, "classify", "averaging: expected a strategy that trains"),
    ],
)
def test_what_makes_no_sense_is_refused(recipe: dict[str, object], task: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        refuse_unsteady(Recipe.from_dict(recipe), task)  # type: ignore[arg-type]


def test_what_makes_sense_is_not() -> None:
    for recipe in (
        Recipe(),
        Recipe(ema=0.9),
        Recipe(averaging="swa", swa_rate=0.2),
        Recipe(overfitting="off"),
    ):
        refuse_unsteady(recipe, "classify")
    refuse_unsteady(Recipe(ema=0.9), "detect")


def test_the_plan_says_what_is_unusual() -> None:
    assert reasons(Recipe(), "classify") == (
        "every BatchNorm keeps its pretrained statistics: those of small batches are worse",
    )
    said = " ".join(
        reasons(
            Recipe(averaging="swa", batchnorm_stages={"layer4": "adapt"}, overfitting="step-back"), "classify"
        )
    )
    assert "after 75 % of the epochs" in said
    assert "BatchNorm of layer4: adapt" in said
    assert "goes back to its best epoch" in said
