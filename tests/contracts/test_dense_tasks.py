"""One detector, one instance segmenter, one semantic segmenter: every engine decides alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signet.boxes import Boxes
from signet.cards import Card, InputSpec, OutputContract, Task
from signet.images import Image
from signet.instances import Instances
from signet.models import load
from signet.networks import GraphFile, ModuleSource, Pretrained
from signet.predictions import Prediction
from signet.programs import Program
from signet.segments import SegmentMap
from signet.steps import Layout, Pad, Range, Read, Resize, Type
from signet.storage import digest_of

SIZE = (32, 48)
LABELS = ("red", "green", "blue")
PROGRAM = Program(
    (
        Read(),
        Resize(size=SIZE, fit="pad"),
        Pad(to=SIZE, value=114),
        Type("float32"),
        Range(1 / 255, 0.0),
        Layout("NCHW"),
    )
)


def weights() -> dict[str, np.ndarray]:
    """Of one convolution for the cells of 8 x 8 pixels, and one for a map of 4 x 4."""
    random = np.random.default_rng(2)
    cells = random.normal(0, 0.12, (9, 3, 8, 8))
    cells[:4] *= 0.2
    bias = np.array([24, 16, 14, 12, -0.5, 0, 0.5, 0, 0])
    maps = random.normal(0, 0.3, (3, 3, 4, 4))
    return {"cells": cells.astype("f4"), "bias": bias.astype("f4"), "maps": maps.astype("f4")}


def module() -> Any:
    """Both as a torch module: (N, 9, A) predictions, and (N, 3, h, w) maps."""
    torch = pytest.importorskip("torch")
    made = {name: torch.from_numpy(array) for name, array in weights().items()}

    class Tiny(torch.nn.Module):  # type: ignore[name-defined,misc]
        def forward(self, images: Any) -> tuple[Any, Any]:
            cells = torch.nn.functional.conv2d(images, made["cells"], made["bias"], stride=8)
            maps = torch.nn.functional.conv2d(images, made["maps"], stride=4)
            return cells.flatten(2), maps

    return Tiny().eval()


def graph(folder: Path) -> GraphFile:
    """The same as an ONNX graph."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    constants = [numpy_helper.from_array(array, name) for name, array in weights().items()]
    constants.append(numpy_helper.from_array(np.array([0, 9, -1]), "shape"))
    nodes = [
        helper.make_node("Conv", ["images", "cells", "bias"], ["grid"], strides=[8, 8]),
        helper.make_node("Reshape", ["grid", "shape"], ["predictions"]),
        helper.make_node("Conv", ["images", "maps"], ["prototypes"], strides=[4, 4]),
    ]
    shapes = {
        "images": ["n", 3, *SIZE],
        "predictions": ["n", 9, SIZE[0] * SIZE[1] // 64],
        "prototypes": ["n", 3, SIZE[0] // 4, SIZE[1] // 4],
    }
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, axes) for name, axes in shapes.items()]
    made = helper.make_graph(nodes, "tiny", ports[:1], ports[1:], constants)
    path = folder / "tiny.onnx"
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return GraphFile(path, "onnx", digest_of(path))


OUTPUTS: dict[Task, OutputContract] = {
    "detect": OutputContract(
        "yolov8",
        extra={"activation": "sigmoid", "nms": {"iou": 0.5, "multi_label": False, "score_floor": 0.3}},
    ),
    "instances": OutputContract(
        "yolov8", classes=2, extra={"activation": "sigmoid", "nms": {"iou": 0.5, "score_floor": 0.3}}
    ),
    "segment": OutputContract("pixel_logits", "prototypes", classes=3),
}
KINDS: dict[Task, type[Prediction]] = {"detect": Boxes, "instances": Instances, "segment": SegmentMap}


def pictures(count: int) -> list[Image]:
    """Blocks of colour of several sizes."""
    random = np.random.default_rng(9)
    sizes = [(20 + 7 * place, 61 - 5 * place) for place in range(count)]
    return [
        Image(
            random.integers(0, 256, (5, 7, 3), np.uint8).repeat(13, 0).repeat(9, 1)[:high, :wide],
            f"{high}x{wide}",
        )
        for high, wide in sizes
    ]


@pytest.fixture
def answered(tmp_path: Path) -> Callable[[Task, str], list[Any]]:
    """The answers of a task's model on an engine, for all pictures."""
    network = graph(tmp_path)

    def made(task: Task, engine: str) -> list[Any]:
        labels = {"detect": ("a", "b", "c", "d", "e"), "instances": LABELS[:2], "segment": LABELS}[task]
        card = Card(
            name="tests/dense",
            task=task,
            program=PROGRAM,
            output=OUTPUTS[task],
            inputs=(InputSpec(name="images", shape=(None, 3, *SIZE)),),
            labels=labels,
        )
        source = ModuleSource(module, "a" * 64, (3, *SIZE), outputs=("predictions", "prototypes"))
        networks = (source,) if engine == "torch" else (network,)
        pretrained = Pretrained(card, networks, network.digest, "package")
        with load(pretrained, KINDS[task], engine=engine, precision="fp32") as model:
            return model(pictures(5))

    return made


def alike_boxes(one: Boxes, two: Boxes) -> None:
    assert one.labels == two.labels
    np.testing.assert_allclose(one.xyxy, two.xyxy, atol=0.01)
    np.testing.assert_allclose(one.scores, two.scores, atol=1e-4)


def alike(one: Any, two: Any) -> None:
    """The same decisions: boxes one for one, masks and maps but for pixels on an edge."""
    match one:
        case Boxes():
            alike_boxes(one, two)
        case Instances():
            alike_boxes(one.boxes, two.boxes)
            for mine, theirs in zip(one.masks, two.masks, strict=True):
                assert mine == theirs or mine.iou(theirs) > 0.99
        case SegmentMap():
            assert (one.indices == two.indices).mean() > 0.999


@pytest.mark.parametrize("engine", ["onnx", "torch"])
@pytest.mark.parametrize("task", OUTPUTS)
def test_every_engine_decides_alike(
    task: Task, engine: str, answered: Callable[[Task, str], list[Any]]
) -> None:
    first, second = answered(task, "openvino"), answered(task, engine)
    for one, two, picture in zip(first, second, pictures(5), strict=True):
        assert type(one) is KINDS[task]
        assert one.source == picture.source
        alike(one, two)
    # What decides nothing proves nothing.
    sizes: Sequence[int] = [len(one.present) if task == "segment" else len(one) for one in first]
    assert sum(sizes) >= 10
    assert min(sizes) >= 1
    if task == "instances":
        assert any(mask.area for one in first for mask in one.masks)
