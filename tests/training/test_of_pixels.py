"""Learning a label for each pixel: what is learned, what stays frozen, what a resume gives."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from signet.datasets import from_masks
from signet.decoding import read
from signet.errors import BadDataset, BadGraph, BadRequest, WrongTask
from signet.geometry import Geometry
from signet.preprocessing import prepare
from signet.programs import Program
from signet.progress import Progress
from signet.steps import Layout, Read, Resize
from signet.training import (
    TIMED,
    Optimisation,
    PixelData,
    TrainSettings,
    median_frequency_weights,
    stages_of,
    train,
)
from signet.training.scenes import Scenes, in_frame


@pytest.fixture(scope="module")
def scenes() -> ModuleType:
    """The module tiny_scenes.py: a network, data, settings."""
    spec = importlib.util.spec_from_file_location("tiny_scenes", Path(__file__).with_name("tiny_scenes.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tiny_scenes"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(scenes: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes.write(tmp_path_factory.mktemp("scenes") / "all", 8)


def test_it_learns_four_images_by_heart(scenes: ModuleType, folder: Path, tmp_path: Path) -> None:
    rows = from_masks(folder, labels=scenes.LABELS).subset(range(4))
    data = PixelData(rows, rows, scenes.PROGRAM, weights=median_frequency_weights(rows))
    how = scenes.settings(epochs=25, augmentation="none", checkpoint_seconds=60.0)
    trained = train(scenes.network(), data, how, folder=tmp_path, resume=False)
    figures = [row["validation_miou"] for row in trained.history]
    assert figures[0] < 0.3
    assert max(figures) == trained.history[trained.best_epoch]["validation_miou"] > 0.9
    assert trained.kept["sums"].shape == (4, 3, 3)
    assert trained.kept["sums"].dtype == np.int64
    assert trained.history[-1]["train_loss"] < 0.3 * trained.history[1]["train_loss"]
    # Every labelled pixel of every original is counted, and no other.
    labelled = [row.truth.counts for row in rows]
    assert np.array_equal(trained.kept["sums"][:, 2], labelled)


def test_the_frozen_keep_their_bits_and_a_new_head_gathers_statistics(
    scenes: ModuleType, folder: Path, tmp_path: Path
) -> None:
    module = scenes.network()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    how = scenes.settings(frozen=("backbone.stem",))
    train(module, scenes.data_in(folder), how, folder=tmp_path, resume=False)
    after = module.state_dict()
    same = {name for name, tensor in before.items() if torch.equal(tensor, after[name])}
    statistics = {name for name in before if "running" in name or "num_batches" in name}
    assert {name for name in before if name.startswith("backbone.stem")} <= same
    assert {name for name in statistics if name.startswith("backbone")} <= same
    assert "backbone.body.0.weight" not in same
    assert "neck.1.running_mean" not in same
    assert "head.weight" not in same


def test_with_a_backbone_rate_of_zero_only_the_head_learns(
    scenes: ModuleType, folder: Path, tmp_path: Path
) -> None:
    module = scenes.network()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    how = scenes.settings(epochs=1, backbone_rate=0.0)
    train(module, scenes.data_in(folder), how, folder=tmp_path, resume=False)
    changed = {n.partition(".")[0] for n, t in module.state_dict().items() if not torch.equal(t, before[n])}
    assert changed <= set(scenes.HEAD)


class Stop(Exception):
    """What the tests interrupt a run with."""


@pytest.mark.parametrize("step", [2, 5])
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(
    scenes: ModuleType, folder: Path, tmp_path: Path, step: int
) -> None:
    def on_progress(moment: Progress) -> None:
        if moment.done == step:
            raise Stop

    data, how = scenes.data_in(folder), scenes.settings(augmentation="medium")
    straight = train(scenes.network(), data, how, folder=tmp_path / "straight", resume=False)
    place = tmp_path / "interrupted"
    with pytest.raises(Stop):
        train(scenes.network(), data, how, folder=place, resume=False, on_progress=on_progress)
    resumed = train(scenes.network(), data, how, folder=place, resume=True)
    for name, tensor in straight.best.items():
        assert torch.equal(tensor, resumed.best[name]), name
    assert np.array_equal(straight.kept["sums"], resumed.kept["sums"])
    rows = [
        [{key: value for key, value in row.items() if key not in TIMED} for row in result.history]
        for result in (straight, resumed)
    ]
    assert rows[0] == rows[1]
    other = scenes.data_in(folder, weights=np.array([1, 2, 3], np.float32))
    with pytest.raises(BadRequest, match="other data"):
        train(scenes.network(), other, how, folder=place, resume=True)


def test_parts_of_a_step_and_activations_computed_twice_hold_for_pixels_too(
    scenes: ModuleType, folder: Path, tmp_path: Path
) -> None:
    def losses(name: str, batch: int, **how: Any) -> list[float]:
        module = scenes.network()
        settings = scenes.settings(batch=batch, optimisation=Optimisation(**how), thaw=(("backbone", 2),))
        done = train(module, scenes.data_in(folder), settings, folder=tmp_path / name, resume=False)
        return [row["train_loss"] for row in done.history[1:]]

    plain = losses("plain", 4)
    assert losses("twice", 4, checkpoint_activations=True) == plain
    # The statistics of a head's BatchNorm are of what goes through at once, and so is the Dice of a part.
    parts = losses("parts", 2, accumulate=2)
    assert len(parts) == len(plain)
    assert parts == pytest.approx(plain, rel=0.5)
    assert parts != plain


def test_the_same_images_have_no_gap_between_learning_and_validation(
    scenes: ModuleType, folder: Path, tmp_path: Path
) -> None:
    """Pictures differ in how many of their pixels are labelled, and the parts of both in their size."""
    rows = from_masks(folder, labels=scenes.LABELS).subset(range(7))
    data = PixelData(rows, rows, scenes.PROGRAM, weights=median_frequency_weights(rows))
    how = scenes.settings(epochs=1, batch=3, overfitting="stop", batchnorm="batch")
    done = train(scenes.network(), data, how, folder=tmp_path, resume=False)
    for row in done.history:
        assert row["sample_loss"] == pytest.approx(row["validation_loss"], rel=1e-5)


def test_views_are_a_function_of_seed_epoch_and_image(scenes: ModuleType, folder: Path) -> None:
    data = scenes.data_in(folder)
    how = scenes.settings(augmentation="medium")
    first = Scenes(data.train, data.program, how)
    again = Scenes(data.train, data.program, how)
    again.views(np.array([3, 0]), 5)
    one, two = first.views(np.array([1, 2]), 1), again.views(np.array([1, 2]), 1)
    assert torch.equal(one.images, two.images)
    assert torch.equal(one.targets, two.targets)
    assert one.images.shape == (2, 3, 48, 64)
    assert one.targets.shape == (2, 48, 64)
    assert one.targets.dtype == torch.int64
    assert not torch.equal(first.views(np.array([1, 2]), 2).images, one.images)
    # Nothing is remembered where nothing may be kept, and nothing changes.
    poor = Scenes(data.train, data.program, scenes.settings(augmentation="medium", memory_bytes=0))
    assert torch.equal(poor.views(np.array([1, 2]), 1).images, one.images)


def test_without_augmentation_a_view_is_what_the_evaluation_shows(scenes: ModuleType, folder: Path) -> None:
    data = scenes.data_in(folder)
    found = Scenes(data.train, data.program, scenes.settings(augmentation="none")).views(np.array([0, 2]), 1)
    expected = prepare([read(data.train.paths[place]) for place in (0, 2)], data.program)
    np.testing.assert_array_equal(found.images.numpy(), expected.arrays)
    truth = data.train[2].truth.indices
    # The upright picture of 96 x 72 stands 36 wide in the middle of 64: beside it nobody said anything.
    labels = found.targets[1].numpy()
    assert (labels[:, :14] == -1).all()
    assert (labels[:, 50:] == -1).all()
    assert np.array_equal(labels[:, 14:50], truth[1::2, 1::2])


def test_labels_in_the_prepared_frame_are_those_under_its_centres() -> None:
    labels = np.arange(12, dtype=np.int32).reshape(3, 4)
    assert np.array_equal(in_frame(labels, Geometry.of((3, 4))), labels)
    twice = Geometry.of((3, 4)).resized((6, 8)).cropped(-1, 2, (8, 5))
    expected = np.full((8, 5), -1)
    expected[1:7] = labels.repeat(2, 0).repeat(2, 1)[:, 2:7]
    assert np.array_equal(in_frame(labels, twice), expected)


def test_rare_labels_weigh_more(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    values = np.zeros((10, 10), np.uint8)
    values[0, :5], values[5:] = 1, 2
    for place, mask in enumerate((values, np.zeros_like(values))):
        PillowImage.fromarray(np.zeros((10, 10, 3), np.uint8)).save(tmp_path / "images" / f"{place}.png")
        PillowImage.fromarray(mask).save(tmp_path / "masks" / f"{place}.png")
    rows = from_masks(tmp_path, labels=["a", "b", "c", "never"])
    # Frequencies: a 145 of 200 pixels, b 5 of 100, c 50 of 100; the median is that of c.
    expected = np.array([0.5 / 0.725, 10, 1, 1], np.float32)
    np.testing.assert_allclose(median_frequency_weights(rows), expected, rtol=1e-6)


def test_each_part_of_a_head_is_a_stage_after_the_backbone(scenes: ModuleType) -> None:
    names = [stage.name for stage in stages_of(scenes.network(), scenes.HEAD)]
    assert names == ["backbone.stem", "backbone.body", "neck", "head"]


def test_what_does_not_fit_is_refused_in_words(scenes: ModuleType, folder: Path, tmp_path: Path) -> None:
    rows = from_masks(folder, labels=scenes.LABELS)
    free = Program((Read(), Resize(short=48), Layout()))
    with pytest.raises(BadGraph, match="one size"):
        PixelData(rows, rows, free)
    with pytest.raises(BadDataset, match="at least 2 images"):
        PixelData(rows.subset([0]), rows, scenes.PROGRAM)
    with pytest.raises(BadDataset, match="same ones in both parts"):
        PixelData(rows, from_masks(folder, labels=["a", "b", "c"]), scenes.PROGRAM)
    module = scenes.network()
    module.head = torch.nn.Conv2d(16, 5, 1)
    with pytest.raises(BadRequest, match="expected logits of shape"):
        train(module, scenes.data_in(folder), scenes.settings(), folder=tmp_path, resume=False)
    with pytest.raises(BadRequest, match="classifier"):
        TrainSettings(classifier=())
    (tmp_path / "pictures" / "a").mkdir(parents=True)
    PillowImage.new("RGB", (8, 8)).save(tmp_path / "pictures" / "a" / "0.png")
    from signet.datasets import from_folder

    with pytest.raises(WrongTask, match="a label for each pixel"):
        PixelData(from_folder(tmp_path / "pictures"), rows, scenes.PROGRAM)
