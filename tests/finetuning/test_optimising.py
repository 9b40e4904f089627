"""What a recipe asks of the optimizer reaches it; what it leaves open is tried."""

from __future__ import annotations

import dataclasses

import pytest

from signet.datasets import open_dataset
from signet.errors import CheckFailed, UnknownName
from signet.finetuning import finetune, optimising, scoring
from signet.finetuning.adaptations import frozen_stages as frozen_of_body
from signet.finetuning.optimising import STEPPED_WITH, ignored, optimisation_of, reasons, tried
from signet.finetuning.plans import Plan
from signet.finetuning.refusals import refuse_unfit
from signet.finetuning.trained import frozen_stages, settings_of
from signet.recipes import Recipe

pytest.importorskip("torch")
from torch import nn

from signet import training
from signet.errors import BadRequest
from signet.models import resolve
from signet.training import Optimisation, TrainSettings

OTHERS = Recipe(
    optimizer="sgd",
    momentum=0.8,
    nesterov=True,
    weight_decay=0.1,
    schedule="step",
    warmup=0.2,
    step_at=(0.4,),
    step_factor=0.3,
    gradient_clip=2.0,
    layer_decay=0.7,
    stage_rates={"stem": 1e-5},
    accumulate=3,
    checkpoint_activations=True,
)


def plan(**fields):
    values = {"model": "m", "dataset": "d", "labels": 2, "strategy": "full", "images": {"training": 400}}
    values |= {"trained": "", "frozen": "", "why": (), "probe_size": None, "epochs": 1}
    return Plan(**{**values, **fields})


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def test_every_setting_reaches_the_optimizer():
    made, blank = optimisation_of(OTHERS), Optimisation()
    for field in dataclasses.fields(Optimisation):
        assert getattr(made, field.name) != getattr(blank, field.name), field.name
    assert optimisation_of(Recipe()) == blank
    assert optimisation_of(OTHERS, "backbone").stage_rates == (("backbone.stem", 1e-5),)


def test_the_rest_reaches_the_settings_of_the_run():
    recipe = Recipe(workers=3, batch=16)
    found = settings_of(plan(bf16=True), recipe, "head")
    assert (found.workers, found.batch, found.bf16) == (3, 16, True)
    assert settings_of(plan(batch=64), Recipe(batch="auto"), "head").batch == 64
    assert settings_of(plan(), Recipe(), "head").batch == 32


def test_the_plan_says_what_the_recipe_wants():
    assert reasons(Recipe()) == ()
    said = " ".join(reasons(OTHERS))
    for words in ("sgd with the schedule step", "0.7 of the rate", "stem at 1e-05", "3 batches", "twice"):
        assert words in said


@pytest.mark.parametrize(
    ("strategy", "changes", "words"),
    [
        (
            "head",
            {"backbone_rate": 1e-5, "freeze": ("stem",)},
            "backbone_rate, freeze of the recipe: no part of",
        ),
        ("lora", {"backbone_rate": 1e-5}, "whose adapters learn at the head's rate"),
        ("scratch", {"backbone_rate": 1e-5}, "in which everything learns at the head's rate"),
    ],
)
def test_the_plan_says_what_a_strategy_ignores(strategy, changes, words):
    (said,) = ignored(Recipe(**changes), strategy)
    assert words in said
    assert not ignored(Recipe(), strategy)
    assert not ignored(Recipe(**changes), "full")


def test_the_head_alone_leaves_every_stage_whatever_names_it():
    found = resolve("starter")
    every = frozen_stages(found, "head", Recipe())
    assert len(every) > 2
    assert frozen_stages(found, "head", Recipe(frozen_stages=1)) == every
    assert frozen_stages(found, "head", Recipe(freeze=every[:1])) == every


def test_a_probe_has_no_use_for_them(shapes):
    dataset = open_dataset(shapes)
    for name in STEPPED_WITH:
        value = "auto" if name == "training_precision" else getattr(OTHERS, name, None)
        value = {"allow_rate": True, "freeze": ["stem"], "workers": 2}.get(name, value)
        with pytest.raises(BadRequest):
            refuse_unfit(Recipe(**{"strategy": "probe", name: value}), dataset)


def test_stages_are_frozen_by_name_and_a_wrong_one_has_near_misses():
    found = resolve("starter")
    assert frozen_stages(found, "full", Recipe()) == ()
    some = frozen_stages(found, "partial", Recipe())
    assert frozen_stages(found, "partial", Recipe(freeze=some[:1])) == some[:1]
    with pytest.raises(UnknownName, match=f"Did you mean '{some[0]}'"):
        frozen_stages(found, "partial", Recipe(freeze=(f"{some[0]}x",)))


def test_names_are_those_inside_the_backbone_where_there_is_one():
    module = nn.Module()
    module.body = nn.Sequential()
    for name, layer in (
        ("stem", nn.Conv2d(3, 4, 1)),
        ("norm", nn.BatchNorm2d(4)),
        ("last", nn.Conv2d(4, 4, 1)),
    ):
        module.body.add_module(name, layer)
    assert frozen_of_body(module, "body", Recipe(freeze=("stem",))) == ("body.stem", "body.norm")
    with pytest.raises(UnknownName, match="Did you mean 'stem'"):
        frozen_of_body(module, "body", Recipe(freeze=("sten",)))


