"""Learning objects: what is learned, what stays frozen, what a resume gives."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from signet.cards import OutputContract
from signet.decoding import read
from signet.errors import BadCard, BadDataset, BadGraph, BadInput, BadRequest, CheckFailed, WrongTask
from signet.preprocessing import prepare
from signet.programs import Program
from signet.progress import Progress
from signet.steps import Layout, Read, Resize
from signet.training import TIMED, ObjectData, train
from signet.training.judging import validated
from signet.training.objects import ObjectScenes
from signet.training.of_objects import ObjectTask


@pytest.fixture(scope="module")
def objects(module_at: Any) -> ModuleType:
    """The module tiny_objects.py: a network, data, settings."""
    module: ModuleType = module_at("tiny_objects", Path(__file__).with_name("tiny_objects.py"))
    return module


@pytest.fixture(scope="module")
def folder(objects: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(objects.write(tmp_path_factory.mktemp("objects") / "all", 10))


@pytest.mark.parametrize("instances", [False, True])
def test_it_learns_four_images_by_heart(
    objects: ModuleType, folder: Path, tmp_path: Path, instances: bool
) -> None:
    rows = objects.rows_in(folder, instances=instances).subset(range(4))
    data = dataclasses.replace(objects.data_in(folder, instances=instances), train=rows, validation=rows)
    how = objects.settings(
        classifier=objects.HEAD[: 1 + instances],
        epochs=30,
        augmentation="none",
        checkpoint_seconds=60.0,
        batchnorm="batch",
    )
    trained = train(objects.network(instances=instances), data, how, folder=tmp_path, resume=False)
    found = [row["validation_ap50"] for row in trained.history]
    assert found[0] < 0.2
    best = trained.history[trained.best_epoch]
    assert best["validation_ap"] == max(row["validation_ap"] for row in trained.history)
    assert best["validation_ap50"] > 0.9
    assert "validation_loss" not in best
    assert trained.history[-1]["train_loss"] < 0.3 * trained.history[1]["train_loss"]


def test_the_frozen_keep_their_bits_and_all_else_learns(
    objects: ModuleType, folder: Path, tmp_path: Path
) -> None:
    module = objects.network()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    how = objects.settings(frozen=("backbone.stem",), epochs=12, augmentation="none", checkpoint_seconds=60.0)
    trained = train(module, objects.data_in(folder), how, folder=tmp_path, resume=False)
    assert trained.best_epoch
    after = module.state_dict()
    same = {name for name, tensor in before.items() if torch.equal(tensor, after[name])}
    assert {name for name in before if name.startswith("backbone.stem")} <= same
    assert {name for name in before if "running" in name} <= same
    assert not {"backbone.body.0.weight", "head.0.weight", "head.2.bias"} & same


class Stop(Exception):
    """What the tests interrupt a run with."""


@pytest.mark.parametrize("step", [2, 5])
@pytest.mark.parametrize("instances", [False, True])
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(
    objects: ModuleType, folder: Path, tmp_path: Path, step: int, instances: bool
) -> None:
    def on_progress(moment: Progress) -> None:
        if moment.done == step:
            raise Stop

    def run(place: str, *, resume: bool, **more: Any) -> Any:
        module = objects.network(instances=instances)
        return train(module, data, how, folder=tmp_path / place, resume=resume, **more)

    data = objects.data_in(folder, instances=instances)
    how = objects.settings(augmentation="medium", mosaic=0.5, ema=0.9)
    straight = run("straight", resume=False)
    with pytest.raises(Stop):
        run("interrupted", resume=False, on_progress=on_progress)
    resumed = run("interrupted", resume=True)
    for name, tensor in straight.best.items():
        assert torch.equal(tensor, resumed.best[name]), name
    rows = [
        [{key: value for key, value in row.items() if key not in TIMED} for row in result.history]
        for result in (straight, resumed)
    ]
    assert rows[0] == rows[1]
    data = dataclasses.replace(data, output=dataclasses.replace(data.output, extra={"nms": {"iou": 0.6}}))
    with pytest.raises(BadRequest, match="other data"):
        run("interrupted", resume=True)


def test_a_step_of_objects_goes_on_in_parts_where_memory_runs_out(
    objects: ModuleType, folder: Path, tmp_path: Path
) -> None:
    def run(name: str, most: int) -> Any:
        module = objects.network(instances=False)
        learn = module.losses

        def losses(images: torch.Tensor, targets: Any) -> Any:
            assert len(images) == len(targets)
            if len(images) > most:
                raise RuntimeError("CUDA out of memory")
            return learn(images, targets)

        module.losses = losses
        how = objects.settings(epochs=1, batch=4)
        data = objects.data_in(folder, instances=False)
        return train(module, data, how, folder=tmp_path / name, resume=False)

    free, tight = run("free", 4), run("tight", 2)
    assert "from then on 2 went through" in tight.notes[0]
    assert tight.history[1]["train_loss"] == pytest.approx(free.history[1]["train_loss"], rel=0.05)


def test_views_are_a_function_of_seed_epoch_and_image(objects: ModuleType, folder: Path) -> None:
    data = objects.data_in(folder, instances=True)
    how = objects.settings(augmentation="medium", mosaic=0.5)
    first, again = (ObjectScenes(data.train, data.program, how) for _ in range(2))
    again.views(np.array([4, 0]), 5)
    one, two = first.views(np.array([1, 2]), 1), again.views(np.array([1, 2]), 1)
    poor = ObjectScenes(data.train, data.program, dataclasses.replace(how, memory_bytes=0))
    assert one.images.shape == (2, 3, *objects.SIZE)
    for other in (two, poor.views(np.array([1, 2]), 1)):
        assert torch.equal(one.images, other.images)
        for mine, yours in zip(one.targets, other.targets, strict=True):
            assert mine.keys() == yours.keys() == {"boxes", "labels", "masks"}
            assert all(torch.equal(mine[name], yours[name]) for name in mine)
    assert not torch.equal(first.views(np.array([1, 2]), 2).images, one.images)


def test_without_augmentation_a_view_is_what_the_evaluation_shows(objects: ModuleType, folder: Path) -> None:
    data = objects.data_in(folder, instances=True)
    scenes = ObjectScenes(data.train, data.program, objects.settings(augmentation="none"))
    found = scenes.views(np.array([0, 2, 3]), 1)
    expected = prepare([read(data.train.paths[place]) for place in (0, 2, 3)], data.program)
    np.testing.assert_array_equal(found.images.numpy(), expected.arrays)
    np.testing.assert_array_equal(scenes.whole(np.array([0, 2, 3])).batch.arrays, expected.arrays)
    # The upright picture of 96 x 72 stands 36 wide in the middle of 64.
    upright, truth = found.targets[1], data.train[2].truth
    np.testing.assert_allclose(upright["boxes"].numpy(), truth.boxes.xyxy / 2 + [14, 0, 14, 0], atol=1e-5)
    assert upright["labels"].tolist() == truth.boxes.indices.tolist() == [0, 1]
    for mask, whole in zip(upright["masks"].numpy(), truth.masks, strict=True):
        assert not mask[:, :14].any()
        assert np.array_equal(mask[:, 14:50], whole.to_array()[1::2, 1::2])
    empty = found.targets[2]
    assert {name: tuple(tensor.shape) for name, tensor in empty.items()} == {
        "boxes": (0, 4),
        "labels": (0,),
        "masks": (0, *objects.SIZE),
    }
    assert [tensor.dtype for tensor in upright.values()] == [torch.float32, torch.int64, torch.uint8]


class Prepared(torch.nn.Module):
    """Answers with what it is told, whatever it sees: the boxes, each filled by its mask."""

    def __init__(self, targets: Any, instances: bool) -> None:
        super().__init__()
        self.outputs = ("boxes", "scores", "classes", "masks")[: 3 + instances]
        boxes_NK4 = torch.stack([target["boxes"] for target in targets])
        classes_NK = torch.stack([target["labels"] for target in targets]).float()
        masks_NKMM = torch.ones(*classes_NK.shape, 28, 28)
        self.given = boxes_NK4, torch.full_like(classes_NK, 0.9), classes_NK, masks_NKMM

    def forward(self, images_N3HW: torch.Tensor) -> tuple[torch.Tensor, ...]:
        assert len(images_N3HW) == len(self.given[0])
        return self.given[: len(self.outputs)]

    def losses(self, images_N3HW: torch.Tensor, targets: Any) -> dict[str, torch.Tensor]:
        raise AssertionError


@pytest.mark.parametrize("instances", [False, True])
def test_the_figure_is_that_of_masks_where_there_are_any(
    objects: ModuleType, folder: Path, instances: bool
) -> None:
    output = OutputContract(head="mask_rcnn" if instances else "boxes", classes=2)
    data = objects.data_in(folder, instances=instances, output=output)
    task = ObjectTask(data, objects.settings(augmentation="none"))
    targets = task.judged.views(np.arange(2), 0).targets
    judged = validated(task, Prepared(targets, instances), 8)
    # A square fills its box, a disc does not: its mask is right up to that overlap.
    truths = [row.truth for row in objects.rows_in(folder, instances=True)][-2:]
    share = truths[0].masks[1].area / 21**2
    disc = np.mean(share >= np.linspace(0.5, 0.95, 10)) if instances else 1.0
    assert judged.row["validation_ap"] == pytest.approx((1 + disc) / 2)
    assert judged.row["validation_ap50"] == 1
    assert judged.kept == {}


def test_a_network_that_answers_with_nan_ends_the_run(
    objects: ModuleType, folder: Path, tmp_path: Path
) -> None:
    module = objects.network()
    with torch.no_grad():
        module.head[2].bias[0] = float("nan")
    with pytest.raises(CheckFailed, match="expected a finite validation ap before anything was learned"):
        train(module, objects.data_in(folder), objects.settings(), folder=tmp_path, resume=False)


def test_what_does_not_fit_is_refused_in_words(
    objects: ModuleType, folder: Path, tmp_path: Path, module_at: Any
) -> None:
    data, rows = objects.data_in(folder), objects.rows_in(folder)

    def changed(**changes: Any) -> ObjectData:
        return objects.data_in(folder, **changes)  # type: ignore[no-any-return]

    with pytest.raises(BadGraph, match="one size"):
        changed(program=Program((Read(), Resize(short=48), Layout())))
    with pytest.raises(BadDataset, match="an object in the validation part, got none in 1 images"):
        changed(validation=rows.subset([3]))
    with pytest.raises(WrongTask, match=r"a dataset of the task 'detect'.*got a dataset of the task 'inst"):
        changed(validation=objects.rows_in(folder, instances=True))
    with pytest.raises(BadDataset, match="same labels in both parts"):
        changed(validation=dataclasses.replace(rows, labels=("square", "ring")))
    with pytest.raises(BadRequest, match="an output for 2 labels, got one with 2 classes, the first a back"):
        changed(output=dataclasses.replace(data.output, drop_first=True))
    with pytest.raises(BadCard, match="'mask2former'"):
        changed(output=OutputContract(head="mask2former"))
    with pytest.raises(
        BadRequest, match=r"expected a network with `losses\(images, targets\)`, got a Linear"
    ):
        train(torch.nn.Linear(2, 2), data, objects.settings(), folder=tmp_path, resume=False)
    with pytest.raises(BadRequest, match="validation has none"):
        train(objects.network(), data, objects.settings(select="loss"), folder=tmp_path, resume=False)
    module = objects.network(instances=True)
    with pytest.raises(BadInput, match=r"expected 4 \+ 2 classes for each box, got 8 values"):
        train(module, data, objects.settings(), folder=tmp_path, resume=False)
    module.outputs = ("predictions",)
    with pytest.raises(BadRequest, match="expected a tensor for each of predictions, got 2"):
        train(module, data, objects.settings(), folder=tmp_path, resume=False)
    segments = module_at("tiny_scenes", Path(__file__).with_name("tiny_scenes.py"))
    pixels = segments.data_in(segments.write(tmp_path / "pixels", 4))
    with pytest.raises(WrongTask, match=r"task 'detect' or 'instances'.*got a dataset of the task 'segment'"):
        changed(train=pixels.train)


def test_objects_of_a_picture_of_another_size_are_refused(objects: ModuleType, tmp_path: Path) -> None:
    data = objects.data_in(objects.write(tmp_path / "all", 3))
    PillowImage.new("RGB", (50, 40)).save(data.train.paths[0])
    scenes = ObjectScenes(data.train, data.program, objects.settings())
    with pytest.raises(BadDataset, match=r"objects of a picture of 50x40 pixels.*got those of 96x72"):
        scenes.views(np.array([0]), 1)
