"""Settings and data are checked when they are made, with words that help."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from signet.errors import BadDataset, BadInput, BadRequest
from signet.training import TrainSettings, train


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("epochs", 0, r"epochs: expected a whole number of at least 1, got 0"),
        ("epochs", 2.5, r"epochs: expected a whole number"),
        ("batch", True, r"batch: expected a whole number"),
        ("head_rate", 1.0, r"head_rate: expected 0 to 0\.1, got 1\.0\. .*destroys what was pretrained"),
        ("backbone_rate", float("nan"), r"backbone_rate: expected 0 to 0\.1, got nan"),
        ("label_smoothing", 1.0, r"label_smoothing: expected 0 to below 1"),
        ("budget_seconds", -1, r"budget_seconds: expected a finite number"),
        ("mosaic", 1.5, r"mosaic: expected 0 to 1, got 1\.5\. It is a share of the views"),
        ("ema", 1, r"ema: expected 0 to below 1, got 1\. At 1 the average never leaves"),
        (
            "augmentation",
            "heavy",
            r"augmentation: expected one of 'none', 'light', 'medium', 'strong'; got 'heavy'",
        ),
        ("batchnorm", "eval", r"batchnorm: expected one of 'frozen', 'batch'"),
        ("select", "f1", r"select: expected one of 'accuracy', 'loss'"),
        ("classifier", "", r"classifier: expected the dotted name"),
        ("frozen", "blocks", r"frozen: expected a tuple of stage names, got the text 'blocks'"),
    ],
)
def test_a_setting_out_of_range_says_what_was_expected(name: str, value: object, words: str) -> None:
    fields = {"classifier": "head", name: value}
    with pytest.raises(BadRequest, match=words):
        TrainSettings(**fields)  # type: ignore[arg-type]


def test_mosaics_need_augmentation_and_objects(tiny: ModuleType, images: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="mosaic: expected 0 without augmentation"):
        TrainSettings(classifier="head", mosaic=0.5, augmentation="none")
    with pytest.raises(BadRequest, match=r"mosaic: expected 0 where no objects are learned, got 0\.5"):
        train(tiny.network(), tiny.data_in(images), tiny.settings(mosaic=0.5), folder=tmp_path, resume=False)


def test_a_class_that_is_never_seen_is_refused(tiny: ModuleType, images: Path) -> None:
    with pytest.raises(BadDataset, match=r"none of class 3\. What is never seen cannot be learned"):
        tiny.data_in(images, classes=4)
    with pytest.raises(BadDataset, match="validation part, got none"):
        tiny.data_in(images, validation=[], validation_targets=np.zeros(0, np.int64))
    with pytest.raises(BadDataset, match="validation targets: expected 0 to 2, got 0 to 3"):
        tiny.data_in(images, validation_targets=np.arange(10) % 4)
    with pytest.raises(BadInput, match="train targets"):
        tiny.data_in(images, train_targets=np.zeros(3, np.int64))
    with pytest.raises(BadDataset, match="at least 2 classes"):
        tiny.data_in(images, classes=1)


def test_data_are_frozen_copies(tiny: ModuleType, images: Path) -> None:
    data = tiny.data_in(images)
    assert isinstance(data.train, tuple)
    with pytest.raises(ValueError, match="read-only"):
        data.train_targets[0] = 1
