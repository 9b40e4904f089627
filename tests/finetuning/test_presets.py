"""Presets: what they set, by size of the set and of its images; what a person sets wins."""

from __future__ import annotations

import dataclasses
import tomllib
from importlib.resources import files

import pytest
from PIL import Image as PillowImage

from signet.datasets import open_dataset
from signet.errors import BadDataset, BadRequest
from signet.finetuning import finetune
from signet.finetuning.presets import applied
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


def test_the_hyperrule_is_that_of_the_paper(pictures, floor3):
    data = pictures(20, 32)
    card = dataclasses.replace(floor3.card(), architecture="resnetv2_50x1_bit")
    recipe, why = applied(Recipe(preset="bit-hyperrule"), data, card)
    assert (recipe.optimizer, recipe.momentum, recipe.weight_decay) == ("sgd", 0.9, 0.0)
    assert recipe.head_rate == recipe.backbone_rate == 0.003
    assert (recipe.schedule, recipe.step_at, recipe.step_factor) == ("step", (0.3, 0.6, 0.9), 0.1)
    assert recipe.mixup is None
    assert recipe.input_size == 128
    # 500 steps: of 40 images one is an epoch.
    assert (recipe.batch, recipe.epochs) == (40, 500)
    assert any("500 steps, since there are 40 images" in line for line in why)
    assert not any("is none" in line for line in why)


def test_larger_pictures_and_larger_sets_get_more(pictures, floor3, monkeypatch):
    from signet.finetuning import presets

    monkeypatch.setattr(presets, "_typical_area", lambda _: 640 * 480)
    data = pictures(1, 8)
    grown = type(data)(
        **{
            **{field.name: getattr(data, field.name) for field in dataclasses.fields(data) if field.init},
            "entries": data.entries * 10_000,
        }
    )
    recipe, why = applied(Recipe(preset="bit-hyperrule"), grown, floor3.card())
    assert recipe.input_size == 384
    assert recipe.mixup == 0.1
    assert recipe.batch == 512
    assert recipe.epochs == round(10_000 * 512 / 20_000)
    assert any("and test/floor3 is none" in line or "is none" in line for line in why)


def test_what_a_person_sets_wins(pictures, floor3):
    recipe, why = applied(
        Recipe(preset="bit-hyperrule", head_rate=0.01, epochs=7), pictures(3, 32), floor3.card()
    )
    assert (recipe.head_rate, recipe.backbone_rate, recipe.epochs) == (0.01, 0.003, 7)
    assert any("the recipe's own head_rate, epochs in place" in line for line in why)


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
