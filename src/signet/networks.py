"""What an engine runs: a graph file, or a torch module that can be built.

A network knows nothing of images or labels; the card beside it does, and `Pretrained` holds the two.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from signet.cards import Card
from signet.errors import BadRequest

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
        quantized: whether it computes with whole numbers; None where nobody has looked.
    """

    path: Path
    format: GraphFormat
    digest: str
    quantized: bool | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ModuleSpec:
    """Which torch module to build: plain data, so that it can be written into a seal.

    Attributes:
        zoo: who builds it: "timm", "torchvision", "signet" (own architectures).
        architecture: its name there.
        arguments: what the zoo's own weight entry passes to it.
        classes: outputs of the head; 0 for none.
        classifier: dotted name of the layer that is the head, or None when the module ends in features.
    """

    zoo: str
    architecture: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    classes: int = 1000
    classifier: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; `ModuleSpec(**it)` is an equal spec."""
        return {**dataclasses.asdict(self), "arguments": dict(self.arguments)}


@dataclass(frozen=True, slots=True)
class ModuleSource:
    """A network as a torch module that can be built, filled with its weights, on demand.

    Attributes:
        build: returns the `torch.nn.Module` in evaluation mode, float32, on the CPU; its `forward`
            takes float32 (N, *input_shape) and returns the logits (N, C), the features (N, D), or a tuple
            of tensors whose first axes are the image, as many as `outputs` names.
        digest: sha256 hex over architecture, arguments and weights: equal digests, equal answers.
        input_shape: (3, H, W) that it was made for; (H, W, 3) where the card's program leaves channels last.
        spec: what is built, as data; None for a module that only the caller can build.
        weights: the weight file; None for a module that only the caller can build.
        classifier: dotted name of the layer that is the head (a Linear or a 1x1 convolution), or None.
        outputs: names of what `forward` returns, of a detector or segmenter; empty for one that returns
            logits or features.
        free_size: pictures of any height and width go in; `input_shape` is then one of them.
        selects: how many values there are inside depends on the picture, as where boxes suppress others. A
            graph of it takes one picture at a time.
    """

    build: Callable[[], Any]
    digest: str
    input_shape: tuple[int, int, int]
    spec: ModuleSpec | None = None
    weights: Path | None = None
    classifier: str | None = None
    outputs: tuple[str, ...] = ()
    free_size: bool = False
    selects: bool = False

    def __post_init__(self) -> None:
        if self.outputs and self.classifier:
            raise BadRequest(
                f"a module: expected either a classifier or named outputs, got {self.classifier!r} and "
                f"{', '.join(self.outputs)}."
            )

    @property
    def answers(self) -> tuple[str, ...]:
        """The names of all that an engine gives, in order: those of a classifier, of features, or its own."""
        if self.outputs:
            return self.outputs
        if self.classifier:
            return "logits", "features"
        return ("features",) if self.spec is not None and self.spec.classes == 0 else ("logits",)


Network = GraphFile | ModuleSource


@dataclass(frozen=True, slots=True)
class Variant:
    """How one engine in one precision decided, compared with the reference in fp32: evidence in a seal.

    Attributes:
        engine: its name.
        version: of the library behind it.
        processor: as `machine.processor()` names it.
        precision: "bf16", "int8" or "fp32".
        compared: images that were compared.
        equal: of them, those that were decided alike: the same first label, boxes or pixels.
        golden: golden images among them.
        golden_equal: of those, the ones that were decided alike.
    """

    engine: str
    version: str
    processor: str
    precision: str
    compared: int
    equal: int
    golden: int
    golden_equal: int


@dataclass(frozen=True, slots=True)
class Pretrained:
    """A model as it was found: what is known of it, and the networks that compute it.

    Attributes:
        card: all that is known.
        networks: the same function in one form or several; an engine takes the first that it can run.
        digest: sha256 hex of what the answers depend on: weights, graph, program, output contract.
        where: "package", "cache", "mirror", "hub", "file", "seal" or "untrained".
        variants: what a seal says of other engines and precisions.
    """

    card: Card
    networks: tuple[Network, ...]
    digest: str
    where: str
    variants: tuple[Variant, ...] = ()

    @property
    def module(self) -> ModuleSource | None:
        """The network as a torch module that is built again from plain data and its weights.

        None where there is a graph alone, or a module that only code can build: neither can be trained
        further.
        """
        for network in self.networks:
            if isinstance(network, ModuleSource) and network.spec is not None and network.weights is not None:
                return network
        return None
