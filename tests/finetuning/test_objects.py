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

from signet.datasets import Dataset, from_coco  # noqa: E402
from signet.evaluation import evaluate  # noqa: E402
from signet.finetuning import Adapted, RunSettings, finetune  # noqa: E402
from signet.finetuning.dealing import deal  # noqa: E402
from signet.instances import Instances  # noqa: E402
from signet.models import load  # noqa: E402
from signet.progress import silent  # noqa: E402
from signet.recipes import Recipe  # noqa: E402
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
    assert json.dumps(done.to_dict())


@pytest.mark.parametrize("head", ["yolo", pytest.param("faster-rcnn", marks=pytest.mark.large)])
def test_a_backbone_learns_boxes_and_is_measured_and_sealed(
    classifier: Path, boxes: Dataset[Any], tmp_path: Path, head: str
) -> None:
    plans: list[Any] = []
    recipe = RECIPE.changed(head=head)
    ways = RunSettings(on_plan=plans.append)
    done = finetune(classifier, boxes, out=tmp_path / "a.signet", recipe=recipe, run=ways)
    words = "\n".join(plans[0].words())
    assert "head with random weights" in words
    assert "frozen: conv1, bn1, layer1" in words
    assert "64x96 pixels" in words
    assert "1 images without an object stay" in words or "objects to learn from" in words
    check_sealed(done, boxes, recipe)
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
