"""One suite over every engine, and what only some of them do."""

from __future__ import annotations

import dataclasses
import os
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signet import running
from signet.batches import Outputs
from signet.cards import Card, InputSpec, OutputContract
from signet.engines import on_openvino
from signet.engines.contract import EngineSettings
from signet.errors import EngineError
from signet.images import Image
from signet.networks import GraphFile, ModuleSource, Pretrained
from signet.preprocessing import finish, prepare
from signet.programs import Program
from signet.steps import Layout, Normalise, Range, Read, Resize, Type
from signet.testing import TinyNetwork, check_engine, made_images

SIZE = (9, 14)
ENGINES = ("torch", "openvino", "onnx")


def needs_bf16() -> None:
    if not on_openvino.has_bf16():
        pytest.skip("this processor has no bf16 instructions")


def build_module(weights: Mapping[str, np.ndarray]) -> Any:
    """The tiny network as a torch module."""
    torch = pytest.importorskip("torch")
    parts = {
        "convolution": torch.nn.Conv2d(3, 8, 3, stride=2),
        "rectifier": torch.nn.ReLU(),
        "pool": torch.nn.AdaptiveAvgPool2d(1),
        "flat": torch.nn.Flatten(),
        "head": torch.nn.Linear(8, 5),
    }
    module = torch.nn.Sequential()
    for name, part in parts.items():
        module.add_module(name, part)
    names = {
        "kernel": "convolution.weight",
        "bias": "convolution.bias",
        "head": "head.weight",
        "head_bias": "head.bias",
    }
    module.load_state_dict({names[name]: torch.from_numpy(array) for name, array in weights.items()})
    return module


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Pretrained]:
    """The tiny network in every form, behind a program of one's own."""
    network = TinyNetwork.made()
    graph = network.write(tmp_path / "tiny.onnx")
    module = ModuleSource(lambda: build_module(network.weights), "a" * 64, (3, *SIZE), classifier="head")

    def made(*steps: Any) -> Pretrained:
        program = Program((Read(), *(steps or (Resize(size=SIZE, fit="stretch"), Type(), Layout()))))
        card = Card(
            name="tests/tiny",
            task="classify",
            program=program,
            output=OutputContract(head="softmax", tensor="logits", classes=5, features="features"),
            inputs=(InputSpec(name="images", shape=(None, 3, *SIZE)),),
        )
        return Pretrained(card, (graph, module), graph.digest, "package")

    return made


def answers(pretrained: Pretrained, name: str, images: list[Image], **settings: Any) -> Outputs:
    engine = running.open_engine(pretrained, name, EngineSettings(threads=2, **settings))
    batch = prepare(images, pretrained.card.program, fuse=engine.fuses)
    try:
        return engine.run(batch)
    finally:
        engine.close()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_keeps_the_contract(name: str, precision: str, tmp_path: Path) -> None:
    if precision == "bf16" and name == "onnx":
        pytest.skip("ONNX Runtime has no bf16 on processors; that it says so is tested below")
    if precision == "bf16":
        needs_bf16()
    check_engine(
        lambda pretrained, settings: running.open_engine(pretrained, name, settings),
        tmp_path,
        precision=precision,
        build_module=build_module if name == "torch" else None,
    )


STEPS = {
    "range only": (Resize(size=SIZE, fit="stretch"), Type("float32"), Range(1 / 127.5, -1.0), Layout("NCHW")),
    "raw bytes as floats": (Resize(size=SIZE, fit="stretch"), Type("float32"), Layout("NCHW")),
    "normalise without a range": (
        Resize(size=SIZE, fit="stretch"),
        Normalise((120.0, 110.0, 100.0), (60.0, 61.0, 62.0)),
        Layout("NCHW"),
    ),
    "layout before the numbers": (
        Resize(size=SIZE, fit="stretch"),
        Layout("NCHW"),
        Type("float32"),
        Range(1 / 255, 0.0),
        Normalise((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ),
    "negative range": (Resize(size=SIZE, fit="stretch"), Range(-1 / 255, 1.0), Layout("NCHW")),
    "numbers before the resize": (Range(1 / 255, 0.0), Resize(size=SIZE, fit="stretch"), Layout("NCHW")),
}


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("name", ENGINES)
def test_whatever_is_pending_equals_the_reference(
    name: str, steps: tuple[Any, ...], tiny: Callable[..., Pretrained]
) -> None:
    pretrained = tiny(*steps)
    images = made_images(3)
    whole = finish(prepare(images, pretrained.card.program, fuse=True))
    expected = TinyNetwork.made().answer(np.asarray(whole.arrays))
    found = answers(pretrained, name, images, batch=3)
    for output, array in expected.items():
        np.testing.assert_allclose(found[output], array, rtol=0, atol=1e-4 * np.abs(array).max())


def test_a_program_that_returns_to_bytes_is_refused_by_the_engine_that_fuses(tiny: Any) -> None:
    steps = (Resize(size=SIZE, fit="stretch"), Range(0.5, 0.0), Type("uint8"), Layout("NCHW"))
    with pytest.raises(EngineError, match="goes back to uint8"):
        answers(tiny(*steps), "openvino", made_images(1))


@pytest.mark.parametrize("name", ENGINES)
def test_int8_is_refused_for_a_network_that_was_not_quantized(name: str, tiny: Any) -> None:
    with pytest.raises(EngineError, match="int8"):
        running.open_engine(tiny(), name, EngineSettings(precision="int8"))


def test_onnx_refuses_bf16_and_says_where_it_is(tiny: Any) -> None:
    with pytest.raises(EngineError, match="--engine openvino"):
        running.open_engine(tiny(), "onnx", EngineSettings(precision="bf16"))


def test_openvino_refuses_bf16_where_the_processor_has_none(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Core:
        def get_property(self, *_: str) -> list[str]:
            return ["FP32", "INT8"]

    monkeypatch.setattr(on_openvino, "_core", Core)
    with pytest.raises(EngineError, match="no bf16 instructions"):
        running.open_engine(tiny(), "openvino", EngineSettings(precision="bf16"))


def test_a_device_that_is_not_there_is_refused(tiny: Any) -> None:
    for device in ("cuda:99", "no such device"):
        with pytest.raises(EngineError, match=device):
            running.open_engine(tiny(), "torch", EngineSettings(device=device))


@pytest.mark.parametrize("name", ["openvino", "onnx"])
def test_a_graph_that_is_no_graph_is_refused(name: str, tiny: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x08\x07" + b"no graph at all" * 9)
    pretrained = dataclasses.replace(tiny(), networks=(GraphFile(broken, "onnx", "b" * 64),))
    with pytest.raises(EngineError, match=r"broken\.onnx"):
        running.open_engine(pretrained, name, EngineSettings())


def test_a_graph_of_one_fixed_batch_answers_any_number(tmp_path: Path) -> None:
    import onnx

    network = TinyNetwork.made()
    graph = network.write(tmp_path / "free.onnx")
    model = onnx.load(graph.path)
    for port in (*model.graph.input, *model.graph.output):
        port.type.tensor_type.shape.dim[0].dim_value = 3
    for axis, side in zip((2, 3), SIZE, strict=True):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = side
    fixed = tmp_path / "fixed.onnx"
    onnx.save(model, fixed)
    card = Card(
        name="tests/fixed",
        task="classify",
        program=Program((Read(), Resize(size=SIZE, fit="stretch"), Type(), Layout())),
        output=OutputContract(head="softmax", tensor="logits"),
        inputs=(InputSpec(name="images", shape=(3, 3, *SIZE)),),
    )
    pretrained = Pretrained(card, (GraphFile(fixed, "onnx", "c" * 64),), "c" * 64, "package")
    images = made_images(7)
    expected = network.answer(np.asarray(prepare(images, card.program).arrays))["logits"]
    for name in ("openvino", "onnx"):
        for count in (1, 3, 7):
            found = answers(pretrained, name, images[:count], batch=4)["logits"]
            np.testing.assert_allclose(found, expected[:count], rtol=0, atol=1e-3)


def test_feature_maps_of_different_sizes_cannot_be_one_array(tiny: Any) -> None:
    torch = pytest.importorskip("torch")
    maps = ModuleSource(lambda: torch.nn.Conv2d(3, 2, 3), "d" * 64, (3, *SIZE))
    pretrained = dataclasses.replace(tiny(Type(), Layout()), networks=(maps,))
    with pytest.raises(EngineError, match="different sizes"):
        answers(pretrained, "torch", made_images(2))


# --- compiled models on disk ------------------------------------------------------------------------------


@pytest.fixture
def compiles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What OpenVINO was really asked to do: `compile` or `import`."""
    import openvino

    done: list[str] = []
    real = openvino.Core

    class Core:
        def __init__(self) -> None:
            self._core = real()

        def __getattr__(self, name: str) -> Any:
            if name in ("compile_model", "import_model"):
                done.append(name.partition("_")[0])
            return getattr(self._core, name)

    monkeypatch.setattr(on_openvino, "_core", Core)
    return done


def blobs(cache: Path) -> list[Path]:
    return sorted(cache.glob("compiled/*.blob"))


def test_the_second_opening_imports_what_the_first_compiled(
    tiny: Any, compiles: list[str], tmp_path: Path
) -> None:
    cache = tmp_path / "compiled"
    first = answers(tiny(), "openvino", made_images(2), cache=cache)
    second = answers(tiny(), "openvino", made_images(2), cache=cache)
    assert compiles == ["compile", "import"]
    assert np.array_equal(first["logits"], second["logits"])
    assert len(blobs(cache)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are those of POSIX")
def test_the_folder_of_compiled_models_is_for_its_owner_only(tiny: Any, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    old = os.umask(0o000)
    try:
        cache.mkdir()  # as it is where something else was kept there before
        answers(tiny(), "openvino", made_images(1), cache=cache)
    finally:
        os.umask(old)
    assert stat.S_IMODE((cache / "compiled").stat().st_mode) == 0o700
    assert len(blobs(cache)) == 1


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "text"])
def test_a_broken_compiled_model_is_made_again(
    harm: str, tiny: Any, compiles: list[str], tmp_path: Path
) -> None:
    cache = tmp_path / "compiled"
    first = answers(tiny(), "openvino", made_images(2), cache=cache)
    (blob,) = blobs(cache)
    good = blob.read_bytes()
    flipped = bytearray(good)
    flipped[-9] ^= 0x40
    bad = {"cut": good[: len(good) // 2], "flip": bytes(flipped), "empty": b"", "text": b"not a blob" * 99}
    blob.write_bytes(bad[harm])
    second = answers(tiny(), "openvino", made_images(2), cache=cache)
    assert compiles == ["compile", "compile"]
    assert np.array_equal(first["logits"], second["logits"])
    assert blob.read_bytes() != bad[harm]
    answers(tiny(), "openvino", made_images(2), cache=cache)
    assert compiles == ["compile", "compile", "import"]


def test_another_program_or_batch_is_another_compiled_model(
    tiny: Any, compiles: list[str], tmp_path: Path
) -> None:
    cache = tmp_path / "compiled"
    settings = EngineSettings(cache=cache, threads=2)
    for pretrained, changed in (
        (tiny(), settings),
        (tiny(*STEPS["range only"]), settings),
        (tiny(), dataclasses.replace(settings, batch=2)),
        (tiny(), dataclasses.replace(settings, threads=1)),
        (tiny(), dataclasses.replace(settings, workers=2)),
    ):
        running.open_engine(pretrained, "openvino", changed).close()
    assert compiles == ["compile"] * 5
    assert len(blobs(cache)) == 5


def test_openvino_refuses_a_batch_of_another_program(tiny: Any) -> None:
    engine = running.open_engine(tiny(*STEPS["range only"]), "openvino", EngineSettings())
    other = prepare(made_images(1), tiny().card.program, fuse=True)
    with pytest.raises(EngineError, match="another program"):
        engine.run(other)
    engine.close()
