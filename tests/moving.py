"""Coloured squares that move, and a detector of a few hundred bytes of ONNX that finds each of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

LABELS = ("red", "green", "blue")
COLOURS = ((220, 20, 20), (20, 200, 20), (20, 20, 220))
SIZE = (96, 128)
FRAMES = 30
SIDE = 24
THERE = {"red": range(FRAMES), "green": range(10, 20), "blue": range(5, 25)}
"""In which frames each square is."""


def place(label: str, number: int) -> tuple[int, int]:
    """(top, left) of a square in a frame."""
    index = LABELS.index(label)
    return 4 + 30 * index, (2 * number if index != 1 else 96 - 2 * number)


def picture(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Frame `number`, uint8 (H, W, 3)."""
    pixels = np.full((*size, 3), 60, np.uint8)
    for index, label in enumerate(LABELS):
        if number % FRAMES in THERE[label]:
            top, left = place(label, number % FRAMES)
            pixels[top : top + SIDE, left : left + SIDE] = COLOURS[index]
    return pixels


def frames(count: int = FRAMES) -> Iterator[np.ndarray]:
    """The film from its beginning, and again from there."""
    return (picture(number) for number in range(count))


def make_clip(path: Path, count: int = FRAMES, codec: str = "libx264", **options: str) -> Path:
    """A video file of `frames`, 25 a second; every one can be decoded without the others."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"g": "1", "crf": "12", **options})
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for pixels in frames(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def spoil(path: Path, number: int) -> Path:
    """Make a packet of a video file unreadable, and leave the others."""
    import av

    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        start, size = packets[number].pos, packets[number].size
    data = bytearray(path.read_bytes())
    # Matroska counts a packet from its block's header, without which the block itself would not be found.
    data[start + 16 : start + size] = bytes(255 - index % 251 for index in range(size - 16))
    path.write_bytes(data)
    return path


def make_model(folder: Path, task: str = "detect") -> Path:
    """`squares-TASK.onnx` with its card: boxes, instances or a segment map of the coloured squares."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder.mkdir(parents=True, exist_ok=True)
    height, width = SIZE[0] // 2, SIZE[1] // 2
    make = helper.make_node
    nodes = [
        make("Mul", ["images", "two"], ["doubled"]),
        make("ReduceSum", ["images", "channel"], ["sum"], keepdims=1),
        make("Sub", ["doubled", "sum"], ["purity"]),  # the value of a channel less those of the others
    ]
    outputs = {"purity": ["batch", 3, height, width]}
    if task != "segment":
        nodes += [
            make("Greater", ["purity", "threshold"], ["inside"]),
            make("Cast", ["inside"], ["there"], to=TensorProto.FLOAT),
            make("ReduceMax", ["there"], ["columns"], axes=[2], keepdims=0),
            make("ReduceMax", ["there"], ["rows"], axes=[3], keepdims=0),
        ]
        for edge, line, last in (
            ("l", "columns", 0),
            ("t", "rows", 0),
            ("r", "columns", 1),
            ("b", "rows", 1),
        ):
            nodes += [
                make("ArgMax", [line], [f"{edge}0"], axis=2, keepdims=1, select_last_index=last),
                make("Cast", [f"{edge}0"], [f"{edge}1"], to=TensorProto.FLOAT),
                make("Add", [f"{edge}1", "one" if last else "zero"], [edge]),
            ]
        nodes += [
            make("Concat", ["l", "t", "r", "b"], ["boxes"], axis=2),
            make("ReduceMax", ["columns"], ["seen"], axes=[2], keepdims=0),
            make("Mul", ["seen", "sure"], ["scores"]),
            make("Mul", ["seen", "zero"], ["nothing"]),
            make("Add", ["nothing", "places"], ["classes"]),
        ]
        outputs = {"boxes": ["batch", 3, 4], "scores": ["batch", 3], "classes": ["batch", 3]}
    if task == "instances":
        nodes += [make("Unsqueeze", ["nothing", "last"], ["flat"]), make("Add", ["flat", "full"], ["masks"])]
        outputs["masks"] = ["batch", 3, 8, 8]
    constants = {
        "two": np.float32(2), "one": np.float32(1), "zero": np.float32(0), "threshold": np.float32(0.35),
        "sure": np.float32(0.9), "channel": np.array([1]), "last": np.array([2, 3]),
        "places": np.arange(3, dtype=np.float32)[None], "full": np.full((1, 1, 8, 8), 0.9, np.float32),
    }  # fmt: skip
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        f"squares-{task}",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, height, width])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [
            numpy_helper.from_array(np.asarray(value), name)
            for name, value in constants.items()
            if name in used
        ],
    )
    path = folder / f"squares-{task}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    path.with_name(path.name + ".card.json").write_text(json.dumps(_card(task, height, width)), "utf-8")
    return path


def _card(task: str, height: int, width: int) -> dict[str, Any]:
    heads = {"detect": "boxes", "instances": "mask_rcnn", "segment": "pixel_logits"}
    return {
        "format": {"major": 1, "minor": 0},
        "name": f"tests/squares-{task}",
        "task": task,
        "labels": list(LABELS),
        "program": [
            {"step": "read", "channels": "RGB", "orient": True},
            {"step": "resize", "size": [height, width], "fit": "stretch", "filter": "box"},
            {"step": "type", "dtype": "float32"},
            {"step": "range", "scale": 1 / 255, "offset": 0.0},
            {"step": "layout", "order": "NCHW"},
        ],
        "inputs": [
            {"name": "images", "kind": "image", "dtype": "float32", "shape": [None, 3, height, width]},
        ],
        "output": {"head": heads[task], "classes": len(LABELS)},
        "licence": {"weights": "Apache-2.0", "stated": True},
        "origin": "made by the tests",
    }
