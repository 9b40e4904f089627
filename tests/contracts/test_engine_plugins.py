"""An engine of another package: held to the suite, found by its entry point; and the suite can say no."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from functools import partial
from importlib import metadata
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signet import running
from signet.batches import Batch, Outputs
from signet.cards import Card, InputSpec, OutputContract
from signet.engines.contract import EngineSettings
from signet.errors import BadRequest, CheckFailed, EngineError
from signet.networks import GraphFile, Pretrained
from signet.preprocessing import finish
from signet.programs import Program
from signet.steps import Layout, Read, Resize, Type
from signet.testing import TinyNetwork, check_engine

SIZE = (9, 14)


@pytest.fixture
def tiny(tmp_path: Path) -> Pretrained:
    """The tiny network as a graph."""
    graph = TinyNetwork.made().write(tmp_path / "tiny.onnx")
    card = Card(
        name="tests/tiny",
        task="classify",
        program=Program((Read(), Resize(size=SIZE, fit="stretch"), Type(), Layout())),
        output=OutputContract(head="softmax", tensor="logits", classes=5, features="features"),
        inputs=(InputSpec(name="images", shape=(None, 3, *SIZE)),),
    )
    return Pretrained(card, (graph,), graph.digest, "package")


class NumpyEngine:
    """An engine as a stranger would write it; `fault` makes it break one promise."""

    name = "numpy"
    version = "1"
    fuses = False
    outputs = ("logits", "features")

    def __init__(self, pretrained: Pretrained, settings: EngineSettings, fault: str = "") -> None:
        import onnx
        from onnx import numpy_helper

        graph = next(network for network in pretrained.networks if isinstance(network, GraphFile))
        weights = {
            entry.name: numpy_helper.to_array(entry) for entry in onnx.load(graph.path).graph.initializer
        }
        self.precision = "bf16" if fault == "precision" else settings.precision
        self._network = TinyNetwork(weights)
        self._closed = False
        self._fault = fault
        self._last: dict[str, np.ndarray] = {}

    def run(self, batch: Batch) -> Outputs:
        if (self._closed and self._fault != "closed") or not len(batch):
            raise EngineError(f"engine numpy: {'closed' if self._closed else 'an empty batch'}")
        arrays = batch.arrays if self._fault == "pending" else finish(batch).arrays
        rows = []
        for given in arrays:
            array = given[:, ::-1] if self._fault == "transposed" else given
            if array.dtype != np.float32 and self._fault not in ("dtype", "pending"):
                raise EngineError(f"engine numpy: expected float32, got {array.dtype}")
            if array.ndim != 3 or (array.shape[0] != 3 and self._fault != "pending"):
                raise EngineError(f"engine numpy: expected three channels, got {array.shape}")
            rows.append(self._network.answer(np.asarray(array, np.float32)[None]))
            if self._fault == "writes":
                array[0, 0, 0] += 1
        found = {name: np.concatenate([row[name] for row in rows]) for name in self.outputs}
        return Outputs(self._broken(found))

    def _broken(self, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        match self._fault:
            case "order":
                return {name: found[name] for name in reversed(self.outputs)}
            case "long":
                return {name: array[:4] for name, array in found.items()}
            case "double":
                return {name: array.astype(np.float64) for name, array in found.items()}
            case "buffer":
                for name, array in found.items():
                    kept = self._last.setdefault(name, np.zeros((9, array.shape[1]), np.float32))
                    kept[: len(array)] = array
                    found[name] = kept[: len(array)]
                return found
            case "random":
                noise = np.random.default_rng().normal(0, 1e-6, 5).astype(np.float32)
                return {**found, "logits": found["logits"] + noise}
        return found

    def close(self) -> None:
        self._closed = True


FAULTS = {
    "precision": "refuse instead",
    "order": "outputs says",
    "long": "images: logits",
    "double": "float64",
    "transposed": "off by",
    "dtype": "another dtype",
    "pending": "unexpected|off by",
    "buffer": "a later run changed",
    "random": "runs twice",
    "closed": "running a closed engine",
    "writes": "changed the arrays",
}


def test_the_suite_passes_a_strangers_engine(tmp_path: Path) -> None:
    check_engine(NumpyEngine, tmp_path)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_suite_catches_each_broken_promise(fault: str, tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match=FAULTS[fault]):
        check_engine(partial(NumpyEngine, fault=fault), tmp_path)


def test_the_suite_catches_an_engine_that_does_not_open(tmp_path: Path) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("boom")

    with pytest.raises(CheckFailed, match="unexpected KeyError"):
        check_engine(broken, tmp_path)


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], None]:
    """Install an entry point of the group `signet.engines`, as a package would."""

    def install(name: str, module: Any) -> None:
        if module is not None:
            monkeypatch.setitem(sys.modules, "signet_tests_plugin", module)
        point = EntryPoint(name, "signet_tests_plugin", "signet.engines")
        monkeypatch.setattr(metadata, "entry_points", lambda group: EntryPoints([point]).select(group=group))

    return install


def test_an_engine_of_another_package_is_found_by_its_name(plugged: Any, tiny: Any) -> None:
    module = types.ModuleType("signet_tests_plugin")
    module.open_model = NumpyEngine
    plugged("numpy", module)
    started = running.start(tiny, "numpy", "auto", EngineSettings(batch=3))
    assert isinstance(started.engine, NumpyEngine)
    assert started.settings.batch == 3
    assert started.settings.precision == "fp32"
    with pytest.raises(BadRequest, match="Did you mean 'numpy'"):
        running.start(tiny, "nump", "auto", EngineSettings())


def test_a_plugin_that_cannot_be_imported_is_an_engine_error(plugged: Any, tiny: Any) -> None:
    plugged("numpy", None)
    with pytest.raises(EngineError, match="signet_tests_plugin cannot be imported"):
        running.open_engine(tiny, "numpy", EngineSettings())


def test_a_plugin_without_open_model_is_an_engine_error(plugged: Any, tiny: Any) -> None:
    plugged("numpy", types.ModuleType("signet_tests_plugin"))
    with pytest.raises(EngineError, match="open_model"):
        running.open_engine(tiny, "numpy", EngineSettings())


def test_no_plugin_takes_the_name_of_an_engine_of_ours(plugged: Any, tiny: Any) -> None:
    module = types.ModuleType("signet_tests_plugin")
    module.open_model = NumpyEngine
    plugged("onnx", module)
    assert running.open_engine(tiny, "onnx", EngineSettings()).name == "onnx"
    plugged("auto", module)
    assert running.start(tiny, "auto", "fp32", EngineSettings()).engine.name == "openvino"