@pytest.fixture
def pace(monkeypatch):
    """Images a second as a test states them, by batch and precision; None has no memory."""
    table: dict = {}

    def images_per_second(module, settings, size, example=None):
        return table[settings.batch, settings.bf16]

    def paces(module, settings, size, batches, *, seconds, example=None):
        found = {}
        for batch in batches:
            if table.get((batch, settings.bf16)) is None:
                break
            found[batch] = table[batch, settings.bf16]
        if not found:
            raise CheckFailed("memory ran out")
        return found

    monkeypatch.setattr(training, "images_per_second", images_per_second)
    monkeypatch.setattr(training, "paces", paces)
    return table


def settings(**fields):
    return TrainSettings(classifier="3", **{"batch": 32, **fields})


def test_the_smallest_batch_that_is_nearly_the_quickest_is_taken(pace):
    pace |= {(8, False): 50.0, (16, False): 95.0, (32, False): 100.0, (64, False): 99.0}
    found = tried(network(), settings(), (8, 8), Recipe(batch="auto"), images=10_000)
    assert (found.batch, found.seconds_per_image) == (16, 1 / 95)
    assert "batches of 16, by images a second here: 50 with 8, 95 with 16, 100 with 32" in found.why[0]
    few = tried(network(), settings(), (8, 8), Recipe(batch="auto"), images=100)
    assert few.batch == 8  # an epoch keeps ten steps


def test_the_quicker_precision_is_taken_and_said(pace):
    pace |= {(32, False): 50.0, (32, True): 80.0}
    found = tried(network(), settings(), (8, 8), Recipe(training_precision="auto"), images=1000)
    assert (found.bf16, found.batch, found.seconds_per_image) == (True, 32, 1 / 80)
    assert "bf16, the quicker one here (50 images a second in fp32, 80 in bf16)" in found.why
    pace[32, True] = 40.0
    assert not tried(network(), settings(), (8, 8), Recipe(training_precision="auto"), images=1000).bf16
    assert tried(network(), settings(), (8, 8), Recipe(training_precision="bf16"), images=1000).bf16
    assert not tried(network(), settings(), (8, 8), Recipe(), images=1000).bf16


def test_a_batch_that_memory_has_no_room_for_is_planned_with_less(pace):
    pace |= {(8, False): 20.0}
    found = tried(network(), settings(), (8, 8), Recipe(), images=1000)
    # Training halves what goes through at once by itself: the batch of a step stays.
    assert (found.batch, found.seconds_per_image) == (32, 1 / 20)
    pace.clear()
    with pytest.raises(CheckFailed, match="memory ran out"):
        tried(network(), settings(), (8, 8), Recipe(), images=1000)


def test_a_real_trial_finds_a_batch():
    found = tried(network(), settings(), (8, 8), Recipe(batch="auto", training_precision="auto"), images=400)
    assert found.batch in optimising.BATCHES
    assert found.batch * optimising.LEAST_STEPS <= 400
    assert 0 < found.seconds_per_image < 1


@pytest.mark.slow
def test_what_the_recipe_asks_of_the_optimizer_is_planned_done_and_recorded(shapes, tmp_path, monkeypatch):
    from safetensors.numpy import load_file

    from signet.training import loop

    monkeypatch.setattr(scoring.Judged, "beats", lambda *_: True)
    monkeypatch.setattr(loop, "is_better", lambda *_: True)  # the last epoch is kept, whatever came of it
    recipe = Recipe(
        strategy="full",
        input_size=64,
        golden="made",
        threads=1,
        backbone_rate=1e-3,
        optimizer="sgd",
        momentum=0.8,
        accumulate=2,
        batch=8,
        layer_decay=0.5,
        epochs=1,
        freeze=["backbone.stem"],
    )
    wrong = recipe.changed(freeze=["backbone.sten"])
    with pytest.raises(UnknownName, match=r"Did you mean 'backbone\.stem'"):
        finetune("starter", open_dataset(shapes), out=tmp_path / "x.signet", recipe=wrong)
    done = finetune("starter", open_dataset(shapes), out=tmp_path / "x.signet", recipe=recipe)
    assert done.plan.stages == ("backbone.stem",)
    assert done.plan.batch == 8
    assert "sgd with the schedule cosine, since the recipe says so" in done.plan.why
    after = load_file(done.seal.path / "weights.safetensors")
    state = resolve("starter").module.build().state_dict()
    before = {f"backbone.{name}": value.numpy() for name, value in state.items()}
    assert before.keys() < after.keys()
    moved = {name.split(".")[1] for name in before if (after[name] != before[name]).any()}
    assert "stem" not in moved
    assert {"stage1", "stage2", "stage3"} <= moved
    assert done.seal.manifest.training["recipe"]["stage_rates"] == {}


def test_a_rate_that_destroys_is_refused_unless_it_is_insisted_on(pace):
    pace[32, False] = 10.0
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    high = settings(backbone_rate=0.05)
    with pytest.raises(BadRequest, match=r"backbone_rate 0\.05.*allow_rate = true"):
        tried(module, high, (8, 8), Recipe(backbone_rate=0.05), images=100)
    assert tried(module, high, (8, 8), Recipe(allow_rate=True), images=100).batch == 32
    # From random weights there is nothing to destroy.
    assert tried(module, high, (8, 8), Recipe(strategy="scratch"), images=100).batch == 32
