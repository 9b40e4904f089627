"""From module to graph: once, by whoever comes first, and never again with torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from signet import tracing
from signet.engines.contract import EngineSettings
from signet.errors import BadGraph, MissingExtra
from signet.models import load
from signet.networks import ModuleSource, ModuleSpec, Pretrained
from signet.testing import TinyNetwork

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
TESTS = Path(__file__).parent

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
{before}
from pathlib import Path
import numpy as np
import floor3
from signet import tracing
def counted(source, to, export=tracing.export):
    with (to.parent / "exports.log").open("a") as log:
        log.write("one\\n")
    export(source, to)
tracing.export = counted
graph = tracing.traced(floor3.module_source({digest!r}), Path(sys.argv[2]))
import onnxruntime
session = onnxruntime.InferenceSession(graph.path, providers=["CPUExecutionProvider"])
images = np.linspace(0, 1, 3 * 3 * 16 * 12, dtype="f4").reshape(3, 3, 16, 12)
logits, features = session.run(["logits", "features"], {{"images": images}})
print(graph.digest, float(logits.sum()), "torch" in sys.modules and sys.modules["torch"] is not None)
"""


def started(cache: Path, before: str = "", digest: str = "a" * 64) -> subprocess.Popen[str]:
    code = PROGRAM.format(before=before, digest=digest)
    command = [sys.executable, "-c", code, str(TESTS), str(cache)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes)


def said(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return out.split()


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[str]]]:
    """A cache that two processes filled at once, and what each of them said."""
    cache = tmp_path_factory.mktemp("graphs")
    both = [started(cache), started(cache)]
    return cache, [said(process) for process in both]


@pytest.mark.slow
def test_two_processes_at_once_make_one_graph(traced: tuple[Path, list[list[str]]]) -> None:
    cache, answers = traced
    assert answers[0][:2] == answers[1][:2]
    assert len(list(cache.glob("*.onnx"))) == 1
    assert (cache / "exports.log").read_text() == "one\n", "the second one waits for the first"
    assert not [path for path in cache.iterdir() if ".part" in path.name]


@pytest.mark.slow
def test_a_cached_graph_needs_no_torch(traced: tuple[Path, list[list[str]]]) -> None:
    cache, answers = traced
    block = "for name in ('torch', 'torchvision', 'timm', 'onnxscript', 'onnx'): sys.modules[name] = None"
    digest, total, has_torch = said(started(cache, block))
    assert [digest, total] == answers[0][:2]
    assert has_torch == "False"


