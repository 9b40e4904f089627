"""Fine-tuning on boxes and masks, from the dataset to a verified seal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("torchvision")

from signet.datasets import Dataset, from_coco, from_folder  # noqa: E402
from signet.errors import BadDataset, BadRequest, WrongTask  # noqa: E402
from signet.evaluation import evaluate  # noqa: E402
from signet.finetuning import Adapted, RunSettings, finetune  # noqa: E402
from signet.finetuning.census import census  # noqa: E402
from signet.finetuning.dealing import deal  # noqa: E402
from signet.finetuning.detector_networks import smallest_anchor  # noqa: E402
from signet.finetuning.detectors import adaptation, task_for  # noqa: E402
from signet.finetuning.keeping import keep  # noqa: E402
from signet.finetuning.starting import starting_point  # noqa: E402
from signet.instances import Instances  # noqa: E402
from signet.models import load  # noqa: E402
from signet.progress import Progress, silent  # noqa: E402
from signet.recipes import Recipe  # noqa: E402
from signet.resolving import resolve  # noqa: E402
from signet.untrained import untrained  # noqa: E402
from signet.verification import verify  # noqa: E402

LABELS = ("square", "disc")
RECIPE = Recipe(epochs=2, batch=2, input_size=64, threads=1, head_rate=2e-3, checkpoint_seconds=0.0)
EMPTY = 7


def scene(place: int) -> tuple[PillowImage.Image, list[dict[str, Any]]]:
    """A picture of 64 x 96 pixels with a square and, in every second one, a disc; none in one of them."""
    generator = np.random.default_rng(place)
    picture = PillowImage.fromarray(generator.integers(0, 60, (64, 96, 3), np.uint8))
    pen, found = ImageDraw.Draw(picture), []
    if place != EMPTY:
        left, top = (int(value) for value in generator.integers(2, 20, 2))
        pen.rectangle((left, top, left + 23, top + 23), fill=(220, 60, 50))
        corners = [left, top, left + 24, top, left + 24, top + 24, left, top + 24]
        found.append({"category_id": 1, "bbox": [left, top, 24, 24], "segmentation": [corners], "area": 576})
    if place % 2 == 0:
        left, top = int(generator.integers(50, 68)), int(generator.integers(2, 34))
        pen.ellipse((left, top, left + 23, top + 23), fill=(60, 90, 230))
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        ring = np.stack([left + 12 + 12 * np.cos(angles), top + 12 + 12 * np.sin(angles)], 1).round(2)
        found.append(
            {
                "category_id": 2,
                "bbox": [left, top, 24, 24],
                "segmentation": [ring.ravel().tolist()],
                "area": 452,
            }
        )
    return picture, found


@pytest.fixture(scope="session")
def shapes_with_masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve such pictures as a COCO file."""
    folder = tmp_path_factory.mktemp("objects")
    (folder / "images").mkdir()
    images, annotations = [], []
    for place in range(12):
        picture, found = scene(place)
        picture.save(folder / "images" / f"{place}.png")
        images.append({"id": place, "file_name": f"{place}.png", "height": 64, "width": 96})
        annotations += [{**one, "image_id": place, "iscrowd": 0} for one in found]
    annotations = [{**one, "id": number} for number, one in enumerate(annotations, 1)]
    categories = [{"id": number, "name": name} for number, name in enumerate(LABELS, 1)]
    (folder / "instances.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return folder


@pytest.fixture(scope="session")
def masks(shapes_with_masks: Path) -> Dataset[Any]:
    return from_coco(shapes_with_masks)


@pytest.fixture(scope="session")
def boxes(masks: Dataset[Any]) -> Dataset[Any]:
    return masks.as_task("detect")


class Stop(Exception):
    """What the test interrupts a run with."""


def check_sealed(done: Any, rows: Dataset[Any], recipe: Recipe) -> None:
    """The seal verifies, says what it is, and gives the figures that were reported."""
    assert isinstance(done, Adapted)
    assert verify(done.seal.path).ok
    with load(done.seal.path) as model:
        assert model.card.task == rows.task
        assert model.card.labels == LABELS
        again = evaluate(model, deal(rows, recipe, silent).test).metrics
    assert {name: figure.value for name, figure in again.items()} == pytest.approx(
        {name: figure.value for name, figure in done.metrics.items()}, nan_ok=True
    )
    assert done.seal.manifest.training["validation"] == dict(done.validation)
    assert set(done.validation) == {"ap", "ap50"}
    assert done.seal.manifest.training["decided"]["batch"] == recipe.batch
    assert done.seal.manifest.card.parameters
    assert json.dumps(done.to_dict())


@pytest.mark.parametrize("head", ["yolo", pytest.param("faster-rcnn", marks=pytest.mark.large)])
def test_a_backbone_learns_boxes_and_is_measured_and_sealed(
    classifier: Path, boxes: Dataset[Any], tmp_path: Path, head: str
) -> None:
    plans: list[Any] = []
    rows = boxes.subset(range(8))
    recipe = RECIPE.changed(head=head, epochs=1)
    ways = RunSettings(on_plan=plans.append)
    done = finetune(classifier, rows, out=tmp_path / "a.signet", recipe=recipe, run=ways)
    words = "\n".join(plans[0].words())
    assert "head with random weights" in words
    assert "frozen: conv1, bn1, layer1" in words
    assert "64x96 pixels" in words
    assert "objects to learn from, at most 2 in one image" in words
    check_sealed(done, rows, recipe)
    assert not list(tmp_path.glob(".a.signet.run"))


@pytest.mark.parametrize("head", ["auto", pytest.param("mask-rcnn", marks=pytest.mark.large)])
@pytest.mark.large
def test_a_backbone_learns_masks(classifier: Path, masks: Dataset[Any], tmp_path: Path, head: str) -> None:
    recipe = RECIPE.changed(head=head)
    done = finetune(classifier, masks, out=tmp_path / "a.signet", recipe=recipe)
    check_sealed(done, masks, recipe)
    with load(tmp_path / "a.signet", engine="torch") as model:
        (answer,) = model(masks.paths[0])
    assert isinstance(answer, Instances)


@pytest.mark.large
def test_a_resumed_run_seals_the_same_weights(classifier: Path, masks: Dataset[Any], tmp_path: Path) -> None:
    done = finetune(classifier, masks, out=tmp_path / "a.signet", recipe=RECIPE)
    assert isinstance(done, Adapted)

    def on_progress(moment: Progress) -> None:
        if moment.stage == "fine-tuning" and moment.done == 4:
            raise Stop

    ways = RunSettings(on_progress=on_progress)
    with pytest.raises(Stop):
        finetune(classifier, masks, out=tmp_path / "b.signet", recipe=RECIPE, run=ways)
    resumed = finetune(
        classifier, masks, out=tmp_path / "b.signet", recipe=RECIPE, run=RunSettings(resume=True)
    )
    assert isinstance(resumed, Adapted)
    assert resumed.history == done.history
    files = [path / "weights.safetensors" for path in (done.seal.path, resumed.seal.path)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.large
def test_a_detector_of_our_own_learns_from_scratch_and_further_from_its_seal(
    boxes: Dataset[Any], tmp_path: Path
) -> None:
    scratch = RECIPE.changed(strategy="scratch", epochs=1)
    found = starting_point("signet/yolov8n", scratch)
    done = finetune(found, boxes, out=tmp_path / "a.signet", recipe=scratch)
    check_sealed(done, boxes, scratch)
    words = "\n".join(done.plan.words())
    assert "nothing is pretrained" in words
    assert "frozen: nothing" in words
    card = done.seal.manifest.card
    assert card.lineage["trained_from"] == "random weights, nothing pretrained"
    assert card.licence.weights == "unknown"

    further = RECIPE.changed(epochs=1)
    again = finetune(tmp_path / "a.signet", boxes, out=tmp_path / "b.signet", recipe=further)
    check_sealed(again, boxes, further)
    assert "nothing of it is new, since its labels are the same" in "\n".join(again.plan.words())
    assert again.seal.manifest.card.lineage["finetuned_from"]["name"] == "a"
    assert again.history[0]["validation_ap"] == done.history[1]["validation_ap"]


def test_every_tensor_that_fits_is_kept_and_the_class_layers_are_new(boxes: Dataset[Any]) -> None:
    found = untrained("signet/yolov8n")
    recipe = RECIPE.changed(strategy="scratch")
    parent = adaptation(found, deal(boxes, recipe, silent), recipe).module
    module = adaptation(found, deal(boxes, recipe, silent), recipe.changed(seed=1)).module
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    new = keep(parent, module, class_layers=False)
    assert set(new) == {f"head.classes.{level}.2.{part}" for level in range(3) for part in ("weight", "bias")}
    for name, tensor in module.state_dict().items():
        expected = before[name] if name in new else parent.state_dict()[name]
        assert torch.equal(tensor, expected), name


def test_a_backbone_keeps_its_weights_and_shares_its_head_with_scratch(
    classifier: Path, boxes: Dataset[Any]
) -> None:
    found = resolve(classifier)
    parts = deal(boxes, RECIPE, silent)
    states = [
        adaptation(found, parts, RECIPE.changed(strategy=strategy)).module.state_dict()
        for strategy in ("partial", "scratch")
    ]
    for name, tensor in states[0].items():
        if tensor.ndim == 4:
            assert torch.equal(tensor, states[1][name]) is not name.startswith("backbone.body"), name
    whole = next(iter(found.networks)).build().state_dict()
    taken = [name for name in whole if f"backbone.body.{name}" in states[0]]
    assert len(taken) > 10
    assert all(torch.equal(states[0][f"backbone.body.{name}"], whole[name]) for name in taken)


def test_what_the_objects_are_like_is_said(masks: Dataset[Any]) -> None:
    seen = census(masks, (32, 48))
    assert seen.counts.tolist() == [11, 6]
    assert seen.most == 2
    assert np.allclose(seen.sides, 12, atol=1e-3)
    words = " ".join((*seen.words, *seen.warnings))
    assert "17 objects to learn from, at most 2 in one image: square 11, disc 6" in words
    assert "images without an object: 1" in words
    assert "labels with fewer than 10 objects to learn from: disc 6." in words
    assert smallest_anchor(seen) == 16
    assert smallest_anchor(census(masks, (16, 24))) == 8
    assert smallest_anchor(census(masks, (256, 384))) == 32


@pytest.mark.parametrize(
    ("head", "learned"), [("auto", "instances"), ("yolo", "instances"), ("faster-rcnn", "detect")]
)
def test_objects_with_masks_are_learned_as_the_head_gives_them(
    classifier: Path, masks: Dataset[Any], head: str, learned: str
) -> None:
    assert task_for(resolve(classifier), masks, RECIPE.changed(head=head)) == learned
    scratch = RECIPE.changed(strategy="scratch")
    assert task_for(untrained("signet/yolov8n"), masks, scratch) == "detect"


def test_what_does_not_fit_is_refused_in_words(classifier: Path, boxes: Dataset[Any], tmp_path: Path) -> None:
    found = resolve(classifier)

    def refused(words: str, model: Any = found, rows: Dataset[Any] = boxes, **changes: Any) -> None:
        with pytest.raises((BadRequest, BadDataset, WrongTask), match=words):
            finetune(model, rows, out=tmp_path / "x.signet", recipe=RECIPE.changed(**changes))
        assert list(tmp_path.glob("*x.signet*")) == []

    refused("--head unet: expected a head for objects", head="unet")
    refused("expects objects with masks, and the dataset states boxes only", head="mask-rcnn")
    refused("a probe gives one label for an image", strategy="probe")
    refused("frozen_stages 1: from scratch", strategy="scratch", frozen_stages=1)
    refused("no weights of it to begin with. Learn it from random ones", model=untrained("signet/yolov8n"))
    refused(
        "has a YOLO head of its own",
        model=untrained("signet/yolov8n"),
        strategy="scratch",
        head="faster-rcnn",
    )
    refused("expects objects with masks", model=untrained("signet/yolov8n-seg"), strategy="scratch")
    refused(
        "normalisation of .* is constants of its pretraining",
        model=untrained("torchvision/fasterrcnn_resnet50_fpn.coco_v1"),
        strategy="scratch",
    )
    refused("expected a classifier of timm.*; got starter_resnet of signet", model="starter")
    refused("expected at least 4 readable images", rows=boxes.subset([0, 1]))
    refused(
        "expected an object in the part",
        rows=boxes.subset([7] * 4).with_splits(["train"] * 2 + ["val", "test"]),
    )
    folder = tmp_path / "pictures"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        PillowImage.new("RGB", (8, 8)).save(folder / name / "0.png")
    refused(
        "expected objects \\(--head yolo\\), got one label an image", rows=from_folder(folder), head="yolo"
    )
    refused("recipe: mosaic: expected a dataset of objects", rows=from_folder(folder), mosaic=0.5)
