"""Predicting with a detector, an instance segmenter and a semantic segmenter: lines, table, resuming."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from signet.masks import Mask

SIDE = 32
CARDS: dict[str, dict[str, Any]] = {
    "detect": {"head": "boxes"},
    "instances": {"head": "mask_rcnn"},
    "segment": {"head": "pixel_logits", "tensor": "maps", "background_index": 1},
}


@pytest.fixture(scope="module")
def model(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A graph for a task: boxes that are always the same, and the picture's own colours as logits."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder = tmp_path_factory.mktemp("dense")
    arrays = {
        "boxes": np.array([[[0, 0, 16, 32], [16, 8, 32, 24], [4, 4, 8, 8]]], "f4"),
        "scores": np.array([[0.9, 0.5, 0.1]], "f4"),
        "classes": np.array([[2, 0, 1]], "f4"),
        "masks": np.ones((1, 3, 4, 4), "f4"),
    }
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Identity", ["images"], ["maps"]),
    ]
    constants = [numpy_helper.from_array(np.zeros((), "f4"), "zero")]
    ports = [helper.make_tensor_value_info("maps", TensorProto.FLOAT, [1, 3, SIDE, SIDE])]
    for name, array in arrays.items():
        constants.append(numpy_helper.from_array(array, f"{name}_values"))
        nodes.append(helper.make_node("Add", [f"{name}_values", "nothing"], [name]))
        ports.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(array.shape)))
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    graph = helper.make_graph(nodes, "dense", [image], ports, constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def of(task: str) -> Path:
        path: Path = folder / f"{task}.onnx"
        if not path.exists():
            onnx.save(made, path)
            card = {
                **tiny.card(task, tiny.LABELS[:3]),
                "task": task,
                "program": [
                    {"step": "read"},
                    {"step": "resize", "size": [SIDE, SIDE], "fit": "stretch"},
                    {"step": "type", "dtype": "float32"},
                    {"step": "layout", "order": "NCHW"},
                ],
                "inputs": [{"name": "images", "shape": [1, 3, SIDE, SIDE]}],
                "output": {"classes": 3, **CARDS[task]},
            }
            path.with_name(f"{task}.onnx.card.json").write_text(json.dumps(card), "utf-8")
        return path

    return of


def test_boxes_are_lines_with_those_above_the_doors_score(signet, model, pictures) -> None:
    ran = signet("predict", model("detect"), *pictures[:2])
    assert ran.code == 0, ran.err
    first = ran.lines[0]
    assert list(first) == ["source", "kind", "boxes"]
    assert first["kind"] == "boxes"
    assert [(box["label"], box["score"], box["index"]) for box in first["boxes"]] == [
        ("blue", 0.9, 2),
        ("red", 0.5, 0),
    ]
    assert set(first["boxes"][0]) == {"xyxy", "score", "index", "label"}
    all_of_them = signet("predict", model("detect"), pictures[0], "--min-score", 0)
    assert len(all_of_them.lines[0]["boxes"]) == 3
    one = signet("predict", model("detect"), pictures[0], "--top", 1)
    assert [box["label"] for box in one.lines[0]["boxes"]] == ["blue"]


def test_instances_have_masks_of_the_picture(signet, model, pictures) -> None:
    first = signet("predict", model("instances"), pictures[0]).lines[0]
    assert first["kind"] == "instances"
    mask = Mask.from_coco(first["boxes"][0]["mask"])
    np.testing.assert_allclose(mask.bounds, first["boxes"][0]["xyxy"], atol=1)


def test_segments_are_the_labels_that_are_there(signet, model, tmp_path) -> None:
    from PIL import Image

    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :10, 0] = pixels[:, 10:, 2] = 200
    Image.fromarray(pixels).save(tmp_path / "two.png")
    first = signet("predict", model("segment"), tmp_path / "two.png").lines[0]
    assert first["kind"] == "segments"
    assert [(row["index"], row["label"], row["pixels"]) for row in first["segments"]] == [
        (2, "blue", 600),
        (0, "red", 200),
    ]
    assert Mask.from_coco(first["segments"][1]["mask"]).bounds.tolist() == [0, 0, 10, 20]
    top = signet("predict", model("segment"), tmp_path / "two.png", "--top", 1)
    assert [row["label"] for row in top.lines[0]["segments"]] == ["blue"]


def test_a_segmenter_has_no_least_score(signet, model, pictures) -> None:
    ran = signet("predict", model("segment"), pictures[0], "--min-score", 0.5)
    assert ran.code == 2
    assert "gives each pixel its best label" in ran.err


def test_the_table_counts_what_was_found(signet, model, pictures, monkeypatch) -> None:
    from signet.cli.terminal import Terminal

    monkeypatch.setattr(Terminal, "interactive", property(lambda _: True))
    assert "blue, red" in signet("predict", model("detect"), pictures[0]).out
    assert "100.0%" in signet("predict", model("segment"), pictures[0]).out
    nothing = signet("predict", model("detect"), pictures[0], "--min-score", 1)
    assert "(nothing above --min-score)" in nothing.out


def test_a_run_is_resumed_with_its_own_options_only(signet, model, pictures, tmp_path) -> None:
    out = tmp_path / "boxes.jsonl"
    assert signet("predict", model("detect"), *pictures[:3], "--out", out).code == 0
    whole = out.read_bytes()
    record = json.loads(out.with_name("boxes.jsonl.run.json").read_text("utf-8"))
    assert (record["options"]["top"], record["options"]["min_score"]) == (None, 0.25)
    out.write_bytes(whole[: len(whole) // 2])
    assert signet("predict", model("detect"), *pictures[:3], "--out", out, "--resume").code == 0
    assert out.read_bytes() == whole
    other = signet("predict", model("detect"), *pictures[:3], "--out", out, "--resume", "--min-score", 0.3)
    assert other.code == 2
    assert "options" in other.err


def test_a_card_whose_head_cannot_be_is_refused_before_anything_runs(signet, model, pictures) -> None:
    path = model("detect")
    card = json.loads(path.with_name("detect.onnx.card.json").read_text("utf-8"))
    other = path.with_name("other.card.json")
    for output, message in (
        ({"head": "yolox", "nms": {"iou": 0.5}}, "needs the field 'strides'"),
        ({"head": "pixel_logits"}, "has one of the heads"),
        ({"head": "boxs"}, "has one of the heads"),
    ):
        other.write_text(json.dumps({**card, "output": {"classes": 3, **output}}), "utf-8")
        ran = signet("predict", path, pictures[0], "--card", other)
        assert ran.code == 1
        assert message in ran.err


def test_show_says_how_the_answers_are_read(signet, model) -> None:
    for task, words in (
        ("detect", "laid out as boxes: every score above 0\n"),
        ("segment", "laid out as pixel_logits\n"),
    ):
        ran = signet("show", model(task))
        assert ran.code == 0
        assert words in ran.out
