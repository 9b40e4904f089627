"""Who learns, by which of torch's optimizers, and how fast."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
import torch

from signet.errors import BadRequest, UnknownName
from signet.progress import Progress
from signet.training import Optimisation, TrainSettings, train
from signet.training.optimisation import OptimizerName
from signet.training.optimizers import frozen_in, optimizer_of, rates_of
from signet.training.schedule import set_rates
from signet.training.stages import stages_of


class Stop(Exception):
    """What the tests interrupt a run with."""


def test_norms_and_biases_have_no_decay_and_the_head_its_own_rate(tiny: ModuleType) -> None:
    module = tiny.network()
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    optimizer = optimizer_of(module, tiny.settings(optimisation=Optimisation(weight_decay=0.3)))
    set_rates(optimizer, 0, 1, Optimisation(schedule="step", step_at=(0.0,), step_factor=0.5, warmup=0))
    seen = {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert seen["stem.0.weight"] == (0.005, 0.3)
    assert seen["stem.1.weight"] == seen["stem.1.bias"] == (0.005, 0.0)
    assert seen["head.weight"] == (0.015, 0.3)
    assert seen["head.bias"] == (0.015, 0.0)
    assert len(seen) == len(names)


def test_what_a_network_excepts_from_decay_has_none() -> None:
    timm = pytest.importorskip("timm")
    module = timm.create_model("vit_tiny_patch16_224", pretrained=False, depth=1, num_classes=3)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    from signet.training import TrainSettings

    optimizer = optimizer_of(module, TrainSettings(classifier="head"))
    decay = {
        names[id(parameter)]: group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert decay["pos_embed"] == decay["cls_token"] == 0
    assert decay["blocks.0.attn.qkv.weight"] > 0


THEIRS = {
    "adamw": "AdamW",
    "sgd": "SGD",
    "adam": "Adam",
    "radam": "RAdam",
    "nadam": "NAdam",
    "rmsprop": "RMSprop",
    "adagrad": "Adagrad",
}


@pytest.mark.parametrize("name", get_args(OptimizerName))
def test_each_optimizer_is_torchs_and_is_resumed_to_the_bit(
    name: Any, tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    def run(place: str, *, resume: bool = False) -> Any:
        return train(tiny.network(), data, how, folder=tmp_path / place, resume=resume, on_progress=told)

    def told(moment: Progress) -> None:
        if moment.done in stop_at:
            raise Stop

    stop_at: list[int] = []
    data = tiny.data_in(images)
    how = tiny.settings(epochs=2, optimisation=Optimisation(optimizer=name), head_rate=1e-2)
    assert type(optimizer_of(tiny.network(), how)).__name__ == THEIRS[name]
    straight = run("straight")
    assert straight.history[-1]["train_loss"] != straight.history[1]["train_loss"]
    stop_at.append(9)
    with pytest.raises(Stop):
        run("stopped")
    stop_at.clear()
    assert tiny.same(straight, run("stopped", resume=True))


def test_every_optimizer_comes_to_weights_of_its_own(tiny: ModuleType, images: Path, tmp_path: Path) -> None:
    ways = [Optimisation(optimizer=name) for name in get_args(OptimizerName)]
    ways += [Optimisation(optimizer="sgd", momentum=0.0), Optimisation(optimizer="sgd", nesterov=True)]
    losses = set()
    for place, way in enumerate(ways):
        how = tiny.settings(epochs=1, optimisation=way, head_rate=1e-2, checkpoint_seconds=60)
        done = train(tiny.network(), tiny.data_in(images), how, folder=tmp_path / str(place), resume=False)
        losses.add(done.history[-1]["validation_loss"])
    assert len(losses) == len(ways)


def test_earlier_stages_learn_slower_and_named_ones_at_their_own_rate(tiny: ModuleType) -> None:
    module = tiny.network()
    how = tiny.settings(optimisation=Optimisation(layer_decay=0.5))
    rates = rates_of(module, how)
    assert rates["head.weight"] == how.head_rate
    assert rates["body.0.weight"] == rates["body.1.bias"] == how.backbone_rate
    assert rates["stem.0.weight"] == rates["stem.1.bias"] == how.backbone_rate / 2
    own = Optimisation(layer_decay=0.5, stage_rates=(("stem.1", 0.03), ("stem", 0.02), ("head", 0.04)))
    rates = rates_of(module, tiny.settings(optimisation=own))
    assert rates["stem.0.weight"] == 0.02
    assert rates["stem.1.weight"] == 0.03
    assert rates["head.bias"] == 0.04
    assert rates["body.0.weight"] == how.backbone_rate
    with pytest.raises(UnknownName, match="Did you mean 'stem'"):
        rates_of(module, tiny.settings(optimisation=Optimisation(stage_rates=(("sten", 0.1),))))


def test_the_decay_by_layers_goes_over_every_stage_of_a_transformer() -> None:
    timm = pytest.importorskip("timm")
    module = timm.create_model("vit_tiny_patch16_224", pretrained=False, depth=3, num_classes=3)
    settings = TrainSettings(classifier="head", optimisation=Optimisation(layer_decay=0.75))
    rates = rates_of(module, settings)
    assert rates.keys() == {name for name, _ in module.named_parameters()}
    depth = [rates[f"blocks.{place}.attn.qkv.weight"] for place in range(3)]
    assert depth == pytest.approx([1e-4 * 0.75**2, 1e-4 * 0.75, 1e-4])
    assert rates["patch_embed.proj.weight"] == rates["pos_embed"] == min(rates.values())
    assert len(set(rates.values())) == len(stages_of(module, "head"))


def test_stages_thaw_at_their_epoch_and_not_a_bit_before(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    module = tiny.network()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    moved: dict[int, set[str]] = {}

    def told(moment: Progress) -> None:
        state = module.state_dict()
        changed = {name.split(".")[0] for name in state if not torch.equal(state[name], before[name])}
        moved.setdefault(-(-moment.done // 6), set()).update(changed)

    how = tiny.settings(thaw=(("body", 2), ("stem", 4)))
    train(module, tiny.data_in(images), how, folder=tmp_path, resume=False, on_progress=told)
    assert moved[1] == {"head"}
    assert moved[2] == moved[3] == {"head", "body"}
    assert moved[4] == {"head", "body", "stem"}


@pytest.mark.parametrize(("augmentation", "step"), [("none", 4), ("none", 10), ("light", 15)])
def test_a_run_that_thaws_is_resumed_to_the_bit(
    tiny: ModuleType, images: Path, tmp_path: Path, augmentation: str, step: int
) -> None:
    def told(moment: Progress) -> None:
        if moment.done == stop_at:
            raise Stop

    stop_at = 0
    data = tiny.data_in(images)
    how = tiny.settings(epochs=3, thaw=(("body", 2), ("stem", 3)), augmentation=augmentation, ema=0.9)
    straight = train(tiny.network(), data, how, folder=tmp_path / "a", resume=False)
    stop_at = step
    with pytest.raises(Stop):
        train(tiny.network(), data, how, folder=tmp_path / "b", resume=False, on_progress=told)
    assert tiny.same(straight, train(tiny.network(), data, how, folder=tmp_path / "b", resume=True))


def test_what_thaws_is_a_stage_that_may_learn(tiny: ModuleType) -> None:
    module = tiny.network()
    assert frozen_in(module, tiny.settings(thaw=(("stem", 3),)), 2) == {
        name for name, _ in module.named_parameters() if name.startswith("stem")
    }
    assert frozen_in(module, tiny.settings(thaw=(("stem", 3),)), 3) == set()
    with pytest.raises(UnknownName, match="Did you mean 'stem'"):
        frozen_in(module, tiny.settings(thaw=(("sten", 3),)), 1)
    with pytest.raises(BadRequest, match="thaw: stem: expected a whole number of at least 1, got 0"):
        tiny.settings(thaw=(("stem", 0),))
    with pytest.raises(BadRequest, match="'stem', which `frozen` keeps as it is"):
        tiny.settings(thaw=(("stem", 2),), frozen=("stem",))
    with pytest.raises(BadRequest, match="expected a backbone_rate above 0"):
        tiny.settings(thaw=(("stem", 2),), backbone_rate=0)


def test_where_nothing_learns_is_refused(tiny: ModuleType) -> None:
    module = tiny.network()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(BadRequest, match="expected parameters that learn, got none"):
        optimizer_of(module, tiny.settings())
