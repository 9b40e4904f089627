"""How far a run goes when there is little to learn from, or a network that takes one size only."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from importlib.util import find_spec

import pytest

from signet.datasets import open_dataset
from signet.errors import BadDataset, BadRequest
from signet.finetuning import finetune, planning
from signet.finetuning.strategies import Strategy, dealt, strategy_for
from signet.finetuning.trained import frozen_stages, takes_size
from signet.networks import ModuleSpec
from signet.progress import silent
from signet.recipes import Recipe

pytest.importorskip("imagehash")
needs_torch = pytest.mark.skipif(not find_spec("torch"), reason="torch is not installed")
PARTIAL = Strategy("partial", ("because",))


def test_two_images_a_class_leave_none_to_decide_by_so_a_probe_it_is(make_shapes, tmp_path):
    data = open_dataset(make_shapes(tmp_path, {"": 2}))
    parts, strategy = dealt(data, Recipe(), PARTIAL, silent)
    assert strategy.name == "probe"
    assert "no class has an image to spare" in strategy.why[0]
    assert parts.test is None
    assert len(parts.development) == 6


def test_training_that_was_asked_for_is_refused_before_anything_long(make_shapes, tmp_path):
    data = open_dataset(make_shapes(tmp_path, {"": 2}))
    with pytest.raises(BadDataset, match="--strategy probe"):
        dealt(data, Recipe(strategy="partial"), PARTIAL, silent)


@needs_torch
def test_two_images_a_class_are_learned_from_end_to_end(make_shapes, tmp_path):
    data = open_dataset(make_shapes(tmp_path / "data", {"": 2}))
    done = finetune("starter", data, out=tmp_path / "x.signet", recipe=Recipe(golden="made", threads=1))
    assert done.plan.strategy == done.chosen == "probe"
    assert "nested" in done.plan.measured_on
    assert done.report.count == 6


def stubborn(floor3, tmp_path):
    """The tiny network, which refuses all sizes but its own, as vision transformers do."""
    import torch

    class Stubborn(torch.nn.Sequential):
        def forward(self, images):
            assert images.shape[-2:] == floor3.SIZE, "Input height doesn't match model"
            return super().forward(images)

    def build():
        return Stubborn(OrderedDict(floor3.torch_module().named_children()))

    pretrained = floor3.module_model()
    source = dataclasses.replace(
        pretrained.networks[0],
        build=build,
        spec=ModuleSpec(zoo="timm", architecture="stubborn", classes=5, classifier="head"),
        weights=tmp_path / "weights.safetensors",
    )
    return dataclasses.replace(pretrained, networks=(source,))


@needs_torch
def test_a_network_of_one_size_is_trained_at_it(shapes, floor3, tmp_path, monkeypatch):
    found, data, recipe = (
        stubborn(floor3, tmp_path),
        open_dataset(shapes),
        Recipe(strategy="partial", golden="made", threads=1),
    )
    assert takes_size(found, floor3.SIZE)
    assert not takes_size(found, (96, 96))
    parts, strategy = dealt(data, recipe, strategy_for(found, data, recipe), silent)
    monkeypatch.setattr(planning, "size_for", lambda *_: (96, 96))  # as for small images and a large network
    plan = planning.make_plan(found, data, parts, recipe, strategy)
    assert plan.input_size == floor3.SIZE
    assert any("takes no other size" in why for why in plan.why)
    with pytest.raises(BadRequest, match="only of 16x12"):
        planning.make_plan(found, data, parts, recipe.changed(input_size=96), strategy)


@needs_torch
def test_a_network_of_few_stages_is_trained_whole(floor3, tmp_path):
    assert frozen_stages(stubborn(floor3, tmp_path), "partial", Recipe()) == ()
