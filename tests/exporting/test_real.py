"""A real network in the runtimes that are always here: 250 photographs, decided as the seal decides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from signet.arrays import Floats
from signet.engines.by_ending import open_file
from signet.engines.contract import EngineSettings
from signet.exporting import FORMATS, ExportSettings, export
from signet.images import Image
from signet.models import Model, load, resolve
from signet.networks import Pretrained
from signet.predictions import Classes
from signet.running import Running
from signet.sealing import seal
from signet.zoos import card_files

pytest.importorskip("torch")
pytest.importorskip("timm")

ONE = EngineSettings(threads=1)


def scores(model: Model[Classes], images: list[Image]) -> Floats:
    """Float32 (N, C), the images in batches of 25."""
    parts = [model(images[start : start + 25]) for start in range(0, len(images), 25)]
    return np.stack([answer.scores for part in parts for answer in part])


def test_exported_files_decide_250_photographs_as_the_seal_does(shared: Path, tmp_path: Path) -> None:
    paths = sorted((shared / "data" / "imagenet_sample_250").glob("*.JPEG"))
    assert len(paths) == 250
    found = resolve(str(shared / "weights" / "mobilenetv2_100.coral_in1k"))
    sealed = seal(found, paths[:4], out=tmp_path / "x.signet")
    with load(sealed.path, Classes, engine="onnx", precision="fp32", settings=ONE) as model:
        images = [model.read(path) for path in paths]
        expected = scores(model, images)
    for to in ("onnx", "openvino", "torchscript"):
        target = tmp_path / f"{to}{FORMATS[to].ending}"
        exported = export(sealed, to, target, settings=ExportSettings(snippet=None))
        assert exported.verdict.ok, exported.verdict.message
        card = card_files.read_card(card_files.place_of(target))
        running = Running(open_file(target, card, ONE), ONE, "its own runtime")
        with Model[Classes](Pretrained(card, (), "", "file"), running) as model:
            given = scores(model, images)
        assert (given.argmax(1) == expected.argmax(1)).all(), to
        assert np.abs(given - expected).max() < 1e-4, to
