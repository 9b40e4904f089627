"""Recipes: to TOML and back, and no setting that nobody knows."""

from __future__ import annotations

import dataclasses

import pytest

from signet.errors import BadCard, BadRequest, UnknownName
from signet.recipes import Recipe, read_recipe, settings_in

pytest.importorskip("tomli_w")

OTHERS = {
    "strategy": "full",
    "epochs": 7,
    "batch": 64,
    "head_rate": 0.01,
    "backbone_rate": 2e-4,
    "accumulate": 2,
    "stage_rates": {"stages.0": 1e-5},
    "layer_decay": 0.7,
    "allow_rate": True,
    "optimizer": "adam",
    "weight_decay": 0.1,
    "schedule": "step",
    "step_at": (0.3, 0.6),
    "step_factor": 0.5,
    "workers": 2,
    "training_precision": "auto",
    "checkpoint_activations": True,
    "warmup": 0.2,
    "label_smoothing": 0.0,
    "augmentation": "medium",
    "mosaic": 0.25,
    "ema": 0.99,
    "class_weights": "inverse",
    "sampling": "balanced",
    "loss": "focal",
    "focusing": 3.0,
    "randaugment": 9.0,
    "erasing": 0.2,
    "mixup": 0.3,
    "cutmix": 0.5,
    "progressive": (64, 96),
    "teacher": "mine.signet",
    "teacher_views": "each",
    "teacher_temperature": 3.0,
    "teacher_weight": 0.7,
    "patience": 3,
    "gradient_clip": 0.5,
    "frozen_stages": 2,
    "batchnorm": "re-estimated",
    "batchnorm_stages": {"stages.3": "batch"},
    "averaging": "ema",
    "swa_start": 0.5,
    "swa_rate": 0.25,
    "soup_epochs": 3,
    "overfitting": "step-back",
    "random_baseline": True,
    "target": "night/",
    "adaptation": "adabn",
    "input_size": 96,
    "seed": 11,
    "budget_seconds": 60.0,
    "validation_fraction": 0.3,
    "test_fraction": 0.1,
    "folds": 3,
    "strengths": (1.0, 0.1),
    "golden": "made",
    "threads": 2,
    "checkpoint_seconds": 5.0,
    "engine": "onnx",
    "precision": "bf16",
    "device": "cuda",
}


NEEDED = {
    "focusing": {"loss": "focal"},
    **{f"teacher_{name}": {"teacher": "mine.signet"} for name in ("views", "temperature", "weight")},
    "step_at": {"schedule": "step"},
    "step_factor": {"schedule": "step"},
    "adaptation": {"target": "night/"},
}
"""What some settings make no sense without."""


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(**OTHERS)])
def test_toml_and_back_is_the_same_recipe(recipe):
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    assert Recipe.from_dict(recipe.to_dict()) == recipe


@pytest.mark.parametrize("name", list(OTHERS))
def test_each_setting_is_kept(name):
    recipe = Recipe(**{**NEEDED.get(name, {}), name: OTHERS[name]})
    assert getattr(Recipe.from_toml(recipe.to_toml()), name) == OTHERS[name]
    assert recipe != Recipe()


def test_toml_says_what_is_not_given():
    assert "# epochs is not given" in Recipe().to_toml()
    assert "# epochs" not in Recipe(epochs=3).to_toml()


def test_every_setting_is_described():
    for spec in dataclasses.fields(Recipe):
        assert f"\n    {spec.name}: " in Recipe.__doc__ or f"\n        {spec.name}: " in Recipe.__doc__


def test_an_unknown_setting_has_near_misses():
    with pytest.raises(UnknownName, match="Did you mean 'epochs'") as caught:
        Recipe.from_toml("epoch = 3")
    assert isinstance(caught.value, BadRequest)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("epochs", 0, "a whole number from 1 to 10000; got 0"),
        ("epochs", True, "a whole number"),
        ("epochs", 2.5, "a whole number"),
        ("folds", None, "a whole number"),
        ("head_rate", -1e-3, "from 0 to 1"),
        ("head_rate", float("nan"), "a number"),
        ("head_rate", "fast", "a number"),
        ("strategy", "ful", "one of 'auto', 'probe'"),
        ("freeze_batchnorm", 1, "true or false"),
        ("batchnorm", "live", "one of 'frozen', 'batch', 're-estimated', 'adapt'"),
        ("batchnorm_stages", {"stem": "live"}, "one of 'frozen', 'batch'"),
        ("batchnorm_stages", ["stem"], "a table"),
        ("averaging", "mean", "one of 'none', 'ema', 'swa', 'soup'"),
        ("swa_start", 1.0, "from 0.01 to 0.99"),
        ("soup_epochs", 1, "from 2 to 100"),
        ("overfitting", "back", "one of 'off', 'stop', 'step-back'"),
        ("strengths", [], "a list of numbers"),
        ("strengths", [0.1, -1], "from 1e-12"),
        ("engine", 3, "text"),
        ("input_size", 8, "from 16 to 2048"),
    ],
)
def test_a_value_out_of_range_says_what_was_expected(name, value, words):
    with pytest.raises(BadRequest, match=words) as caught:
        Recipe.from_dict({name: value})
    assert name in str(caught.value)


