"""A detector, two segmenters of pixels and one of instances, in a few kilobytes of ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from signet.cards import Card
from signet.graphs.opening import open_graph
from signet.networks import Pretrained

SIDE, CLASSES, PROTOTYPES = 64, 3, 4
KINDS = ("detect", "instances", "class_map", "pixel_logits")
LABELS = ("cell", "日本 | sign", "left\tside")


def make(kind: str, folder: Path) -> Pretrained:
    """One of `KINDS`: random convolutions over cells, so that each picture has boxes of its own."""
    import onnx
    from onnx import TensorProto, helper

    made = _Graph()
    outputs = {
        "detect": made.detector,
        "instances": made.instances,
        "class_map": made.class_map,
        "pixel_logits": made.pixel_logits,
    }[kind]()
    graph = helper.make_graph(
        made.nodes,
        kind,
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(name, dtype, shape) for name, dtype, shape in outputs],
        made.values,
    )
    path = folder / f"{kind}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    opened = open_graph(path)
    return Pretrained(_card(kind), (opened,), opened.digest, "file")


def _card(kind: str) -> Card:
    suppression = {"iou": 0.3, "score_floor": 0.05, "before": 400, "after": 60, "multi_label": True}
    output = {
        "detect": {"head": "yolox", "strides": [8, 16], "nms": suppression},
        "instances": {"head": "yolov8", "nms": suppression, "outputs": {"prototypes": "prototypes"}},
        "class_map": {"head": "class_map", "background_index": 0},
        "pixel_logits": {"head": "pixel_logits"},
    }[kind]
    task = kind if kind in ("detect", "instances") else "segment"
    return Card.from_dict(
        {
            "format": {"major": 1, "minor": 0},
            "name": f"tests/{kind}",
            "task": task,
            "labels": list(LABELS),
            "program": [
                {"step": "read"},
                {"step": "resize", "size": [SIDE, SIDE], "fit": "pad"},
                {"step": "pad", "to": [SIDE, SIDE], "value": 114, "anchor": "top-left"},
                {"step": "range", "scale": 1 / 255},
                {"step": "layout"},
            ],
            "inputs": [{"name": "images", "kind": "image", "dtype": "float32", "shape": [1, 3, SIDE, SIDE]}],
            "output": {"tensor": 0, "classes": CLASSES, **output},
        }
    )


class _Graph:
    """Nodes and constants, as they are added."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.values: list[Any] = []
        self.random = np.random.default_rng(7)

    def detector(self):
        parts = [self._cells(4, CLASSES + 1, stride, f"s{stride}")[0] for stride in (8, 16)]
        self._node("Concat", parts, "columns", axis=2)
        self._node("Transpose", ["columns"], "predictions", perm=[0, 2, 1])
        return [("predictions", 1, [1, 80, 5 + CLASSES])]

    def instances(self):
        columns, count = self._cells(4, CLASSES, 8, "s8")
        y, x = np.divmod(np.arange(count), SIDE // 8)
        # Centre and sides in prepared pixels, as such a graph decodes them itself.
        grid = np.stack([x * 8 + 4, y * 8 + 4, np.full(count, 26), np.full(count, 20)])
        grid = np.concatenate([grid, np.zeros((CLASSES, count))])[None].astype(np.float32)
        self._node("Add", [columns, self._value(grid, "grid")], "boxes")
        mixing = self._conv(PROTOTYPES, 8, "mixing")
        self._node("Reshape", [mixing, self._value(np.array([1, PROTOTYPES, count]), "flat")], "weights")
        self._node("Concat", ["boxes", "weights"], "predictions", axis=1)
        self._node(
            "Mul", [self._conv(PROTOTYPES, 4, "maps"), self._value(np.float32(4), "four")], "prototypes"
        )
        return [
            ("predictions", 1, [1, 4 + CLASSES + PROTOTYPES, count]),
            ("prototypes", 1, [1, PROTOTYPES, SIDE // 4, SIDE // 4]),
        ]

    def class_map(self):
        self._node("ArgMax", [self._conv(CLASSES, 4, "logits")], "map", axis=1, keepdims=0)
        return [("map", 7, [1, SIDE // 4, SIDE // 4])]

    def pixel_logits(self):
        return [(self._conv(CLASSES, 4, "logits"), 1, [1, CLASSES, SIDE // 4, SIDE // 4])]

    def _cells(self, linear: int, scores: int, stride: int, name: str) -> tuple[str, int]:
        """(1, values, cells): values as they are, then scores from 0 to 1."""
        count = (SIDE // stride) ** 2
        sides = self._conv(linear, stride, f"{name}-sides")
        self._node("Mul", [self._conv(scores, stride, f"{name}-raw"), self._two()], f"{name}-high")
        self._node("Sigmoid", [f"{name}-high"], f"{name}-scores")
        self._node("Concat", [sides, f"{name}-scores"], f"{name}-both", axis=1)
        shape = self._value(np.array([1, linear + scores, count]), f"{name}-shape")
        self._node("Reshape", [f"{name}-both", shape], f"{name}-cells")
        return f"{name}-cells", count

    def _conv(self, channels: int, stride: int, name: str) -> str:
        scale = 2.5 / stride
        weights = self.random.normal(0, scale, (channels, 3, stride, stride)).astype(np.float32)
        if name == "logits":
            # Without a mean a flat cell has no label by itself. Scores and masks of it would all be 0.5.
            weights -= weights.mean(axis=(1, 2, 3), keepdims=True)
        self._node(
            "Conv",
            ["images", self._value(weights, f"{name}-weights")],
            name,
            kernel_shape=[stride, stride],
            strides=[stride, stride],
        )
        return name

    def _two(self) -> str:
        made = any(value.name == "two" for value in self.values)
        return "two" if made else self._value(np.float32(2), "two")

    def _node(self, kind: str, inputs: list[str], output: str, **more: object) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], **more))

    def _value(self, array: object, name: str) -> str:
        from onnx import numpy_helper

        self.values.append(numpy_helper.from_array(np.asarray(array), name))
        return name
