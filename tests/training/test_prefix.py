"""The frozen start of a network, computed once: the same answers, or nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from signet.training import TrainSettings, stages_of, train
from signet.training.freezing import set_learning_mode
from signet.training.prefix import KeptPrefix, kept_prefix
from signet.training.room import Room
from signet.training.stages import frozen_parameters


def kept(
    module: nn.Module, classifier: str, frozen: tuple[str, ...], images_NCHW: Tensor, **changes: int
) -> KeptPrefix | None:
    names = frozen_parameters(module, classifier, frozen)
    set_learning_mode(module, names, "frozen")

    def batches() -> Iterator[Tensor]:
        yield from images_NCHW.split(3)

    settings = TrainSettings(classifier=classifier, **changes)
    return kept_prefix(module, names, batches(), settings, Room(settings.memory_bytes))


@pytest.mark.parametrize(
    ("name", "classifier", "learning"),
    [("mobilenetv2_035", "classifier", 3), ("resnet18", "fc", 2), ("convnext_atto", "head.fc", 1)],
)
def test_a_network_is_entered_in_the_middle(name: str, classifier: str, learning: int) -> None:
    timm = pytest.importorskip("timm")
    module = timm.create_model(name, pretrained=False, num_classes=4).eval()
    frozen = tuple(stage.name for stage in stages_of(module, classifier)[:-learning])
    images_NCHW = torch.rand(7, 3, 64, 64)
    state = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    prefix = kept(module, classifier, frozen, images_NCHW)
    assert prefix is not None
    entered: list[str] = []
    first = module.get_submodule(stages_of(module, classifier)[0].name)
    handle = first.register_forward_hook(lambda *_: entered.append("start"))
    chosen = np.array([5, 0, 6])
    module.eval()
    with torch.no_grad():
        answer = prefix.answer(module, prefix.batch(chosen, 1))
        handle.remove()
        expected = module(images_NCHW[torch.from_numpy(chosen)])
    torch.testing.assert_close(answer, expected, rtol=1e-4, atol=1e-4)
    assert all(torch.equal(tensor, state[key]) for key, tensor in module.state_dict().items())


def test_a_connection_around_the_cut_keeps_nothing() -> None:
    class Skipping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 3, 1)
            self.second = nn.Conv2d(3, 3, 1)
            self.head = nn.Linear(3, 2)

        def forward(self, images_NCHW: Tensor) -> Tensor:
            early_NCHW = self.first(images_NCHW)
            answer: Tensor = self.head((self.second(early_NCHW) + 5 * early_NCHW).mean(dim=(2, 3)))
            return answer

    module = Skipping()
    images_NCHW = torch.rand(6, 3, 8, 8) * 9
    assert kept(module, "head", ("first",), images_NCHW) is None
    assert kept(module, "head", ("first", "second"), images_NCHW) is not None
    assert "forward" not in module.first.__dict__
    assert kept(module, "head", (), images_NCHW) is None


def test_a_transformer_whose_shapes_do_not_fit_keeps_nothing() -> None:
    timm = pytest.importorskip("timm")
    module = timm.create_model("vit_tiny_patch16_224", pretrained=False, depth=2, num_classes=3)
    assert kept(module, "head", ("patch_embed", "blocks.0"), torch.rand(3, 3, 224, 224)) is None


def test_more_than_the_memory_keeps_nothing(tiny: ModuleType) -> None:
    images_NCHW = torch.rand(6, 3, 16, 16)
    assert kept(tiny.network(), "head", ("stem",), images_NCHW) is not None
    assert kept(tiny.network(), "head", ("stem",), images_NCHW, memory_bytes=6 * 6 * 64 * 4 - 1) is None


def test_a_run_with_it_is_exact_and_resumes_to_the_bit(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    passes: list[int] = []

    def counted() -> nn.Module:
        module = tiny.network()
        module.stem[0].register_forward_hook(lambda *_: passes.append(1))
        return module  # type: ignore[no-any-return]

    def stop(moment: object) -> None:
        if getattr(moment, "done", 0) == 9:
            raise Stop

    data = tiny.data_in(images)
    settings = tiny.settings(frozen=("stem",), augmentation="none", epochs=6)
    straight = train(counted(), data, settings, folder=tmp_path / "a", resume=False)
    # 6 steps to keep it and 1 trial; 2 of validation before the first epoch, then 2 and 1 trial to keep it;
    # none of the 36 training steps, and of no validation after an epoch.
    assert len(passes) == 6 + 1 + 2 + 2 + 1
    with pytest.raises(Stop):
        train(tiny.network(), data, settings, folder=tmp_path / "b", resume=False, on_progress=stop)
    assert tiny.same(straight, train(tiny.network(), data, settings, folder=tmp_path / "b", resume=True))
    without = tiny.settings(frozen=("stem",), augmentation="none", epochs=6, memory_bytes=0)
    plain = train(tiny.network(), data, without, folder=tmp_path / "c", resume=False)
    for name, tensor in plain.best.items():
        torch.testing.assert_close(tensor, straight.best[name], rtol=1e-3, atol=1e-4)


def test_what_is_looked_at_after_each_epoch_passes_the_frozen_start_once(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    """With augmentation each step needs the whole network; validation and the sample of the watch do not."""
    passes: list[bool] = []

    def counted() -> nn.Module:
        module = tiny.network()
        module.stem[0].register_forward_hook(lambda *_: passes.append(torch.is_grad_enabled()))
        return module  # type: ignore[no-any-return]

    data, found = tiny.data_in(images), {}
    for memory in (0, 1 << 20):
        passes.clear()
        settings = tiny.settings(
            frozen=("stem",),
            augmentation="light",
            epochs=4,
            patience=4,
            overfitting="stop",
            memory_bytes=memory,
        )
        done = train(counted(), data, settings, folder=tmp_path / str(memory), resume=False)
        steps = passes.count(True)
        found[memory] = done, steps, len(passes) - steps
    (whole, steps, looks), (kept_start, same_steps, fewer) = found[0], found[1 << 20]
    assert steps == same_steps > 0
    # Without room for them two first batches in vain, and all before the first epoch and after each of four;
    # with room all before the first epoch and once to keep them, with two trials.
    assert (looks - 2) % 5 == 0
    assert fewer == 2 * (looks - 2) // 5 + 2
    for one, other in zip(whole.history, kept_start.history, strict=True):
        for name in ("validation_loss", "sample_loss"):
            assert one[name] == pytest.approx(other[name], abs=1e-4)
    for name, tensor in whole.best.items():
        torch.testing.assert_close(tensor, kept_start.best[name], rtol=0, atol=0)
