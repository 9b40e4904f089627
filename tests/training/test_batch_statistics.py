"""Statistics of a whole set of images: what the definition says, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from signet.decoding import read
from signet.errors import BadRequest, UnknownName
from signet.preprocessing import prepare
from signet.progress import Progress
from signet.training import ending, loop, train
from signet.training.batch_statistics import re_estimate
from signet.training.freezing import batchnorm_policies, held_tensors, refuse_moving, set_learning_mode
from signet.training.moments import state_of
from signet.training.reviewing import STATISTICS_IMAGES, re_estimated
from signet.training.stages import frozen_parameters


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5)
        )
    for layer in (module[1], module[4]):
        layer.running_mean.fill_(7.0)
        layer.running_var.fill_(3.0)
        layer.num_batches_tracked.fill_(12)
    return module


def pictures(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, 8, 9, generator=torch.Generator().manual_seed(seed)) * 3 + 1


def passing(module: nn.Module, *parts: Tensor) -> Callable[[], None]:
    """Sends some batches through a network."""

    def passes() -> None:
        for part in parts:
            module(part)

    return passes


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_the_first_layer_has_the_moments_of_all_values_whatever_the_batches(
    sizes: list[int], seed: int
) -> None:
    module, images = network(), pictures(sum(sizes), seed)
    changed = re_estimate(module, ["1"], passing(module, *images.split(sizes)))
    assert changed == ("1",)
    values = module[0](images).detach().double().movedim(1, 0).flatten(1)
    torch.testing.assert_close(module[1].running_mean.double(), values.mean(1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(module[1].running_var.double(), values.var(1), atol=1e-4, rtol=1e-4)


def test_a_deeper_layer_sees_what_the_batches_were_normalised_to_and_nothing_is_dropped() -> None:
    module, images = network(), pictures(6)
    re_estimate(module, ["1", "4"], passing(module, images))
    with torch.no_grad():
        first = nn.functional.batch_norm(
            module[0](images), None, None, module[1].weight, module[1].bias, training=True
        )
        values = module[3](first).double().movedim(1, 0).flatten(1)
    torch.testing.assert_close(module[4].running_mean.double(), values.mean(1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(module[4].running_var.double(), values.var(1), atol=1e-4, rtol=1e-4)


def test_it_depends_on_no_earlier_statistics_and_touches_no_other_layer() -> None:
    one, other, images = network(), network(), pictures(6)
    other[1].running_mean.fill_(-50.0)
    for module in (one, other):
        re_estimate(module, ["1"], passing(module, images))
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
    assert torch.equal(one[4].running_mean, torch.full((5,), 7.0))
    assert int(one[1].num_batches_tracked) == 12
    assert not any(part.training for part in one.modules())


def test_an_image_alone_is_refused_by_torch_and_leaves_the_statistics_as_they_were() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 8), nn.BatchNorm2d(4))
    before = state_of(module)
    with pytest.raises(ValueError, match="more than 1 value"):
        re_estimate(module, ["1"], passing(module, torch.zeros(1, 3, 8, 8)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


class Counting:
    """A task that notes which images were asked for."""

    def __init__(self, count: int) -> None:
        self.count, self.parts = count, []

    def look_back(self, module: nn.Module, indices: np.ndarray) -> None:
        self.parts.append(indices.tolist())


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (3, 4), (STATISTICS_IMAGES + 700, 512)])
def test_every_image_of_a_small_set_is_seen_once_and_evenly_many_of_a_large_one(
    count: int, batch: int
) -> None:
    task = Counting(count)
    re_estimated(task, network(), ["1"], batch)  # type: ignore[arg-type]
    seen = [index for part in task.parts for index in part]
    assert len(seen) == len(set(seen)) == min(count, STATISTICS_IMAGES)
    assert min(map(len, task.parts)) >= min(batch, count)
    assert max(seen) >= count - 2


# --- in a run -----------------------------------------------------------------------------------------------


def statistics(state: dict[str, Tensor], name: str) -> Tensor:
    return state[f"{name}.running_mean"]


def run(tiny: ModuleType, images: Path, folder: Path, **changes: object) -> tuple[dict[str, Tensor], dict]:
    before = state_of(module := tiny.network())
    last: dict[str, Tensor] = {}

    def on_progress(_: object) -> None:
        last.update(state_of(module))

    how = tiny.settings(epochs=2, checkpoint_seconds=60, **changes)
    train(module, tiny.data_in(images), how, folder=folder, resume=False, on_progress=on_progress)
    return before, last


def test_re_estimated_statistics_are_those_of_the_plain_training_images(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    before, last = run(tiny, images, tmp_path / "a", batchnorm="re-estimated", frozen=("stem",))
    data = tiny.data_in(images)
    module = tiny.network()
    module.load_state_dict(last)
    prepared = torch.from_numpy(prepare([read(path) for path in data.train], data.program).arrays)
    with torch.no_grad():
        values = module.body[0](module.stem(prepared)).double().movedim(1, 0).flatten(1)
    torch.testing.assert_close(statistics(last, "body.1").double(), values.mean(1), atol=1e-5, rtol=1e-4)
    assert torch.equal(statistics(last, "stem.1"), statistics(before, "stem.1"))
    # Under "batch" the same run ends with a running average of augmented views, which is another one.
    _, running = run(tiny, images, tmp_path / "b", batchnorm="batch", frozen=("stem",))
    assert not torch.allclose(statistics(running, "body.1"), statistics(last, "body.1"), atol=1e-3)


def test_adapted_statistics_are_computed_before_the_first_step_and_then_kept(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    before, last = run(tiny, images, tmp_path, batchnorm="adapt", backbone_rate=0.0, frozen=())
    # All is frozen but the head, so nothing may be adapted either.
    assert torch.equal(statistics(last, "stem.1"), statistics(before, "stem.1"))
    before, last = run(tiny, images, tmp_path / "b", batchnorm="adapt", augmentation="none")
    assert not torch.equal(statistics(last, "stem.1"), statistics(before, "stem.1"))
    module = tiny.network()
    data = tiny.data_in(images)
    prepared = torch.from_numpy(prepare([read(path) for path in data.train], data.program).arrays)
    with torch.no_grad():
        values = module.stem[0](prepared).double().movedim(1, 0).flatten(1)
    # Of the weights as they were given: the steps after it moved the weights, not these.
    torch.testing.assert_close(statistics(last, "stem.1").double(), values.mean(1), atol=1e-5, rtol=1e-4)
    assert not torch.equal(last["stem.0.weight"], before["stem.0.weight"])


@pytest.mark.parametrize("policy", ["re-estimated", "batch"])
def test_a_stage_that_has_yet_to_thaw_keeps_its_statistics_until_then(
    tiny: ModuleType, images: Path, tmp_path: Path, policy: str
) -> None:
    before = state_of(module := tiny.network())
    ends: list[dict[str, Tensor]] = []

    def on_progress(moment: Progress) -> None:
        if moment.history:
            ends.append(state_of(module))

    how = tiny.settings(
        epochs=2, checkpoint_seconds=60, batchnorm=policy, frozen=("stem",), thaw=(("body", 2),)
    )
    done = train(module, tiny.data_in(images), how, folder=tmp_path, resume=False, on_progress=on_progress)
    _, first, second = ends
    assert torch.equal(statistics(first, "body.1"), statistics(before, "body.1"))
    assert not torch.equal(statistics(second, "body.1"), statistics(before, "body.1"))
    # What is proved is what never learned.
    assert {name.partition(".")[0] for name in done.held.names} == {"stem"}


@pytest.mark.parametrize("augmentation", ["none", "light"])  # with kept maps of the frozen start, and without
def test_a_stage_that_thaws_later_is_adapted_before_its_own_first_step(
    tiny: ModuleType, images: Path, tmp_path: Path, augmentation: str
) -> None:
    before = state_of(module := tiny.network())
    ends: list[dict[str, Tensor]] = []

    def on_progress(moment: Progress) -> None:
        if moment.history:
            ends.append(state_of(module))

    data = tiny.data_in(images)
    how = tiny.settings(
        epochs=3,
        checkpoint_seconds=60,
        batchnorm="adapt",
        thaw=(("body", 2), ("stem", 3)),
        augmentation=augmentation,
    )
    train(module, data, how, folder=tmp_path, resume=False, on_progress=on_progress)
    _, first, second, third = ends
    for name in ("stem.1", "body.1"):
        assert torch.equal(statistics(first, name), statistics(before, name))
    assert torch.equal(statistics(second, "stem.1"), statistics(before, "stem.1"))
    prepared = torch.from_numpy(prepare([read(path) for path in data.train], data.program).arrays)
    plain = tiny.network()
    with torch.no_grad():
        values = plain.body[0](plain.stem(prepared)).double().movedim(1, 0).flatten(1)
        inputs = plain.stem[0](prepared).double().movedim(1, 0).flatten(1)
    # Each by the weights that it had until then, which had not learned yet; and once.
    torch.testing.assert_close(statistics(second, "body.1").double(), values.mean(1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(statistics(third, "stem.1").double(), inputs.mean(1), atol=1e-5, rtol=1e-4)
    assert torch.equal(statistics(third, "body.1"), statistics(second, "body.1"))


def test_a_run_that_went_back_adapts_what_was_not_adapted_then(
    tiny: ModuleType, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes back to the network as it was given, whose statistics are those of the pretraining."""

    def by_heart(history: Sequence[object], *_: object) -> str | None:
        return "overfitting" if len(history) == 3 else None

    monkeypatch.setattr(ending, "memorising", by_heart)
    monkeypatch.setattr(loop, "is_better", lambda *_: False)
    before = state_of(module := tiny.network())
    ends: list[dict[str, Tensor]] = []

    def on_progress(moment: Progress) -> None:
        if moment.history:
            ends.append(state_of(module))

    how = tiny.settings(epochs=3, checkpoint_seconds=60, batchnorm="adapt", overfitting="step-back")
    done = train(module, tiny.data_in(images), how, folder=tmp_path, resume=False, on_progress=on_progress)
    assert "it went back to epoch 0" in done.notes[0]
    _, first, back, last = ends
    assert torch.equal(statistics(back, "stem.1"), statistics(before, "stem.1"))
    assert torch.equal(statistics(last, "stem.1"), statistics(first, "stem.1"))


