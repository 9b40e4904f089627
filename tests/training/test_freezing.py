"""Frozen means frozen: the same bits before and after, whatever kind of BatchNorm it is."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from signet.training import set_head, train
from signet.training.freezing import freeze, set_learning_mode
from signet.training.moments import state_of
from signet.training.stages import frozen_parameters

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def moved(before: dict[str, Tensor], module: nn.Module) -> set[str]:
    return {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}


def last_state(
    module: nn.Module, tiny: ModuleType, images: Path, folder: Path, **changes: object
) -> set[str]:
    """Names of the tensors that a run has moved, at its last epoch and not its best."""
    before = state_of(module)
    seen: set[str] = set()

    def on_progress(_: object) -> None:
        seen.update(moved(before, module))

    settings = tiny.settings(epochs=2, checkpoint_seconds=60, **changes)
    train(module, tiny.data_in(images), settings, folder=folder, resume=False, on_progress=on_progress)
    return seen


@pytest.mark.parametrize("policy", ["frozen", "batch"])
def test_a_frozen_stage_does_not_move_by_a_bit(
    tiny: ModuleType, images: Path, tmp_path: Path, policy: str
) -> None:
    seen = last_state(tiny.network(), tiny, images, tmp_path, frozen=("stem",), batchnorm=policy)
    assert not {name for name in seen if name.startswith("stem.")}
    assert {"body.0.weight", "body.1.weight", "head.weight", "head.bias"} <= seen
    statistics = {f"body.1.{name}" for name in STATISTICS}
    assert seen & statistics == (statistics if policy == "batch" else set())


def test_no_batchnorm_moves_its_statistics_by_default(tiny: ModuleType, images: Path, tmp_path: Path) -> None:
    seen = last_state(tiny.network(), tiny, images, tmp_path, batchnorm="frozen")
    assert "stem.1.weight" in seen
    assert not {name for name in seen if name.endswith(STATISTICS)}


def test_a_backbone_rate_of_zero_freezes_all_but_the_head(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    seen = last_state(tiny.network(), tiny, images, tmp_path, backbone_rate=0.0, batchnorm="batch")
    assert seen == {"head.weight", "head.bias"}


def test_timms_own_batchnorm_is_held_too(tiny: ModuleType, images: Path, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    module = timm.create_model("mobilenetv2_035", pretrained=False, num_classes=3).eval()
    assert any(type(layer).__name__ == "BatchNormAct2d" for layer in module.modules())
    weights = torch.zeros(3, module.num_features).numpy()
    set_head(module, "classifier", weights, weights[:, 0])
    frozen = ("conv_stem", "blocks.0", "blocks.1")
    changes = {"classifier": "classifier", "frozen": frozen, "batchnorm": "batch", "augmentation": "none"}
    seen = last_state(module, tiny, images, tmp_path, **changes)
    assert "blocks.3.0.bn1.running_mean" in seen
    assert not {name for name in seen if name.startswith(("conv_stem", "bn1", "blocks.0", "blocks.1"))}


def test_every_kind_of_batchnorm_is_in_evaluation_mode() -> None:
    module = nn.Sequential(
        nn.BatchNorm1d(4), nn.BatchNorm2d(4), nn.BatchNorm3d(4), nn.SyncBatchNorm(4), nn.Linear(4, 4)
    )
    set_learning_mode(module, frozenset(), "frozen")
    assert [layer.training for layer in module] == [False, False, False, False, True]
    set_learning_mode(module, frozenset(), "batch")
    assert all(layer.training for layer in module)


def test_frozen_blocks_drop_nothing_and_a_scaleless_norm_goes_with_its_stage() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1)
            self.norm = nn.BatchNorm2d(4, affine=False)
            self.drop = nn.Dropout()

    module = nn.Sequential(Block(), Block(), nn.Linear(4, 2))
    frozen = frozen_parameters(module, "2", ("0",))
    set_learning_mode(module, frozen, "batch")
    first, second, head = module
    assert not any(part.training for part in first.modules())
    assert all(part.training for part in second.modules())
    assert head.training
    freeze(module, frozen)
    assert [parameter.requires_grad for parameter in module.parameters()] == [False, False, *[True] * 4]
