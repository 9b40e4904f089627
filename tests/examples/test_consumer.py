"""The reference consumer reads what Signet writes, without Signet."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.models import load
from signet.sealing import seal

ROOT = Path(__file__).resolve().parent.parent.parent
CONSUMER = ROOT / "examples" / "consumer.py"
COMMITTED = ROOT / "tests" / "golden" / "seals" / "tiny-1.0.signet"


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    # The one of the tests of seals: a network that was traced once is not traced again.
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path_factory.getbasetemp() / "signet-cache"))


@pytest.fixture(scope="module")
def consumer():
    spec = importlib.util.spec_from_file_location("signet_consumer", CONSUMER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pictures(tmp_path):
    generator = np.random.default_rng(8)
    paths = []
    for place, (size, mode, ending) in enumerate(
        [((40, 90), "RGB", "jpg"), ((90, 40), "L", "png"), ((64, 64), "RGBA", "png"), ((33, 57), "P", "png")]
    ):
        values = generator.integers(0, 256, (7, 9, 3)).astype(np.uint8)
        exif = PillowImage.Exif()
        exif[0x0112] = place + 3
        path = tmp_path / f"{place}.{ending}"
        PillowImage.fromarray(values).resize(size).convert(mode).save(path, exif=exif)
        paths.append(path)
    return paths


def test_it_imports_nothing_of_ours():
    for place in (CONSUMER, CONSUMER.with_name("consumer_boxes.py")):
        text = place.read_text("utf-8")
        assert "import signet" not in text
        assert "from signet" not in text
        assert text.count("\n") < 320


def test_its_answers_are_signets(consumer, pictures, tmp_path):
    sealed = seal(COMMITTED, pictures, out=tmp_path / "fresh.signet")
    reader = consumer.Classifier(sealed.path)
    assert reader.verify() == len(sealed.golden)
    with load(sealed.path, engine="onnx") as model:
        for path, ours in zip(pictures, model(pictures), strict=True):
            assert np.allclose(reader.probabilities(path), ours.scores, atol=1e-6)
            assert reader.answer(path)["label"] == ours.best


def test_its_answers_are_signets_on_real_networks(consumer, shared, tmp_path, monkeypatch):
    pytest.importorskip("torchvision")
    monkeypatch.setenv("SIGNET_MIRROR", str(shared / "weights"))
    images = sorted((shared / "data" / "imagenet_sample_250").glob("*.JPEG"))[::25]
    sealed = seal("squeezenet1_0.dc_in1k", images[:2], out=tmp_path / "real.signet")
    reader = consumer.Classifier(sealed.path)
    assert reader.verify() == 4
    with load(sealed.path, engine="onnx") as model:
        for path, ours in zip(images, model(images), strict=True):
            assert np.allclose(reader.probabilities(path), ours.scores, atol=1e-5)


@pytest.mark.parametrize(
    "steps",
    [
        [{"step": "resize", "size": [16, 16], "fit": "pad"}, {"step": "pad", "to": [16, 16], "value": 114}],
        [
            {"step": "resize", "short": 20, "longest": 24, "rounding": "round"},
            {"step": "crop", "size": [16, 16]},
        ],
        [{"step": "crop", "fraction": 0.8}, {"step": "resize", "size": [16, 16], "fit": "stretch"}],
        [{"step": "resize", "size": [16, 16], "fit": "stretch", "antialias": False, "filter": "bicubic"}],
        [
            {"step": "crop", "size": [120, 120], "fill": [1, 2, 3]},
            {"step": "resize", "size": [16, 16], "fit": "stretch"},
        ],
        [
            {"step": "crop", "size": [40, 30], "anchor": "top-left"},
            {"step": "pad", "multiple": 32, "anchor": "top-left"},
        ],
        [{"step": "resize", "short": 200, "upscale": False}, {"step": "order", "order": "BGR"}],
        [{"step": "range", "scale": 2.0, "offset": -3.0}, {"step": "type", "dtype": "uint8"}],
    ],
)
def test_its_preprocessing_is_the_reference_executors(consumer, pictures, steps):
    from signet.decoding import read
    from signet.preprocessing import prepare
    from signet.programs import Program

    tail = [{"step": "normalise", "mean": [9, 8, 7], "std": [2, 3, 4]}, {"step": "layout"}]
    program = Program.from_list([{"step": "read"}, *steps, *tail])
    for path in pictures:
        ours = prepare([read(path)], program).arrays
        assert np.allclose(consumer.prepared(path, program.to_list()), ours, atol=1e-5)


def _sealed_anew(folder, data):
    (folder / "seal.json").write_bytes(data)
    (folder / "seal.sha256").write_text(f"{hashlib.sha256(data).hexdigest()}  seal.json\n")


EDITS = {
    "a key twice": lambda data: data.replace(b'"weights":', b'"weights": null,\n "weights":', 1),
    "no number": lambda data: data.replace(b'"calibration":', b'"later": NaN, "calibration":', 1),
    "an infinite number": lambda data: data.replace(b'"calibration":', b'"later": 1e999, "calibration":', 1),
    "no object": lambda _: b"[]",
    "no card": lambda data: data.replace(b'"card":', b'"cart":', 1),
    "bottomless": lambda _: b"[" * 100_000,
    "an unknown step": lambda data: data.replace(b'"step": "crop"', b'"step": "trim"', 1),
    "an unknown field": lambda data: data.replace(b'"step": "crop"', b'"step": "crop", "by": 2', 1),
    "another label": lambda data: data.replace("日本".encode(), "日木".encode(), 1),
}


@pytest.mark.parametrize("name", EDITS)
def test_it_refuses_a_manifest_that_the_format_forbids(consumer, tmp_path, capsys, name):
    folder = Path(shutil.copytree(COMMITTED, tmp_path / "s.signet"))
    before = (folder / "seal.json").read_bytes()
    after = EDITS[name](before)
    assert after != before
    _sealed_anew(folder, after)
    assert consumer.main([str(folder)]) == 1
    assert "error:" in capsys.readouterr().err


def test_a_signed_seal_is_read_as_one_without_signature(consumer, tmp_path):
    folder = Path(shutil.copytree(COMMITTED, tmp_path / "s.signet"))
    (folder / "seal.sig").write_text("{}")
    assert consumer.main([str(folder)]) == 0


@pytest.mark.parametrize("name", ["seal.json", "seal.sha256", "golden/1.png"])
def test_a_missing_file_an_empty_folder_and_a_pipe_are_errors(consumer, tmp_path, name):
    folder = Path(shutil.copytree(COMMITTED, tmp_path / "s.signet"))
    (folder / name).unlink()
    assert consumer.main([str(folder)]) == 1
    folder = Path(shutil.copytree(COMMITTED, tmp_path / "t.signet"))
    (folder / "empty").mkdir()
    assert consumer.main([str(folder)]) == 1
    (folder / "empty").rmdir()
    os.mkfifo(folder / "pipe")
    assert consumer.main([str(folder)]) == 1
    (folder / "pipe").unlink()
    assert consumer.main([str(folder), str(folder / "README.md")]) == 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_it_reads_a_picture_of_any_mode_as_signet_does(consumer, tmp_path, mode):
    from signet.decoding import read

    generator = np.random.default_rng(4)
    path = tmp_path / ("picture.jpg" if mode == "CMYK" else "picture.png")
    if mode == "I;16":
        PillowImage.fromarray(generator.integers(0, 65536, (20, 30)).astype(np.uint16)).save(path)
    else:
        values = generator.integers(0, 256, (20, 30, 4)).astype(np.uint8)
        PillowImage.fromarray(values).convert("RGBA" if mode == "LA" else "RGB").convert(mode).save(path)
    step = {"step": "read", "channels": "RGB", "orient": True}
    assert np.array_equal(consumer.read(path, step), read(path).pixels)


def test_a_program_may_leave_its_defaults_out(consumer, pictures):
    from signet.decoding import read
    from signet.preprocessing import prepare
    from signet.programs import Program

    steps = [{"step": "read"}, {"step": "resize", "short": 20}, {"step": "crop", "size": [16, 16]}]
    steps += [{"step": "range", "scale": 0.5}, {"step": "layout"}]
    for path in pictures:
        ours = prepare([read(path)], Program.from_list(steps)).arrays
        assert np.allclose(consumer.prepared(path, steps), ours, atol=1e-5)


def test_it_refuses_what_signet_refuses(tmp_path, pictures):
    def ran(folder):
        command = [sys.executable, "-W", "error", str(CONSUMER), str(folder), str(pictures[0])]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    folder = Path(shutil.copytree(COMMITTED, tmp_path / "s.signet"))
    good = ran(folder)
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["source"] == str(pictures[0])
    path = folder / "golden" / "0.jpg"
    path.write_bytes(path.read_bytes()[:-1])
    assert "golden/0.jpg" in ran(folder).stderr
    shutil.copyfile(COMMITTED / "golden" / "0.jpg", path)
    (folder / "extra").write_bytes(b"")
    bad = ran(folder)
    assert bad.returncode == 1
    assert "extra" in bad.stderr


def test_it_says_which_answers_it_does_not_decode(tmp_path, capsys, consumer):
    def edit(manifest):
        manifest["card"]["task"] = "detect"
        manifest["card"]["output"] = {"head": "yolox", "strides": [8, 16], "nms": {"iou": 0.5}}

    folder = Path(shutil.copytree(COMMITTED, tmp_path / "s.signet"))
    manifest = json.loads((folder / "seal.json").read_text("utf-8"))
    edit(manifest)
    _sealed_anew(folder, json.dumps(manifest).encode())
    assert consumer.main([str(folder)]) == 1
    said = capsys.readouterr().err
    assert "all files are as they were sealed" in said
    assert "'yolox' (task 'detect')" in said
