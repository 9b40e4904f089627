"""What an engine runs: a graph file, or a torch module that can be built.

A network knows nothing of images or labels; the card beside it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

GraphFormat = Literal["onnx", "tflite", "xml"]
GRAPH_SUFFIXES: dict[str, GraphFormat] = {".onnx": "onnx", ".tflite": "tflite", ".xml": "xml"}
"""File endings of the graph formats that the engines read (`.xml` is OpenVINO IR)."""


@dataclass(frozen=True, slots=True)
class GraphFile:
    """A network as a graph on disk.

    Attributes:
        path: the file; weights that lie beside it stay inside its folder.
        format: "onnx", "tflite" or "xml" (OpenVINO IR).
        digest: sha256 hex over the file and all files that belong to it.
    """

    path: Path
    format: GraphFormat
    digest: str


@dataclass(frozen=True, slots=True)
class ModuleSource:
    """A network as a torch module that can be built, filled with its weights, on demand.

    Attributes:
        build: returns the `torch.nn.Module` in evaluation mode, float32, on the CPU; its `forward`
            takes float32 (N, 3, H, W) and returns the logits (N, C).
        digest: sha256 hex over architecture, arguments and weights: equal digests, equal answers.
        input_shape: (3, H, W) that it was made for.
        classifier: dotted name of the layer that is the head (a Linear or a 1x1 convolution), or
            None when it is to be found.
    """

    build: Callable[[], object]
    digest: str
    input_shape: tuple[int, int, int]
    classifier: str | None = None


Network = GraphFile | ModuleSource
