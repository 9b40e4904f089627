"""A graph by following an example: taken where nothing can have gone wrong, and left where it may have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from signet import tracing
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


@pytest.mark.parametrize(
    "answer",
    [
        lambda images: images.amax(dim=(2, 3)),
        lambda images: images.flatten(1) @ torch.ones(3 * SIZE[0] * SIZE[1], 4),
        padded_as_tensorflow_does,
    ],
    ids=["reduced", "flattened", "padded"],
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
    ],
    ids=["value", "number", "length", "count", "fixed", "equal", "wordless"],
)
def test_what_might_go_another_way_for_others_is_left(answer: Callable[[Any], Any]) -> None:
    assert graph_of(answer) is None


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
