"""From one image of each class on: learned by a probe, measured on test images; what is not known is said."""

from __future__ import annotations

import pytest

from signet.datasets import open_dataset
from signet.finetuning import finetune
from signet.recipes import Recipe
from signet.verification import verify

pytest.importorskip("onnx")
pytest.importorskip("imagehash")

RECIPE = Recipe(golden="made", threads=1)


def test_one_image_of_each_class_is_learned_and_sealed(make_shapes, tmp_path):
    data = open_dataset(make_shapes(tmp_path / "data", {"train": 1, "test": 10}))
    done = finetune("starter", data, out=tmp_path / "x.signet", recipe=RECIPE)
    assert done.plan.strategy == done.chosen == "probe"
    assert done.report.count == 30
    assert done.metrics["top1"].value > 0.5
    assert done.validation == {}
    assert done.seal.manifest.card.output.temperature == 1.0
    assert any("one image of each class" in note for note in done.plan.notes)
    assert verify(done.seal.path).ok


def test_a_class_of_one_image_is_learned_beside_others(make_shapes, tmp_path):
    folder = make_shapes(tmp_path / "data", {"train": 4, "test": 5})
    for path in sorted((folder / "train" / "disc").iterdir())[1:]:
        path.unlink()
    done = finetune("starter", open_dataset(folder), out=tmp_path / "x.signet", recipe=RECIPE)
    assert done.plan.images == {"training": 9, "validation": 0, "test": 15}
    assert any("One image only of 'disc'" in note for note in done.plan.notes)
