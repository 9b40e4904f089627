"""TorchScript and torch.export: what is written, what it answers, and which files are not opened."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile

import numpy as np
import pytest

import signet
from signet.engines.by_ending import open_file
from signet.engines.contract import EngineSettings
from signet.errors import BadCard, BadGraph, BadRequest, EngineError
from signet.exporting import ExportSettings, export, to_torch
from signet.exporting.materials import open_materials
from signet.exporting.modules import prelude_of, ready
from signet.exporting.preludes import check
from signet.steps import Layout, Normalise, Order, Range, Type
from signet.zoos import card_files

torch = pytest.importorskip("torch")
BOTH = pytest.mark.parametrize(("to", "ending"), [("torchscript", ".torchscript"), ("torch-export", ".pt2")])
INSIDE = ExportSettings(preprocessing="in")


@BOTH
@pytest.mark.parametrize("settings", [ExportSettings(), INSIDE], ids=["out", "in"])
def test_a_torch_file_answers_as_the_seal(torch_seal, tmp_path, to, ending, settings):
    exported = export(torch_seal, to, tmp_path / f"birds{ending}", settings=settings)
    assert exported.verdict.ok, exported.verdict.message
    assert exported.verdict.engine == to
    assert exported.verdict.agree == exported.verdict.total >= 3
    card = card_files.read_card(tmp_path / f"birds{ending}.card.json")
    assert card.inputs[0].shape[0] is None
    assert card.lineage["exported_from"]["outputs"] == ["logits"]


@BOTH
def test_a_torch_file_holds_its_card_and_no_path_of_this_machine(torch_seal, tmp_path, to, ending):
    path = tmp_path / f"birds{ending}"
    export(torch_seal, to, path)
    whole = b""
    with zipfile.ZipFile(path) as archive:
        texts = {name.rpartition("extra/")[2]: archive.read(name) for name in archive.namelist()}
        whole = b"".join(texts.values())
    assert texts["signet.seal"].decode() == torch_seal.digest
    assert json.loads(texts["signet.card"])["labels"] == ["red", "green", "blue", "white"]
    assert b"site-packages" not in whole
    assert str(signet.__file__).rpartition("/")[0].encode() not in whole


def test_a_graph_without_weights_says_what_to_export_to(tiny_seal, tmp_path):
    with pytest.raises(BadRequest, match="onnx or openvino"):
        export(tiny_seal, "torchscript", tmp_path / "x.torchscript")


def test_a_batch_that_was_fixed_is_a_divergence(torch_seal, tmp_path, monkeypatch):
    honest = ready

    def fixed(*arguments, **options):
        made = honest(*arguments, **options)

        class Alone(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = made.module

            def forward(self, images):
                return self.inner(images).reshape(2, -1)[:1].expand(len(images), -1)

        return made._replace(module=Alone().eval())

    monkeypatch.setattr(to_torch, "ready", fixed)
    exported = export(torch_seal, "torchscript", tmp_path / "x.torchscript")
    assert exported.path is None
    assert exported.verdict.first_divergence == "network"


def test_a_network_in_training_mode_is_a_divergence(torch_seal, tmp_path, monkeypatch):
    monkeypatch.setattr(
        to_torch,
        "ready",
        lambda *given, **options: ready(*given, **options)._replace(
            module=ready(*given, **options).module.train()
        ),
    )
    verdict = export(torch_seal, "torchscript", tmp_path / "x.torchscript").verdict
    assert verdict.first_divergence == "network"


@pytest.mark.parametrize(
    "steps",
    [
        (Type(), Range(1 / 255), Normalise((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), Layout()),
        (Layout(), Order("BGR"), Normalise((103.94, 116.78, 123.68), (58.4, 57.1, 57.4))),
        (Range(0.5, 1.0), Type("uint8"), Order("BGR")),
    ],
)
def test_the_prelude_of_torch_is_the_reference(steps):
    def answer(pictures):
        with torch.inference_mode():
            return prelude_of(steps)(torch.from_numpy(pictures)).numpy()

    assert check(steps, answer) <= 1e-5


def test_a_program_that_would_be_unpickled_is_not_opened(torch_seal, tmp_path):
    path = tmp_path / "birds.pt2"
    export(torch_seal, "torch-export", path)
    card = card_files.read_card(card_files.place_of(path))

    def changed(name, change):
        copy = tmp_path / f"{name}.pt2"
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
            for entry in old.infolist():
                for target, data in change(entry.filename, old.read(entry)):
                    new.writestr(target, data)
        return copy

    def pickled(name, data):
        if name.endswith("weights_config.json"):
            rows = json.loads(data)
            next(iter(rows["config"].values()))["use_pickle"] = True
            data = json.dumps(rows).encode()
        yield name, data

    def compiled(name, data):
        yield name, data
        if name.endswith("byteorder"):
            yield name.replace("byteorder", "data/aotinductor/model/x.so"), b"ELF"

    def objects(name, data):
        if "sample_inputs" in name:
            buffer = io.BytesIO()
            torch.save({"code": dataclasses.field}, buffer)
            data = buffer.getvalue()
        yield name, data

    for name, change, words in (
        ("pickled", pickled, "is pickled"),
        ("compiled", compiled, "compiled code"),
        ("objects", objects, "cannot be read so"),
    ):
        with pytest.raises(BadGraph, match=words):
            open_file(changed(name, change), card, EngineSettings())


def test_files_are_opened_as_they_are_and_no_otherwise(torch_seal, tmp_path):
    path = tmp_path / "birds.pt2"
    export(torch_seal, "torch-export", path)
    card = card_files.read_card(card_files.place_of(path))
    for settings in (EngineSettings(precision="bf16"), EngineSettings(device="cuda")):
        with pytest.raises(EngineError, match="fp32 on the processor"):
            open_file(path, card, settings)
    with pytest.raises(BadCard, match="outputs"):
        open_file(path, dataclasses.replace(card, lineage={}), EngineSettings())
    with pytest.raises(BadRequest, match=r"\.onnx"):
        open_file(tmp_path / "x.weights", card, EngineSettings())
    (tmp_path / "no.torchscript").write_bytes(b"PK nothing")
    with pytest.raises(EngineError, match="cannot open"):
        open_file(tmp_path / "no.torchscript", card, EngineSettings())


def test_an_engine_of_a_file_keeps_what_every_engine_promises(torch_seal, photographs, tmp_path):
    path = tmp_path / "birds.torchscript"
    export(torch_seal, "torchscript", path)
    card = card_files.read_card(card_files.place_of(path))
    images = [signet.read(photograph) for photograph in photographs]
    from signet.preprocessing import prepare

    batch = prepare(images, card.program)
    engine = open_file(path, card, EngineSettings())
    whole = engine.run(batch)["logits"].copy()
    one = open_file(
        path,
        dataclasses.replace(card, inputs=(dataclasses.replace(card.inputs[0], shape=(3, 3, 64, 64)),)),
        EngineSettings(),
    )
    assert np.array_equal(one.run(batch)["logits"].argmax(1), whole.argmax(1))
    assert np.abs(one.run(batch)["logits"] - whole).max() < 1e-4
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run(batch)
    assert open_materials(torch_seal).module is not None