@pytest.mark.parametrize("thaw", [(), (("stem", 2),)])
@pytest.mark.parametrize("policy", ["re-estimated", "adapt"])
@pytest.mark.parametrize("step", [1, 6, 8])
def test_a_stop_and_a_resume_change_nothing(
    tiny: ModuleType, images: Path, tmp_path: Path, policy: str, step: int, thaw: tuple[tuple[str, int], ...]
) -> None:
    class Stop(Exception):
        pass

    def stop(moment: object) -> None:
        if moment.done == step:  # type: ignore[attr-defined]
            raise Stop

    data, how = tiny.data_in(images), tiny.settings(epochs=2, batchnorm=policy, thaw=thaw)
    straight = train(tiny.network(), data, how, folder=tmp_path / "a", resume=False)
    with pytest.raises(Stop):
        train(tiny.network(), data, how, folder=tmp_path / "b", resume=False, on_progress=stop)
    assert tiny.same(straight, train(tiny.network(), data, how, folder=tmp_path / "b", resume=True))


def test_a_stage_may_have_a_policy_of_its_own(tiny: ModuleType, images: Path, tmp_path: Path) -> None:
    before, last = run(tiny, images, tmp_path, batchnorm="frozen", batchnorm_stages=(("body", "batch"),))
    assert torch.equal(statistics(last, "stem.1"), statistics(before, "stem.1"))
    assert not torch.equal(statistics(last, "body.1"), statistics(before, "body.1"))


