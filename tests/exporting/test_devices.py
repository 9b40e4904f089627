"""ExecuTorch, Core ML and LiteRT: what is said without their libraries, and what they make with them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import signet
from signet.errors import BadGraph, BadRequest, MissingExtra
from signet.exporting import ExportSettings, export, litert_conversion, to_devices
from signet.predictions import Classes


@pytest.mark.parametrize(
    ("to", "file", "package"),
    [("executorch", "x.pte", "executorch"), ("coreml", "x.mlpackage", "coremltools")],
)
def test_a_library_that_is_missing_is_named_with_its_extra(
    torch_seal, tmp_path, monkeypatch, to, file, package
):
    monkeypatch.setattr(to_devices, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=rf"{package}.*signet\[{to}\]"):
        export(torch_seal, to, tmp_path / file)


def test_litert_without_its_converter_says_the_lines_that_make_it(torch_seal, tmp_path, monkeypatch):
    monkeypatch.delenv(to_devices.CONVERTER, raising=False)
    with pytest.raises(BadRequest, match=r"(?s)venv litert.*pip install litert-torch.*--converter-python"):
        export(torch_seal, "litert", tmp_path / "x.tflite")
    nowhere = ExportSettings(converter=tmp_path / "no" / "python")
    with pytest.raises(BadRequest, match="there is none"):
        export(torch_seal, "litert", tmp_path / "x.tflite", settings=nowhere)
    assert not (tmp_path / "x.tflite").exists()


def script(folder: Path, body: str) -> Path:
    """A Python that does not convert."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_a_converter_that_fails_is_quoted(torch_seal, tmp_path):
    other = script(tmp_path, "echo 'first' >&2; echo 'ValueError: no words for aten.roll' >&2; exit 1")
    with pytest.raises(BadGraph, match=r"aten\.roll"):
        export(torch_seal, "litert", tmp_path / "x.tflite", settings=ExportSettings(converter=other))
    bare = script(tmp_path, f"exit {litert_conversion.MISSING}")
    with pytest.raises(BadRequest, match="not installed there"):
        export(torch_seal, "litert", tmp_path / "x.tflite", settings=ExportSettings(converter=bare))


def test_the_conversion_script_says_that_its_library_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    assert litert_conversion.main("a.pt2", "b.tflite") == litert_conversion.MISSING


@pytest.mark.large
@pytest.mark.filterwarnings("ignore")
def test_executorch_answers_as_the_seal(torch_seal, tmp_path):
    pytest.importorskip("executorch")
    exported = export(torch_seal, "executorch", tmp_path / "x.pte")
    assert exported.verdict.ok, exported.verdict.message
    assert exported.verdict.engine == "executorch"
    assert exported.verdict.agree == exported.verdict.total >= 3
    card = json.loads((tmp_path / "x.pte.card.json").read_text("utf-8"))
    assert card["inputs"][0]["shape"] == [1, 3, 64, 64]


@pytest.mark.large
@pytest.mark.filterwarnings("ignore")
def test_core_ml_is_converted_and_never_called_proven(torch_seal, tmp_path):
    coremltools = pytest.importorskip("coremltools")
    path = tmp_path / "x.mlpackage"
    first = export(torch_seal, "coreml", path)
    assert first.path is None
    assert list(tmp_path.iterdir()) == []
    exported = export(torch_seal, "coreml", path, settings=ExportSettings(keep=True))
    assert exported.path == path
    assert not exported.verdict.ok
    assert exported.verdict.first_divergence is None
    assert "converted and not run" in exported.verdict.message
    assert [stage.name for stage in exported.verdict.stages][-1] == "layout"
    told = coremltools.models.MLModel(str(path), skip_model_load=True)
    assert told.user_defined_metadata["signet.seal"] == torch_seal.digest
    assert told.get_spec().description.output[0].name == "logits"
    inside = ExportSettings(preprocessing="in")
    with pytest.raises(BadRequest, match="no bytes"):
        export(torch_seal, "coreml", tmp_path / "y.mlpackage", settings=inside)


@pytest.mark.large
@pytest.mark.filterwarnings("ignore")
def test_litert_answers_as_the_seal_in_its_own_runtime_and_in_openvino(torch_seal, photographs, tmp_path):
    pytest.importorskip("ai_edge_litert")
    if not os.environ.get(to_devices.CONVERTER):
        pytest.skip(f"{to_devices.CONVERTER} names no Python with litert-torch")
    exported = export(torch_seal, "litert", tmp_path / "x.tflite")
    assert exported.verdict.ok, exported.verdict.message
    assert exported.verdict.engine == "litert"
    answers = []
    for model in (torch_seal.path, tmp_path / "x.tflite"):
        with signet.load(model, Classes, engine="openvino", precision="fp32") as loaded:
            answers.append(np.array([answer.scores for answer in loaded(photographs)]))
    assert np.abs(answers[0] - answers[1]).max() < 1e-4
