"""What goes wrong around an engine: caches that cannot be used, devices that fail, a close in between."""

from __future__ import annotations

import dataclasses
import os
import queue
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from signet import storage, tracing
from signet.batches import Batch
from signet.cards import InputSpec
from signet.engines import on_onnx, on_openvino, on_torch
from signet.engines.contract import EngineSettings
from signet.errors import EngineError, SignetError
from signet.geometry import Geometry
from signet.graphs.opening import open_graph
from signet.networks import ModuleSource, Pretrained
from signet.preprocessing import prepare
from signet.programs import Program
from signet.running import open_engine
from signet.steps import Layout, Range, Read, Type


@pytest.fixture
def model(floor3: ModuleType, tmp_path: Path) -> Pretrained:
    return floor3.graph_model(tmp_path)


def _answers(floor3: ModuleType, model: Pretrained, settings: EngineSettings) -> bool:
    engine = open_engine(model, "openvino", settings)
    batch = prepare([floor3.picture()], model.card.program, fuse=engine.fuses)
    return engine.run(batch)["logits"].shape == (1, 5)


def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(
    floor3: ModuleType, model: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    assert _answers(floor3, model, EngineSettings(threads=1, cache=tmp_path / "file" / "cache"))

    def full(*_: Any, **__: Any) -> None:
        raise SignetError("no space left on the disk")

    monkeypatch.setattr(storage, "write_bytes", full)
    assert _answers(floor3, model, EngineSettings(threads=1, cache=tmp_path / "cache"))


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_compiled_networks_are_not_taken_from_where_others_may_write(
    floor3: ModuleType, model: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are native code, and the digest beside them was written by whoever wrote them."""
    settings = EngineSettings(threads=1, cache=tmp_path / "cache")
    assert _answers(floor3, model, settings)
    folder = tmp_path / "cache" / "compiled"
    assert len(list(folder.glob("*.blob"))) == 1
    folder.chmod(0o777)
    monkeypatch.setattr(on_openvino, "_import", lambda *_: pytest.fail("it was imported"))
    assert _answers(floor3, model, settings)
    folder.chmod(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    if folder.stat().st_uid:
        assert _answers(floor3, model, settings)


def test_another_input_is_another_compiled_network(
    floor3: ModuleType, model: Pretrained, tmp_path: Path
) -> None:
    """The dtype and layout that the card states decide what is compiled, so the key holds them."""
    settings = EngineSettings(threads=1, cache=tmp_path / "cache")
    core, (graph,) = on_openvino._core(), model.networks
    spec = model.card.inputs[0]
    others = [spec, dataclasses.replace(spec, dtype="uint8"), dataclasses.replace(spec, shape=(1, 16, 12, 3))]
    keys = {on_openvino._key(graph, other, model.card.program, settings, core) for other in others}
    assert len(keys) == 3


def test_closing_never_waits_for_a_request_that_a_run_has_just_taken(
    floor3: ModuleType, model: Pretrained
) -> None:
    engine: Any = open_engine(model, "openvino", EngineSettings(threads=1))

    class Taken(queue.SimpleQueue[Any]):
        """Says that a request is there; a run takes it before close does."""

        def empty(self) -> bool:
            if super().empty():
                return True
            self.get_nowait()
            return False

    taken = Taken()
    taken.put(engine._requests.get())
    engine._requests = taken
    closing = threading.Thread(target=engine.close, daemon=True)
    closing.start()
    closing.join(10)
    assert not closing.is_alive()


class _Broken:
    """A torch that fails on a GPU as CUDA does: on many lines, and not before it is used."""

    def __init__(self, real: Any, words: str) -> None:
        self._real = real
        self._words = words

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def zeros(self, *_: Any, **__: Any) -> None:
        raise RuntimeError(self._words)


def test_a_device_that_fails_is_named_in_one_line_before_weights_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch = pytest.importorskip("torch")
    words = "CUDA error: out of memory\nCUDA kernel errors might be reported later\nCompile with ..."
    monkeypatch.setitem(sys.modules, "torch", _Broken(torch, words))
    source = ModuleSource(lambda: pytest.fail("the weights were read"), "a" * 64, (3, 8, 8))
    with pytest.raises(EngineError) as caught:
        on_torch.open_module(source, EngineSettings(device="cuda:0"))
    assert "cannot use device 'cuda:0': CUDA error: out of memory Here there are: cpu" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_fails_while_running_is_one_line_too(floor3: ModuleType) -> None:
    torch = pytest.importorskip("torch")

    class Failing(torch.nn.Module):
        def forward(self, _: Any) -> Any:
            raise RuntimeError("CUDA error: device-side assert triggered\nFor debugging consider ...")

    model = floor3.module_model()
    source = ModuleSource(Failing, "a" * 64, (3, 16, 12))
    engine = on_torch.open_module(source, EngineSettings())
    with pytest.raises(EngineError, match=r"device-side assert triggered$"):
        engine.run(prepare([floor3.picture()], model.card.program))


def test_a_head_that_is_no_layer_is_an_error_of_ours(floor3: ModuleType) -> None:
    pytest.importorskip("torch")
    source = dataclasses.replace(floor3.module_source(), classifier="no.such")
    with pytest.raises(EngineError, match=r"no layer 'no\.such', which should be its head"):
        on_torch.open_module(source, EngineSettings())


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_padding_with_zeros_before_a_max_pooling_stays_one(engine: str, tmp_path: Path) -> None:
    """ONNX Runtime's optimizer makes it the pooling's own, which pads with minus infinity."""
    torch = pytest.importorskip("torch")

    class Padded(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.ConstantPad2d(1, 0.0), torch.nn.MaxPool2d(3, 2), torch.nn.Flatten()
            )

        def forward(self, images: Any) -> Any:
            return self.layers(images)

    source = ModuleSource(lambda: Padded().eval(), "b" * 64, (3, 8, 8))
    tracing.export(source, tmp_path / "graph.onnx")
    graph = open_graph(tmp_path / "graph.onnx")
    pictures = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    program = Program((Read(), Type("float32"), Range(1.0, -300.0), Layout("NCHW")))
    if engine == "onnx":
        opened: Any = on_onnx.open_graph(graph, EngineSettings())
    else:
        opened = on_openvino.open_graph(graph, InputSpec("images"), program, EngineSettings())
    batch = Batch(pictures, (Geometry.of((8, 8)),) * 2, ("", ""), program.split()[1])
    with torch.no_grad():
        expected = Padded()(torch.from_numpy(pictures).permute(0, 3, 1, 2) - 300.0).numpy()
    assert (expected == 0).any(), "the zeros win somewhere"
    np.testing.assert_array_equal(opened.run(batch)["logits"], expected)
