"""An engine that answers otherwise than the module of its graph is not used, and it is said."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from signet import parity, running
from signet.batches import Batch, Outputs
from signet.engines import on_onnx, on_openvino, on_torch
from signet.engines.contract import EngineSettings
from signet.errors import BadGraph, EngineError
from signet.networks import ModuleSource, Pretrained
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

    def off(*given: Any) -> dict[str, np.ndarray]:
        return {name: array * 1.01 for name, array in whole(*given).items()}

    monkeypatch.setattr(on_torch, "answer_in_double", off)
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
    found = on_torch.answer_in_double(source, batch)
    assert next(module.parameters()).dtype == torch.float32, "the caller's module is left as it was"
    assert found is not None
    exact = found["logits"]
    assert exact.dtype == np.float64
    with torch.inference_mode():
        single = module(torch.from_numpy(np.asarray(batch.arrays))).numpy()
    np.testing.assert_allclose(exact, single, rtol=0, atol=1e-5)


def test_the_order_of_boxes_is_no_part_of_the_answer() -> None:
    source = ModuleSource(lambda: None, "a" * 64, (3, 8, 8), outputs=("boxes", "scores"))
    random = np.random.default_rng(0)
    boxes, scores = random.random((2, 5, 4)), random.random((2, 5))
    turned = parity._named(source, {"boxes": boxes[:, ::-1], "scores": scores[:, ::-1]})
    given = parity._named(source, {"boxes": boxes, "scores": scores})
    assert list(given) == ["boxes", "scores"]
    for name, array in given.items():
        np.testing.assert_array_equal(array, turned[name])


class Two:
    """An engine of two outputs, which `spoil` may change: their name, array and (H, W) to an array."""

    name, version, precision, fuses = "onnx", "1", "fp32", False

    def __init__(self, spoil: Any = lambda _name, array, _size: array) -> None:
        self._spoil = spoil

    def run(self, batch: Batch) -> Outputs:
        images = np.asarray(batch.arrays)
        # Corners in pixels, and scores below 1: sorted, as detectors give them.
        cells = images[:, :, ::8, ::8].reshape(len(images), -1)[:, :40]
        arrays = {
            "boxes": 300 * cells.reshape(len(images), 10, 4),
            "scores": -np.sort(-cells, axis=1)[:, :10],
        }
        size = images.shape[2:]
        return Outputs({name: self._spoil(name, array, size) for name, array in arrays.items()})

    def close(self) -> None:
        pass


RESIZED = Program.from_list(
    [
        {"step": "read"},
        {"step": "resize", "short": 64, "longest": 96},
        {"step": "type", "dtype": "float32"},
        {"step": "range", "scale": 1 / 255},
        {"step": "layout"},
    ]
)


def fault_of(
    spoil: Any, monkeypatch: pytest.MonkeyPatch, program: Program = RESIZED, module: Any = None
) -> str:
    """What is said of an engine that is off in this way, where the module itself loses nothing."""
    source = ModuleSource(lambda: None, "a" * 64, (3, 64, 64), outputs=("boxes", "scores"), free_size=True)
    monkeypatch.setattr(on_torch, "open_module", lambda *_: module or Two())
    monkeypatch.setattr(on_torch, "answer_in_double", lambda _, batch: dict(Two().run(batch).arrays))
    return parity.fault(source, program, Two(spoil), None)  # type: ignore[arg-type]


def test_each_output_is_held_to_its_own_largest_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """A score that is off by 0.01 is none of a box of 300 pixels, but one of the scores."""
    assert not fault_of(lambda _name, array, _size: array, monkeypatch)
    found = fault_of(lambda name, array, _: array + 0.01 * (name == "scores"), monkeypatch)
    assert "by 1.0% of the largest value, where 0.1% is allowed" in found
    assert not fault_of(lambda name, array, _: array + 0.01 * (name == "boxes"), monkeypatch)


def test_pictures_of_another_size_are_asked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    found = fault_of(lambda _, array, size: array * (1 + (size != (64, 64))), monkeypatch)
    assert "on pictures of 101 x 165 by 100.0% of the largest value" in found

    def refuses(_: str, array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        if size != (64, 64):
            raise EngineError("not of this size")
        return array

    assert fault_of(refuses, monkeypatch).endswith("on pictures of 101 x 165 with no numbers")
    assert "with no numbers" in fault_of(lambda _name, array, _size: array * np.nan, monkeypatch)
    assert "with no numbers" in fault_of(lambda _name, array, _size: array[:, 1:], monkeypatch)


def test_the_other_size_is_one_that_the_program_gives_and_the_network_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def off(_: str, array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return array * (1 + (size != (64, 64)))

    rows = [*RESIZED.to_list(), {"step": "pad", "multiple": 16}]
    order = [0, 1, 5, 2, 3, 4]
    padded = Program.from_list([rows[place] for place in order])
    assert "on pictures of 112 x 176 by" in fault_of(off, monkeypatch, padded)

    def even(_: str, array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        if size[0] % 32 or size[1] % 32:
            raise EngineError("sides of multiples of 32 only")
        return array

    assert "on pictures of 128 x 192 by" in fault_of(off, monkeypatch, module=Two(even))


def test_detections_that_a_rounding_picks_say_nothing_of_the_engine(
    floor3: ModuleType, tmp_path: Path
) -> None:
    """All scores are one, so that the order of the sums decides which of the boxes are the best ten."""
    torch = pytest.importorskip("torch")

    class Even(torch.nn.Module):  # type: ignore[name-defined,misc]
        def forward(self, images: Any) -> tuple[Any, Any]:
            cells = images.unfold(2, 4, 2).unfold(3, 4, 2).flatten(1, 3).flatten(2)
            scores = (cells - cells.mean(dim=2, keepdim=True)).sum(dim=2)
            best = scores.topk(10).indices
            return best.float()[..., None].expand(-1, -1, 4), scores.gather(1, best).sigmoid()

    source = ModuleSource(Even, "5" * 64, (3, *floor3.SIZE), outputs=("boxes", "scores"))
    found = Pretrained(floor3.card(), (source,), source.digest, "mirror")
    for engine in ("onnx", "openvino"):
        running.start(found, engine, "fp32", settings(tmp_path)).engine.close()
    shares = [json.loads(place.read_text())["share"] for place in (tmp_path / "parity").iterdir()]
    assert max(shares) > parity.TOLERANCE, "this test compares nothing"


def test_a_module_that_cannot_be_a_graph_runs_on_torch(floor3: ModuleType, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Undecided(torch.nn.Module):  # type: ignore[name-defined,misc]
        def forward(self, images: Any) -> Any:
            means = images.mean(dim=(2, 3))
            return means if images.sum().item() > 0 else -means

    source = ModuleSource(Undecided, "6" * 64, (3, *floor3.SIZE))
    found = Pretrained(floor3.card(), (source,), source.digest, "mirror")
    started = running.start(found, "auto", "fp32", settings(tmp_path))
    assert started.engine.name == "torch"
    assert started.why.startswith("torch cannot express this module as a graph")
    assert started.why.count("torch cannot express") == 1, "both engines want the same graph"
    started.engine.close()
    with pytest.raises(BadGraph, match="--engine torch"):
        running.start(found, "openvino", "fp32", settings(tmp_path))


def test_a_program_that_resizes_floats_is_given_floats() -> None:
    rows = [
        {"step": "read"},
        {"step": "type", "dtype": "float32"},
        {"step": "resize", "fit": "stretch", "size": [8, 8], "antialias": False},
        {"step": "layout"},
    ]
    batch = parity._made_pictures((8, 8), Program.from_list(rows))
    assert np.asarray(batch.arrays).dtype == np.float32