def test_whole_numbers_are_taken_for_fractions():
    assert Recipe(head_rate=1).head_rate == 1.0
    assert isinstance(Recipe(head_rate=1).head_rate, float)


def test_a_changed_recipe_is_a_new_one():
    first = Recipe()
    assert first.changed(epochs=5).epochs == 5
    assert first.epochs is None
    with pytest.raises(UnknownName):
        first.changed(epoch=5)


def test_a_file_with_settings_beside_it(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('strategy = "partial"\nepochs = 9\n')
    assert read_recipe(path, {"epochs": 2}) == Recipe(strategy="partial", epochs=2)
    assert read_recipe(None) == Recipe()
    assert read_recipe(None, {"seed": 3}).seed == 3


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"strategy = ", BadCard, "expected a recipe in TOML"),
        (b"\xff\xfe", BadCard, "expected a recipe in TOML"),
        (b"epochs = -1", BadRequest, r"mine\.toml: recipe: epochs"),
        (b"speed = 1", BadRequest, r"mine\.toml: No setting"),
        (b"#" * (1 << 21), BadCard, "at most"),
    ],
)
def test_a_bad_file_is_named(tmp_path, content, error, words):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(error, match=words):
        read_recipe(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadCard, match=r"gone\.toml"):
        read_recipe(tmp_path / "gone.toml")


def test_settings_as_a_person_writes_them():
    words = ["epochs=3", "head_rate = 1e-2", "strategy=full", "flip=false", "strengths=[1, 0.1]"]
    values = settings_in(words)
    assert values == {
        "epochs": 3,
        "head_rate": 0.01,
        "strategy": "full",
        "flip": False,
        "strengths": [1, 0.1],
    }
    assert Recipe.from_dict(values).strengths == (1.0, 0.1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["epochs"], "expected NAME=VALUE, as in --set epochs=3"),
        (["epoch=3"], "Did you mean 'epochs'"),
        (["epochs=3", "epochs=4"], "got it twice"),
    ],
)
def test_settings_that_are_none_are_refused(words, message):
    with pytest.raises(BadRequest, match=message):
        settings_in(words)


def test_the_earlier_name_of_the_batchnorm_policy_is_read():
    assert Recipe.from_dict({"freeze_batchnorm": False}) == Recipe(batchnorm="batch")
    assert Recipe.from_toml("freeze_batchnorm = true") == Recipe()
    with pytest.raises(BadRequest, match=r"freeze_batchnorm .True. is called batchnorm now.*one of the two"):
        Recipe.from_dict({"freeze_batchnorm": True, "batchnorm": "batch"})


def test_the_other_words_of_the_optimizer_are_kept():
    recipe = Recipe(optimizer="sgd", momentum=0.8, nesterov=True, batch="auto", freeze=("stem",))
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    assert 'batch = "auto"' in recipe.to_toml()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"nesterov": True}, r"nesterov looks ahead .* got the optimizer 'adamw'"),
        ({"optimizer": "sgd", "momentum": 0, "nesterov": True}, r"with a momentum of 0\. Use"),
        ({"momentum": 0.5}, r"momentum 0\.5: expected the optimizer 'sgd' or 'rmsprop', got 'adamw'"),
        ({"step_factor": 0.5}, r"expected the schedule 'step', got 'cosine'"),
        ({"schedule": "step", "step_at": [0.9, 0.1]}, r"step_at: expected shares that rise"),
        ({"schedule": "one-cycle", "warmup": 0.2}, r"warmup: .* got 'one-cycle'"),
        ({"freeze": ["stem"], "frozen_stages": 2}, r"freeze names .* frozen_stages \(2\) counts them"),
        ({"freeze": ["stem"], "strategy": "head"}, r"got 'head', which leaves all of them as they are"),
        ({"freeze": ["stem"], "strategy": "scratch"}, r"got 'scratch', which begins all of them at random"),
        ({"freeze": ["stem"], "stage_rates": {"stem": 1e-5}}, r"stem: .* to be frozen or to have a rate"),
        (
            {"frozen_stages": 1, "strategy": "head"},
            r"recipe: frozen_stages: expected a strategy that trains st",
        ),
        ({"layer_decay": 0.5, "strategy": "head"}, r"recipe: layer_decay: .*, got 'head', which leaves all"),
        ({"stage_rates": {"stem": 1e-5}, "strategy": "head"}, r"recipe: stage_rates: .*, got 'head'"),
        ({"batchnorm": "adapt", "strategy": "head"}, r"recipe: batchnorm: .*, got 'head'"),
        ({"focusing": 1}, r"focusing 1: expected the loss 'focal', .* got none named"),
        ({"focusing": 1, "loss": "bce"}, r"focusing 1: expected the loss 'focal', .* got 'bce'"),
        ({"teacher_weight": 0.1}, r"recipe: teacher_weight: expected a teacher, got none"),
        (
            {"teacher_views": "each", "teacher_temperature": 4},
            r"teacher_views, teacher_temperature: expected",
        ),
        ({"batch": "automatic"}, r"batch is a whole number .* It may also be 'auto'"),
        ({"stage_rates": {"stem": 0}}, r"stage_rates is a number from 1e-12 to 1; got 0"),
        ({"optimizer": "adamv"}, r"optimizer is one of 'adamw', 'sgd'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values, words):
    with pytest.raises(BadRequest, match=words):
        Recipe.from_dict(values)
