"""Presets: what they set, by size of the set and of its images; what a person sets wins."""

from __future__ import annotations

import dataclasses
import tomllib
from importlib.resources import files
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from signet.datasets import open_dataset
from signet.errors import BadDataset, BadRequest
from signet.finetuning import RunSettings, finetune, presets
from signet.finetuning.presets import applied, counted, epochs_of
from signet.recipes import Recipe

NAMES = ("few-shot", "bit-hyperrule")


@pytest.fixture
def pictures(tmp_path):
    def make(count, side):
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            for place in range(count):
                PillowImage.new("RGB", (side, side), (place, 0, 0)).save(tmp_path / name / f"{place}.png")
        return open_dataset(tmp_path)

    return make


@pytest.mark.parametrize("name", NAMES)
def test_every_packaged_preset_is_a_recipe(name):
    stated = tomllib.loads(files("signet.finetuning.presets").joinpath(f"{name}.toml").read_text("utf-8"))
    Recipe.from_dict(stated["settings"])
    for rule in (*stated.get("images", ()), *stated.get("area", ())):
        Recipe.from_dict(rule.get("settings", {}))


def bit(card):
    return dataclasses.replace(card, architecture="resnetv2_50x1_bit")


def test_the_hyperrule_is_that_of_the_paper(pictures, floor3):
    given = Recipe(preset="bit-hyperrule")
    recipe, why = applied(given, pictures(20, 32), bit(floor3.card()))
    assert (recipe.optimizer, recipe.momentum, recipe.weight_decay) == ("sgd", 0.9, 0.0)
    assert recipe.head_rate == recipe.backbone_rate == 0.003
    assert (recipe.schedule, recipe.step_at, recipe.step_factor) == ("step", (0.3, 0.6, 0.9), 0.1)
    assert recipe.input_size == 128
    assert not any("is none" in line for line in why)
    recipe, why, steps = counted(given, recipe, 40)
    assert recipe.mixup is None
    assert (recipe.batch, recipe.epochs, steps) == (40, None, 500)
    assert why[-1] == "preset bit-hyperrule: 500 steps, since 40 images are learned from"


def test_larger_pictures_and_larger_sets_get_more(pictures, floor3, monkeypatch):
    monkeypatch.setattr(presets, "_typical_area", lambda _: 640 * 480)
    given = Recipe(preset="bit-hyperrule")
    recipe, why = applied(given, pictures(1, 8), floor3.card())
    assert recipe.input_size == 384
    assert any("is none" in line for line in why)
    for images, steps, mixup in ((19_999, 500, None), (20_000, 10_000, 0.1), (500_000, 20_000, 0.1)):
        found = counted(given, recipe, images)
        assert (found.steps, found.recipe.mixup, found.recipe.batch) == (steps, mixup, 512)


def test_what_a_person_sets_wins(pictures, floor3):
    given = Recipe(preset="bit-hyperrule", head_rate=0.01, epochs=7, mixup=0.0, batch=8)
    recipe, why = applied(given, pictures(3, 32), floor3.card())
    assert (recipe.head_rate, recipe.backbone_rate, recipe.epochs) == (0.01, 0.003, 7)
    assert any("the recipe's own head_rate, batch in place" in line for line in why)
    recipe, why, steps = counted(given, recipe, 30_000)
    assert (recipe.batch, recipe.epochs, recipe.mixup, steps) == (8, 7, 0.0, None)
    assert why[-1].startswith("the recipe's own epochs in place of the 10,000 steps")


def test_a_probe_has_no_steps(pictures, floor3):
    given = Recipe(preset="bit-hyperrule", strategy="probe")
    recipe, _ = applied(given, pictures(3, 32), floor3.card())
    assert counted(given, recipe, 6) == (recipe, (), None)


@given(steps=st.integers(1, 5000), images=st.integers(1, 5000), batch=st.integers(1, 600))
def test_no_other_number_of_epochs_comes_nearer_to_the_steps(steps, images, batch):
    each = -(-images // batch)
    found = epochs_of(steps, images, batch)
    assert all(
        abs(found * each - steps) <= abs(other * each - steps) for other in (found + 1, found - 1, 1) if other
    )


class Seen(Exception):
    """Ends a run when its plan is known."""


@pytest.mark.skipif(not find_spec("torch"), reason="torch is not installed")
@pytest.mark.parametrize(
    ("changes", "each"),
    [({}, 1), ({"batch": 8}, 6), ({"batch": 8, "accumulate": 2}, 3), ({"batch": 8, "kfold": 3}, 4)],
)
def test_the_steps_are_those_of_what_is_learned_from(unsplit, tmp_path, changes, each):
    """60 images without splits: 12 are the test, 6 decide, 42 are learned from; of 3 folds 2 make 32."""
    pytest.importorskip("onnx")
    recipe = Recipe(preset="bit-hyperrule", input_size=32, golden="made", threads=1, **changes)
    plans = []

    def seen(plan):
        plans.append(plan)
        raise Seen

    run = RunSettings(on_plan=seen, audit=False)
    with pytest.raises(Seen):
        finetune("starter", open_dataset(unsplit), out=tmp_path / "x.signet", recipe=recipe, run=run)
    (plan,) = plans
    learned = plan.images["training"] if "kfold" not in changes else plan.images["training"] * 2 // 3
    assert -(-learned // (plan.batch * recipe.accumulate)) == each
    assert plan.images["training"] < 60
    assert plan.epochs == round(500 / each)
    assert any(f"500 steps, since {learned} images" in line for line in plan.why)


def test_few_shots_are_few(pictures, floor3):
    data = pictures(21, 8)
    with pytest.raises(BadDataset, match="at most 20 images of a class, got 21 of 'a'"):
        applied(Recipe(preset="few-shot"), data, floor3.card())
    few = data.subset(range(5))
    recipe, why = applied(Recipe(preset="few-shot"), few, floor3.card())
    assert recipe.strategy == "probe"
    assert why == ("preset few-shot: strategy = probe",)


def test_without_a_preset_nothing_changes(pictures, floor3):
    recipe = Recipe(epochs=3)
    assert applied(recipe, pictures(2, 8), floor3.card()) == (recipe, ())


def test_the_plan_says_it(make_shapes, tmp_path):
    pytest.importorskip("onnx")
    data = open_dataset(make_shapes(tmp_path / "data", {"train": 2, "test": 2}))
    recipe = Recipe(preset="few-shot", golden="made", threads=1)
    done = finetune("starter", data, out=tmp_path / "x.signet", recipe=recipe)
    assert done.plan.strategy == "probe"
    assert done.plan.why[0] == "preset few-shot: strategy = probe"
    assert done.seal.manifest.training["recipe"]["preset"] == "few-shot"


def test_a_name_nearby_is_refused():
    with pytest.raises(BadRequest, match="one of 'few-shot', 'bit-hyperrule'"):
        Recipe(preset="few_shot")
