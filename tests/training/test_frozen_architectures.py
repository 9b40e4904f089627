"""Frozen stages do not move by a bit, in networks of many families and of four libraries.

Each network is really trained, by the loop that `finetune` uses, with every BatchNorm that is not frozen on
batch statistics. What must not move is told here from names alone, and not by the code under test: all that
lies in a frozen stage, and the statistics beside every frozen parameter. All else must have moved, so that a
network that is frozen too far, or does not learn, fails as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from torch import Tensor, nn

from signet.errors import CheckFailed
from signet.programs import Program
from signet.steps import Layout, Range, Read, Resize
from signet.training import TrainingData, TrainSettings, all_but_last, stages_of, train
from signet.training.moments import state_of
from signet.training.optimisation import Optimisation
from signet.training.stages import Stage, frozen_parameters

SIDE, CLASSES, IMAGES = 64, 3, 8
PROGRAM = Program(
    (Read(), Resize(size=(SIDE, SIDE), fit="stretch"), Range(scale=1 / 127.5, offset=-1), Layout())
)
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
SMALL = {"layers": (1, 1, 1, 1), "channels": (128, 128, 128, 256)}

Made = tuple[nn.Module, Any]


def of_timm(name: str, **arguments: Any) -> Made:
    timm = pytest.importorskip("timm")
    module = timm.create_model(name, pretrained=False, num_classes=CLASSES, **arguments)
    classifier = module.pretrained_cfg["classifier"]
    return module, classifier if isinstance(classifier, str) else tuple(classifier)


def of_torchvision(name: str, **arguments: Any) -> Made:
    torchvision = pytest.importorskip("torchvision")
    module = torchvision.models.get_model(name, weights=None, num_classes=CLASSES, **arguments)
    return module, last_layer(module)


def of_keras(name: str, **arguments: Any) -> Made:
    if find_spec("keras") is None:
        pytest.skip("keras is not installed")
    from signet.networks import ModuleSpec
    from signet.zoos import from_keras

    spec = ModuleSpec(
        zoo="keras",
        architecture=name,
        arguments={"input_shape": (SIDE, SIDE, 3), **arguments},
        classes=CLASSES,
        classifier=from_keras.head_of(name),
    )
    return from_keras.build(spec, None), from_keras.head_of(name)


def of_signet(name: str) -> Made:
    from signet.architectures import building

    module = building.build(name, CLASSES)
    return module, last_layer(module)


def last_layer(module: nn.Module) -> str:
    return [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear)][-1]


CLASSIFIERS: dict[str, Callable[[], Made]] = {
    **{
        f"timm/{name}": partial(of_timm, name)
        for name in (
            "regnetx_002",
            "mobilenetv2_035",
            "mobilenetv3_small_050",
            "efficientnet_b0",
            "tf_efficientnetv2_b0",
            "densenet121",
            "dla46_c",
            "ghostnet_050",
            "mixnet_s",
            "lcnet_035",
            "ese_vovnet19b_dw",
            "rexnet_100",
            "fastvit_t8",
            "mobilevit_xxs",
            "convnext_atto",  # LayerNorm
            "edgenext_xx_small",  # LayerNorm and attention over channels
        )
    },
    "timm/resnetv2_50d_frn": partial(of_timm, "resnetv2_50d_frn", **SMALL),  # filter response normalisation
    "timm/resnetv2_50d_gn": partial(of_timm, "resnetv2_50d_gn", **SMALL),  # GroupNorm
    "timm/vit_tiny_patch16_224": partial(of_timm, "vit_tiny_patch16_224", img_size=SIDE, depth=4),
    "timm/levit_128s": partial(of_timm, "levit_128s", img_size=SIDE),  # BatchNorm in a transformer
    "torchvision/shufflenet_v2_x0_5": partial(of_torchvision, "shufflenet_v2_x0_5"),
    "torchvision/mnasnet0_5": partial(of_torchvision, "mnasnet0_5", dropout=0.0),
    "torchvision/regnet_y_400mf": partial(of_torchvision, "regnet_y_400mf"),
    "keras/mobilenet": partial(of_keras, "mobilenet", alpha=0.25),
    "keras/mobilenetv2": partial(of_keras, "mobilenetv2", alpha=0.35),
    "keras/efficientnetb0": partial(of_keras, "efficientnetb0"),
    "signet/yolov8n-cls": partial(of_signet, "yolov8n-cls"),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    folder, generator = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    paths = [folder / f"{place}.png" for place in range(IMAGES + 2)]
    for path in paths:
        PillowImage.fromarray(generator.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(path)
    targets = np.arange(len(paths)) % CLASSES
    return TrainingData(paths[:IMAGES], targets[:IMAGES], paths[IMAGES:], targets[IMAGES:], CLASSES, PROGRAM)


def last_state(module: nn.Module, data: Any, folder: Path, **settings: Any) -> dict[str, Tensor]:
    """The network after the last step of a run of two, whatever epoch was the best."""
    last: dict[str, Tensor] = {}

    def on_progress(_: object) -> None:
        last.update(state_of(module))

    fields = {"epochs": 1, "batch": 4, "head_rate": 1e-2, "backbone_rate": 1e-2, "batchnorm": "batch"}
    how = TrainSettings(**{**fields, **settings}, optimisation=Optimisation(warmup=0.0))
    train(module, data, how, folder=folder, resume=False, on_progress=on_progress)
    return last


def must_stay(module: nn.Module, stages: Sequence[Stage], frozen: Sequence[str]) -> set[str]:
    """Names of the state that lies in a frozen stage, or beside a parameter of one."""
    parameters = {name for stage in stages if stage.name in frozen for name in stage.parameters}
    owners = {name.rpartition(".")[0] for name in parameters}
    inside = tuple(f"{name}." for name in frozen)
    return {
        name
        for name in module.state_dict()
        if name in parameters
        or name.startswith(inside)
        or (name.rpartition(".")[0] in owners and name.endswith(STATISTICS))
    }


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_what_is_frozen_does_not_move_by_a_bit_and_all_else_does(
    name: str, data: TrainingData, tmp_path: Path
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module, classifier = CLASSIFIERS[name]()
    stages = stages_of(module, classifier)
    frozen = all_but_last(stages, max(2, len(stages) // 3))
    still = must_stay(module, stages, frozen)
    before = state_of(module)
    after = last_state(module, data, tmp_path, classifier=classifier, frozen=frozen)
    moved = {key for key, tensor in after.items() if not torch.equal(tensor, before[key])}
    assert frozen
    assert not moved & still
    assert before.keys() - still == moved


@pytest.mark.parametrize("name", ["yolov8n", "yolov9t", "yolov7-tiny"])
def test_so_it_is_with_our_own_detectors(name: str, module_at: Any, tmp_path: Path) -> None:
    from signet.architectures import building
    from signet.training.freezing import freeze, set_learning_mode

    scenes: ModuleType = module_at(
        "architecture_scenes", Path(__file__).parents[1] / "architectures/scenes.py"
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = building.build(name, CLASSES)
    stages = stages_of(module)
    frozen = all_but_last(stages, len(stages) // 2)
    still = must_stay(module, stages, frozen)
    parameters = frozen_parameters(module, "", frozen)
    before = state_of(module)
    freeze(module, parameters)
    set_learning_mode(module, parameters, "batch")
    optimizer = torch.optim.AdamW([one for one in module.parameters() if one.requires_grad], lr=1e-3)
    images, targets = scenes.pictures()
    for _ in range(2):
        loss = torch.stack(list(module.losses(images, targets).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    moved = {key for key, tensor in state_of(module).items() if not torch.equal(tensor, before[key])}
    assert not moved & still
    assert {key for key in before if key.endswith("running_mean")} - still <= moved
    assert any(key.endswith(".weight") for key in moved)


class Forgetful(nn.BatchNorm2d):
    """A BatchNorm that nobody can put into evaluation mode."""

    def train(self, mode: bool = True) -> Forgetful:
        del mode
        return super().train(True)


def test_a_forgotten_layer_is_caught_and_named(data: TrainingData, tmp_path: Path) -> None:
    module, classifier = of_timm("regnetx_002")
    planted = Forgetful(module.s1.b1.conv1.bn.num_features)
    module.s1.b1.conv1.bn = planted
    frozen = all_but_last(stages_of(module, classifier), 2)
    with pytest.raises(CheckFailed, match=r"is frozen to stay as it is.*s1\.b1\.conv1\.bn\.running_mean"):
        last_state(module, data, tmp_path, classifier=classifier, frozen=frozen)


def test_a_mode_that_is_set_for_all_is_caught(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from signet.training import phases

    monkeypatch.setattr(phases, "set_learning_mode", lambda module, *_: module.train())
    module, classifier = of_timm("mobilenetv2_035")
    frozen = all_but_last(stages_of(module, classifier), 2)
    with pytest.raises(CheckFailed, match="moved"):
        last_state(module, data, tmp_path, classifier=classifier, frozen=frozen)
