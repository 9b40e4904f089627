"""An engine that answers otherwise than the module of its graph is not used, and it is said."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from signet import parity, running
from signet.batches import Batch, Outputs
from signet.engines import on_onnx, on_openvino, on_torch
from signet.engines.contract import EngineSettings
from signet.errors import EngineError
from signet.networks import ModuleSource
from signet.preprocessing import finish, prepare
from signet.programs import Program


class Altered:
    """An engine as it is, but for a share that is added to its answers."""

    def __init__(self, engine: Any, share: float) -> None:
        self._engine, self._share = engine, share
        self.name, self.version, self.precision = engine.name, engine.version, engine.precision
        self.fuses, self.outputs = engine.fuses, engine.outputs
        self.close = engine.close

    def run(self, batch: Batch) -> Outputs:
        answers = self._engine.run(batch).arrays
        return Outputs({name: value + self._share * np.abs(value).max() for name, value in answers.items()})


@pytest.fixture
def alter(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make one engine answer otherwise."""

    def by(module: ModuleType, share: float) -> None:
        whole = module.open_graph
        monkeypatch.setattr(module, "open_graph", lambda *given: Altered(whole(*given), share))

    return by


def settings(tmp_path: Path) -> EngineSettings:
    return EngineSettings(threads=1, cache=tmp_path)


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_a_sound_engine_is_used_and_asked_once(
    engine: str, floor3: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = floor3.module_model()
    running.start(model, engine, "fp32", settings(tmp_path)).engine.close()
    assert len(list((tmp_path / "parity").iterdir())) == 1
    monkeypatch.setattr(parity, "_measured", lambda *_: pytest.fail("asked again"))
    running.start(model, engine, "fp32", settings(tmp_path)).engine.close()


@pytest.mark.parametrize(("engine", "module"), [("onnx", on_onnx), ("openvino", on_openvino)])
def test_an_engine_that_answers_otherwise_is_refused(
    engine: str, module: ModuleType, floor3: ModuleType, tmp_path: Path, alter: Any
) -> None:
    alter(module, 0.02)
    for _ in range(2):  # measured, then remembered
        with pytest.raises(EngineError, match=r"by 2\.0% of the largest value.*Use --engine torch"):
            running.start(floor3.module_model(), engine, "fp32", settings(tmp_path))


def test_auto_takes_the_next_engine_and_says_why(floor3: ModuleType, tmp_path: Path, alter: Any) -> None:
    alter(on_openvino, 0.02)
    started = running.start(floor3.module_model(), "auto", "fp32", settings(tmp_path))
    assert started.engine.name == "onnx"
    assert "answers otherwise" in started.why
    started.engine.close()
    alter(on_onnx, 0.02)
    (tmp_path / "second").mkdir()
    started = running.start(floor3.module_model(), "auto", "fp32", settings(tmp_path / "second"))
    assert started.engine.name == "torch"
    started.engine.close()


def test_a_difference_of_rounding_is_none(floor3: ModuleType, tmp_path: Path, alter: Any) -> None:
    alter(on_openvino, 1e-4)
    started = running.start(floor3.module_model(), "openvino", "fp32", settings(tmp_path))
    assert started.engine.name == "openvino"
    started.engine.close()


def test_a_broken_record_is_asked_again(floor3: ModuleType, tmp_path: Path) -> None:
    running.start(floor3.module_model(), "onnx", "fp32", settings(tmp_path)).engine.close()
    (record,) = (tmp_path / "parity").iterdir()
    record.write_text("{")
    running.start(floor3.module_model(), "onnx", "fp32", settings(tmp_path)).engine.close()
    assert "share" in record.read_text()


def test_a_network_that_blows_roundings_up_says_nothing_of_the_engine(
    floor3: ModuleType, tmp_path: Path, alter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own answer in float32 is a percent off the one in float64: then 2 % of an engine are no fault."""
    alter(on_openvino, 0.02)
    whole = on_torch.answer_in_double
    monkeypatch.setattr(on_torch, "answer_in_double", lambda *given: whole(*given) * 1.01)
    for _ in range(2):  # measured, then remembered
        running.start(floor3.module_model(), "openvino", "fp32", settings(tmp_path)).engine.close()
    alter(on_onnx, 0.2)
    with pytest.raises(EngineError, match=r"by 20\.0% of the largest value"):
        running.start(floor3.module_model(), "onnx", "fp32", settings(tmp_path))


def test_the_answer_in_double_is_that_of_the_module(floor3: ModuleType) -> None:
    torch = pytest.importorskip("torch")
    batch = finish(prepare([floor3.picture(seed) for seed in range(2)], floor3.PROGRAM))
    module = floor3.torch_module()
    source = dataclasses.replace(floor3.module_source(), build=lambda: module)
    exact = on_torch.answer_in_double(source, batch)
    assert next(module.parameters()).dtype == torch.float32, "the caller's module is left as it was"
    assert exact is not None
    assert exact.dtype == np.float64
    with torch.inference_mode():
        single = module(torch.from_numpy(np.asarray(batch.arrays))).numpy()
    np.testing.assert_allclose(exact, single, rtol=0, atol=1e-5)


def test_the_order_of_boxes_is_no_part_of_the_answer() -> None:
    source = ModuleSource(lambda: None, "a" * 64, (3, 8, 8), outputs=("boxes", "scores"))
    random = np.random.default_rng(0)
    boxes, scores = random.random((2, 5, 4)), random.random((2, 5))
    turned = {"boxes": boxes[:, ::-1], "scores": scores[:, ::-1]}
    given = parity._answer(source, {"boxes": boxes, "scores": scores})
    np.testing.assert_array_equal(given, parity._answer(source, turned))
    assert given.shape == (2, 25)


def test_a_program_that_resizes_floats_is_given_floats() -> None:
    source = ModuleSource(lambda: None, "a" * 64, (3, 8, 8), outputs=("boxes", "scores"))
    rows = [
        {"step": "read"},
        {"step": "type", "dtype": "float32"},
        {"step": "resize", "fit": "stretch", "size": [8, 8], "antialias": False},
        {"step": "layout"},
    ]
    batch = parity._made_pictures(source, Program.from_list(rows))
    assert np.asarray(batch.arrays).dtype == np.float32
