"""A graph without a card: what it looks like is said, and the proposed card makes a model of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from signet.boxes import Boxes
from signet.cards import Card
from signet.cli.main import main
from signet.errors import BadGraph
from signet.images import Image
from signet.models import load
from signet.resolving import guess
from signet.zoos.graph_guess import GraphGuess

onnx = pytest.importorskip("onnx")


def constant_graph(path: Path, shape: list[object], **outputs: np.ndarray) -> Path:
    """A graph that gives the same arrays whatever the image is, and yet depends on it."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    constants = [numpy_helper.from_array(np.zeros((), "f4"), "zero")]
    ports = []
    for name, array in outputs.items():
        constants.append(numpy_helper.from_array(array.astype("f4"), f"{name}_values"))
        nodes.append(helper.make_node("Add", [f"{name}_values", "nothing"], [name]))
        ports.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(array.shape)))
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "made", [image], ports, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    """A YOLOv8 of 64 x 64 pixels with two boxes."""
    raw = np.zeros((1, 6, 84), "f4")
    raw[0, :4] = np.random.default_rng(0).uniform(5, 60, (4, 84))
    raw[0, :, 3] = (32, 16, 20, 10, 0.9, 0.1)
    raw[0, :, 60] = (10, 50, 20, 10, 0.2, 0.8)
    return constant_graph(tmp_path / "mine.onnx", [1, 3, 64, 64], output0=raw)


def test_the_proposed_card_makes_a_model(detector: Path) -> None:
    found = guess(detector)
    assert isinstance(found, GraphGuess)
    assert found.proposals[0].sure == "nearly sure"
    card = dict(found.short_card or {})
    detector.with_name("NAMES.txt").write_text("ant\nbee\n", "utf-8")
    detector.with_name("mine.onnx.card.json").write_text(json.dumps(card), "utf-8")
    assert guess(detector) is None, "it has a card now"
    with load(detector, Boxes) as model:
        (boxes,) = model(Image(np.zeros((32, 128, 3), np.uint8), "made"))
    assert boxes.labels[:2] == ("ant", "bee")
    assert boxes.xyxy[:2].tolist() == [[44, 5.5, 84, 10.5], [0, 22.5, 40, 27.5]]


def test_show_tells_a_person_and_a_program(detector: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(detector), "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)["guess"]
    assert plain["proposals"][0]["output"]["head"] == "yolov8"
    assert Card.from_dict({**plain["card"], "labels": None}).output.classes == 2
    lines = list(guess(detector).lines())
    assert any("nearly sure: detect, head 'yolov8'" in line for line in lines)
    assert any("'output0' 1x6x84" in line for line in lines)
    assert any("RGB or BGR" in line for line in lines)


def test_a_graph_of_free_size_is_run_on_a_picture_of_its_own(tmp_path: Path) -> None:
    path = constant_graph(tmp_path / "free.onnx", ["n", 3, "h", "w"], odd=np.zeros((1, 7, 3, 2, 2), "f4"))
    found = guess(path)
    assert isinstance(found, GraphGuess)
    assert found.size == (320, 320)
    assert found.short_card is None
    assert "no layout that is known" in list(found.lines())[-1]


def test_what_takes_no_image_is_refused(tmp_path: Path) -> None:
    path = constant_graph(tmp_path / "text.onnx", [1, 77], y=np.zeros((1, 9), "f4"))
    with pytest.raises(BadGraph, match="expected one input, an image"):
        guess(path)
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07nothing")
    with pytest.raises(BadGraph):
        guess(tmp_path / "broken.onnx")


@pytest.mark.parametrize(
    ("name", "head", "sure"),
    [
        ("yolox_nano.onnx", "yolox", "nearly sure"),
        ("deeplabv3_mnv2_dm05_pascal_quant.tflite", "class_map", "likely"),
    ],
)
def test_real_files_are_recognised(shared: Path, tmp_path: Path, name: str, head: str, sure: str) -> None:
    path = tmp_path / name
    path.symlink_to(shared / "weights" / "files" / name)
    found = guess(path)
    assert isinstance(found, GraphGuess)
    assert (found.proposals[0].output["head"], found.proposals[0].sure) == (head, sure)