@pytest.mark.slow
def test_the_graph_answers_like_the_module_for_any_batch(
    traced: tuple[Path, list[list[str]]], floor3: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    monkeypatch.setattr(tracing, "export", lambda *_: pytest.fail("it was traced again"))
    graph = tracing.traced(floor3.module_source(), traced[0])
    session = onnxruntime.InferenceSession(graph.path, providers=["CPUExecutionProvider"])
    assert [port.name for port in session.get_inputs()] == ["images"]
    assert [port.name for port in session.get_outputs()] == ["logits", "features"]
    images = np.random.default_rng(0).random((7, 3, 16, 12), np.float32)
    for count in (1, 2, 7):
        found = dict(zip(("logits", "features"), session.run(None, {"images": images[:count]}), strict=True))
        for name, array in TinyNetwork.made().answer(images[:count]).items():
            np.testing.assert_allclose(found[name], array, atol=1e-4)


@pytest.mark.slow
def test_a_broken_graph_in_the_cache_is_never_half_a_file(
    floor3: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export that fails half way leaves nothing under the name that others read."""

    def save(self: object, path: str, **_: object) -> None:
        Path(path).write_bytes(b"half")
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("signet.tracing.followed", lambda *_: None)
    monkeypatch.setattr("torch.onnx.ONNXProgram.save", save)
    with pytest.raises(BadGraph, match="the disk is full"):
        tracing.traced(floor3.module_source("c" * 64), tmp_path)
    assert not list(tmp_path.glob("*.onnx"))
    assert not [path for path in tmp_path.iterdir() if ".part" in path.name]


@pytest.mark.slow
def test_a_module_that_cannot_be_a_graph_is_refused_with_a_way_out(tmp_path: Path) -> None:
    class Undecided(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if images.sum().item() > 0:
                return images.mean(dim=(2, 3))
            return images.amax(dim=(2, 3))

    source = ModuleSource(Undecided, "b" * 64, (3, 8, 8))
    with pytest.raises(BadGraph, match="--engine torch"):
        tracing.traced(source, tmp_path)
    assert not list(tmp_path.glob("*.onnx"))


@pytest.mark.slow
def test_a_graph_that_would_do_for_some_sizes_only_is_refused_and_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exporter takes the way of its example, and its graph answers for larger pictures otherwise."""

    class Decided(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
            means = images.mean(dim=(2, 3))
            return (means if images.shape[2] <= 64 else 2 * means,)

    source = ModuleSource(Decided, "8" * 64, (3, 64, 64), outputs=("means",), free_size=True)
    with pytest.raises(
        BadGraph, match=r"graph for 64 x 64 would not do for 96 x 160.*--engine torch"
    ) as first:
        tracing.traced(source, tmp_path)
    assert not list(tmp_path.glob("*.onnx"))
    monkeypatch.setattr(tracing, "export", lambda *_: pytest.fail("it was tried again"))
    with pytest.raises(BadGraph) as second:
        tracing.traced(source, tmp_path)
    assert str(second.value) == str(first.value)
    # Another exporter may do better.
    newer = {**tracing.machine.versions(), "torch": "99"}
    monkeypatch.setattr(tracing.machine, "versions", lambda: newer)
    with pytest.raises(pytest.fail.Exception):
        tracing.traced(source, tmp_path)


@pytest.mark.slow
def test_a_check_of_the_modules_own_is_no_part_of_its_graph(tmp_path: Path) -> None:
    """As transformers' detectors check their shapes; the exporter has no words for it."""
    import onnx

    class Checked(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            torch._check_tensor_all(torch.tensor([images.shape[1]]).sum() == 3)
            return images.amax(dim=(2, 3))

    graph = tracing.traced(ModuleSource(Checked, "7" * 64, (3, 8, 8)), tmp_path)
    assert [node.op_type for node in onnx.load(graph.path).graph.node] == ["ReduceMax"]


@pytest.mark.slow
def test_attention_within_windows_can_be_a_graph(tmp_path: Path) -> None:
    """As Hiera attends: (N, heads, windows, tokens, D), where the exporter has words for four axes only."""
    import onnxruntime

    class Windows(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            tokens = images.reshape(images.shape[0], 3, 4, 4, 4)
            query = tokens.amax(dim=-2, keepdim=True)
            attended = torch.nn.functional.scaled_dot_product_attention(query, tokens, tokens.flip(-1))
            return attended.flatten(1)

    attention = torch.nn.functional.scaled_dot_product_attention
    graph = tracing.traced(ModuleSource(Windows, "9" * 64, (3, 8, 8)), tmp_path)
    assert torch.nn.functional.scaled_dot_product_attention is attention, "it is put back"
    session = onnxruntime.InferenceSession(graph.path, providers=["CPUExecutionProvider"])
    images = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    (found,) = session.run(None, {"images": images.numpy()})
    np.testing.assert_allclose(found, Windows()(images).numpy(), rtol=0, atol=1e-5)


def test_without_the_exporter_the_missing_extra_is_named(
    floor3: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtra, match=r"signet\[train\]"):
        tracing.traced(floor3.module_source("d" * 64), tmp_path)


def test_the_key_of_a_graph_is_all_that_it_depends_on(
    floor3: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    made: list[str] = []
    monkeypatch.setattr(tracing, "export", lambda source, to: (made.append(to.name), to.write_bytes(b"x")))
    source = floor3.module_source()
    spec = ModuleSpec("tests", "tiny")
    for other in (
        source,
        dataclasses.replace(source, digest="e" * 64),
        dataclasses.replace(source, input_shape=(3, 32, 32)),
        dataclasses.replace(source, spec=spec),
    ):
        tracing.traced(other, tmp_path)
    assert len(made) == len(set(made)) == 3, "how it came about does not matter, what it is does"


@pytest.mark.slow
def test_a_graph_holds_no_path_of_this_machine(floor3: ModuleType, tmp_path: Path) -> None:
    graph = tracing.traced(floor3.module_source("d" * 64), tmp_path).path.read_bytes()
    for path in (tracing.__file__, torch.__file__, __file__):
        assert str(Path(path).parent.parent).encode() not in graph
    assert b"stack_trace" not in graph


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What was traced; a graph is a few bytes here."""
    made: list[Path] = []

    def export(source: ModuleSource, to: Path) -> None:
        made.append(to)
        to.write_bytes(b"a graph")

    monkeypatch.setattr(tracing, "export", export)
    return made


def test_a_damaged_graph_in_the_cache_is_traced_again(
    exports: list[Path], floor3: ModuleType, tmp_path: Path
) -> None:
    """A flipped byte is another network, and the name of the file does not show it."""
    first = tracing.traced(floor3.module_source(), tmp_path)
    assert tracing.traced(floor3.module_source(), tmp_path) == first
    assert len(exports) == 1
    for damage in (b"a groph", b""):
        first.path.write_bytes(damage)
        assert tracing.traced(floor3.module_source(), tmp_path) == first
        assert first.path.read_bytes() == b"a graph"
    first.path.with_suffix(".json").write_text("[]")
    assert tracing.traced(floor3.module_source(), tmp_path) == first
    assert len(exports) == 4


def test_another_timm_traces_again_and_no_timm_does_not(
    exports: list[Path], floor3: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {"signet": "1", "timm": "1", "torch": "1"}
    monkeypatch.setattr(tracing.machine, "versions", lambda: dict(versions))
    for library, version, traced in (
        ("torch", "2", 1),
        ("timm", "2", 2),
        ("timm", None, 2),
        ("signet", "2", 3),
    ):
        if version is None:
            versions.pop(library)
        else:
            tracing.traced(floor3.module_source(), tmp_path)
            versions[library] = version
        tracing.traced(floor3.module_source(), tmp_path)
        assert len(exports) == traced, (library, version)


def test_a_cache_that_may_only_be_read_still_gives_its_graphs(
    exports: list[Path], floor3: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tracing.traced(floor3.module_source(), tmp_path)
    monkeypatch.setattr(tracing.storage, "locked", lambda _: pytest.fail("a lock was written"))
    assert tracing.traced(floor3.module_source(), tmp_path) == first


def test_a_pool_with_a_window_larger_than_the_map_runs_on_every_engine(
    floor3: ModuleType, tmp_path: Path
) -> None:
    """As transformers' EfficientNet has: OpenVINO refuses the window, so the graph takes the whole map."""
    module = floor3.torch_module()
    pool = torch.nn.AvgPool2d(1280, ceil_mode=True)
    module.pool = pool
    source = ModuleSource(lambda: module, "d" * 64, (3, *floor3.SIZE), classifier="head")
    found = Pretrained(floor3.card(), (source,), source.digest, "mirror")
    pictures = [floor3.picture(seed) for seed in range(3)]
    answers = {}
    for engine in ("torch", "onnx", "openvino"):
        with load(found, engine=engine, precision="fp32", settings=EngineSettings(cache=tmp_path)) as model:
            answers[engine] = model.run(model.prepare(pictures))["logits"]
    for engine in ("onnx", "openvino"):
        np.testing.assert_allclose(answers[engine], answers["torch"], rtol=0, atol=1e-5)
    assert module.pool is pool, "the caller's module is left as it was"