def test_the_longest_name_decides_and_contradictions_are_refused(tiny: ModuleType) -> None:
    module = tiny.network()
    stages = {"body": "batch", "body.1": "re-estimated"}
    found = batchnorm_policies(module, frozenset(), "frozen", "head", stages)  # type: ignore[arg-type]
    assert found == {"stem.1": "frozen", "body.1": "re-estimated"}
    frozen = frozen_parameters(module, "head", ("stem",))
    with pytest.raises(BadRequest, match=r"batchnorm of stem: expected 'frozen' in a frozen stage, got 'ba"):
        refuse_moving(module, frozen, "head", {"stem": "batch"})
    refuse_moving(module, frozen, "head", {"stem": "frozen", "body": "batch"})
    with pytest.raises(UnknownName, match=r"'bodi'.*'body'"):
        set_learning_mode(module, frozen, "frozen", "head", {"bodi": "batch"})
    with pytest.raises(BadRequest, match=r"batchnorm of body: expected one of 'frozen', .*got 'live'"):
        tiny.settings(batchnorm_stages=(("body", "live"),))


def test_what_is_held_is_told_from_names_and_never_from_modes(tiny: ModuleType) -> None:
    module = tiny.network().train()
    frozen = frozen_parameters(module, "head", ("stem",))
    policies = batchnorm_policies(module, frozen, "batch", "head")
    held = held_tensors(module, frozen, policies)
    assert set(held) == {name for name in module.state_dict() if name.startswith("stem.")}
    module.eval()
    assert held_tensors(module, frozen, policies) == held
    every = held_tensors(module, frozenset(), batchnorm_policies(module, frozenset(), "frozen", "head"))
    assert {name.rpartition(".")[2] for name in every} == {
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }
