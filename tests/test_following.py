"""A graph by following an example: taken where nothing speaks against it, and left where anything does."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from signet import following, tracing
from signet.following import followed
from signet.networks import ModuleSource

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
SIZE = (16, 12)


class Asked(torch.nn.Module):
    """A module that answers with a function of its own."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, images: Any) -> Any:
        return self.answer(images)


def graph_of(answer: Callable[[Any], Any]) -> Any:
    """The followed graph of a function, as a model; None where it was left."""
    source = ModuleSource(lambda: None, "a" * 64, (3, *SIZE))
    with torch.no_grad():
        graph = followed(Asked(answer).eval(), source, torch.zeros(2, 3, *SIZE))
    return None if graph is None else onnx.load_from_string(graph)


def padded_as_tensorflow_does(images: Any) -> Any:
    """Borders that follow from height and width, as zoos compute them while a module runs."""
    height, width = images.size()[-2:]
    below, right = -(-height // 5) * 5 - height, -(-width // 5) * 5 - images.shape[3]
    assert width == images.size(dim=-1)
    return torch.nn.functional.pad(images, (0, right, 0, below)).mean(dim=(2, 3))


def checked(images: Any) -> Any:
    """A module that checks what it is given, as torch has it."""
    assert isinstance(images.shape, torch.Size)
    return images.mean(dim=(2, 3))


def smallest(images: Any) -> Any:
    """A module that takes two pictures at most."""
    assert images.shape[0] < 3
    return images.mean(dim=(2, 3))


def silent(images: Any) -> Any:
    """A module that goes by a value, and lets nothing be said of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return images.amax(dim=(2, 3)) * torch.tensor(images.amax() < 100)


def turned(images: Any) -> Any:
    """A module that counts the pictures on another axis than the first."""
    return images.mean(dim=(2, 3)) * float(images.transpose(0, 1).shape[1] < 5)


def bright(images: Any) -> Any:
    """A module that goes by a value that only bright pictures have."""
    return images.amax(dim=(2, 3)) if torch.is_nonzero(images.amax() > 100) else images.mean(dim=(2, 3))


@pytest.mark.parametrize(
    "answer",
    [
        lambda images: images.amax(dim=(2, 3)),
        lambda images: images.flatten(1) @ torch.ones(3 * SIZE[0] * SIZE[1], 4),
        padded_as_tensorflow_does,
        checked,
        lambda images: torch.where(images.amax() > 100, images.amax((2, 3)), images.mean((2, 3))),
    ],
    ids=["reduced", "flattened", "padded", "checked", "chosen"],
)
def test_what_asks_nothing_of_its_input_is_followed(answer: Callable[[Any], Any]) -> None:
    import onnxruntime

    graph = graph_of(answer)
    assert graph is not None
    assert "Shape" not in {node.op_type for node in graph.graph.node}, "sizes are known, not measured"
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    for count in (1, 2, 5):
        images = np.random.default_rng(count).random((count, 3, *SIZE), np.float32)
        (found,) = session.run(["logits"], {"images": images})
        np.testing.assert_allclose(found, answer(torch.from_numpy(images)).numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "answer",
    [
        lambda images: images.mean(dim=(2, 3)) if images.sum() > 0 else images.amax(dim=(2, 3)),
        lambda images: images.mean(dim=(2, 3)) * float(images.max()),
        lambda images: images.mean(dim=(2, 3)) if len(images) > 2 else images.amax(dim=(2, 3)),
        lambda images: images.mean(dim=(2, 3)) / images.shape[0],
        lambda images: images.mean(dim=(2, 3)).reshape(2, 3),
        lambda images: images.mean(dim=(2, 3)) + torch.arange(2.0).tolist()[int(images.shape[0] == 2)],
        lambda images: torch.linalg.svd(images.mean(dim=2), full_matrices=False)[1],
        lambda images: torch.stack([one.mean(dim=(1, 2)) for one in images.unbind(0)]),
        lambda images: torch.cat([part.mean(dim=(2, 3)) for part in images.split(2)]),
        lambda images: images.mean(dim=(2, 3)) * (0, 1)[images.numel() // (3 * SIZE[0] * SIZE[1]) - 1],
        lambda images: images.mean(dim=(2, 3)) * float(images.nbytes < 5 * 4 * 3 * SIZE[0] * SIZE[1]),
        lambda images: images.mean(dim=(2, 3)) * float(images.transpose(0, 3).stride(3) > 0),
        lambda images: images.mean(dim=(2, 3)) * float(images.untyped_storage().nbytes() < 8000),
        lambda images: images.mean(dim=(2, 3)) * float(images.detach().numpy().max() < 100),
        lambda images: images.mean(dim=(2, 3)) * float(torch.equal(images.amax(), torch.tensor(255.0))),
        smallest,
        silent,
        turned,
        bright,
    ],
    ids=[
        *("value", "number", "length", "count", "fixed", "equal", "wordless", "unbound", "split", "numel"),
        *("bytes", "strides", "storage", "array", "compared", "smallest", "silent", "turned", "bright"),
    ],
)
def test_what_might_go_another_way_for_others_is_left(answer: Callable[[Any], Any]) -> None:
    assert graph_of(answer) is None


@pytest.mark.parametrize("answer", [bright, silent], ids=["bright", "silent"])
def test_what_goes_by_a_value_is_left_whatever_the_gate_shows(
    answer: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_pictures", lambda shape: iter(()))
    assert graph_of(answer) is None


@pytest.mark.parametrize("count", [1, 5])
def test_the_gate_shows_several_ranges_and_numbers(count: int) -> None:
    shown = list(following._pictures((3, *SIZE)))
    assert count in {len(pictures) for pictures in shown}
    ranges = {(round(float(pictures.min())), round(float(pictures.max()))) for pictures in shown}
    assert {(0, 1), (0, 255)} <= ranges
    assert any(pictures.min() == pictures.max() for pictures in shown)


@pytest.mark.parametrize(
    "raised",
    [AssertionError("two at most"), IndexError("no such part"), type("OwnError", (Exception,), {})("own")],
    ids=["assertion", "index", "own"],
)
def test_whatever_a_module_raises_the_other_exporter_says(raised: Exception) -> None:
    def refused(images: Any) -> Any:
        raise raised

    assert graph_of(refused) is None


def test_a_followed_graph_answers_as_the_exporters_does(
    floor3: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BatchNorm, padding, two answers: to rounding what the exporter makes that proves every step."""
    import onnxruntime

    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    module = floor3.torch_module()
    module.convolution = torch.nn.Sequential(
        torch.nn.ZeroPad2d((0, 1, 0, 1)), module.convolution, torch.nn.BatchNorm2d(8), torch.nn.Hardswish()
    )
    norm = module.convolution[2]
    torch.nn.init.uniform_(norm.running_mean, -0.1, 0.1)
    torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    source = ModuleSource(module.eval, "d" * 64, (3, *SIZE), classifier="head")
    images = np.random.default_rng(0).random((3, 3, *SIZE), np.float32)
    answers = []
    for way in ("quick", "proven"):
        if way == "proven":
            monkeypatch.setattr(tracing, "followed", lambda *_: None)
        tracing.export(source, tmp_path / f"{way}.onnx")
        session = onnxruntime.InferenceSession(tmp_path / f"{way}.onnx", providers=["CPUExecutionProvider"])
        answers.append(session.run(["logits", "features"], {"images": images}))
    for one, other in zip(*answers, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
