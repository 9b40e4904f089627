"""The audit before a fine-tuning: a leak is said with the command that mends it, and can be left out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.datasets import open_dataset
from signet.errors import BadRequest
from signet.finetuning import RunSettings, finetune
from signet.recipes import Recipe

pytest.importorskip("onnx")
pytest.importorskip("imagehash")

PROBE = Recipe(strategy="probe", golden="made", threads=1)


class Enough(Exception):
    """Ends a run once its plan was told."""


def planned(folder, out, **ways):
    """The plan of a run that goes no further."""
    told = []

    def stop(plan):
        told.append(plan)
        raise Enough

    with pytest.raises(Enough):
        finetune(
            "starter", open_dataset(folder), out=out, recipe=PROBE, run=RunSettings(on_plan=stop, **ways)
        )
    return told[0]


@pytest.fixture
def leaking(make_shapes, tmp_path):
    folder = make_shapes(tmp_path / "data", {"train": 6, "test": 3})
    source = folder / "train" / "disc" / "000.png"
    (folder / "test" / "disc" / "copy.png").write_bytes(source.read_bytes())
    (folder / "train" / "square" / "broken.png").write_bytes(b"nothing")
    return folder


def test_what_is_severe_is_said_with_what_mends_it(leaking, tmp_path):
    notes = planned(leaking, tmp_path / "x.signet").notes
    (leak,) = (note for note in notes if "in more than one split" in note)
    assert "copy.png" in leak
    assert "signet audit" in leak
    assert "--fix" in leak
    assert any("broken.png" in note for note in notes)


def test_it_can_be_left_out_and_decides_nothing(leaking, tmp_path):
    without = planned(leaking, tmp_path / "x.signet", audit=False)
    assert not any("in more than one split" in note for note in without.notes)
    whole = planned(leaking, tmp_path / "y.signet")
    assert without.images == whole.images
    assert without.strategy == whole.strategy


def test_a_sound_dataset_says_nothing_more(tmp_path):
    random = np.random.default_rng(0)
    for split, name in itertools.product(("train", "test"), ("warm", "cold")):
        folder = tmp_path / "data" / split / name
        folder.mkdir(parents=True)
        for place in range(4):
            coarse = random.integers(0, 255, (4, 4, 3), np.uint8)
            PillowImage.fromarray(coarse).resize((48, 48)).save(folder / f"{place}.png")
    whole, without = (
        planned(tmp_path / "data", tmp_path / "x.signet", audit=wanted) for wanted in (True, False)
    )
    assert whole.notes == without.notes


def test_a_mistake_in_the_recipe_is_told_before_any_file_is_read(leaking, tmp_path, monkeypatch):
    def read(*_, **__):
        raise AssertionError

    monkeypatch.setattr("signet.finetuning.looking_over.audit", read)
    with pytest.raises(BadRequest, match="head_hidden"):
        finetune(
            "starter", open_dataset(leaking), out=tmp_path / "x.signet", recipe=PROBE.changed(head_hidden=3)
        )
