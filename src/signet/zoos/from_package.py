"""The starter: the one pretrained model that comes with Signet, as weights, graph and card.

Its graph holds no weights of its own: it points into `model.safetensors` beside it, so they exist once.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from signet.cards import Card
from signet.catalogue import configs
from signet.errors import MissingExtra
from signet.graphs.opening import open_graph
from signet.networks import ModuleSource, ModuleSpec, Pretrained
from signet.storage import digest_of, read_json
from signet.zoos import modules

ZOO = "signet"


def folder() -> Path:
    """Where the starter's files lie inside the package."""
    return Path(str(files("signet.catalogue"))) / "starter"


def pretrained() -> Pretrained:
    """The starter."""
    card = Card.from_dict(read_json(folder() / "card.json"))
    weights = folder() / "model.safetensors"
    graph = open_graph(folder() / "graph.onnx")
    spec = ModuleSpec(zoo=ZOO, architecture=card.architecture, classes=0)
    source = module_source(
        spec, weights, configs.digest_of(spec, digest_of(weights)), card.input_size or (128, 128)
    )
    return Pretrained(card, (graph, source), configs.digest_with(graph.digest, card), "package")


def module_source(spec: ModuleSpec, weights: Path, digest: str, size: tuple[int, int]) -> ModuleSource:
    """The network as a module that is built when an engine asks for it."""
    return modules.module_source(build, spec, weights, digest, size, spec.classifier)


def build(spec: ModuleSpec, weights: Path | None) -> Any:
    """An own architecture in evaluation mode, float32, filled strictly; random when `weights` is None.

    Raises:
        MissingExtra: torch is not installed.
        BadInput: a tensor is missing, unexpected, or of another shape.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("The starter as a torch module", "train", "torch") from error
    from signet.architectures.starter import StarterNet

    module: Any = StarterNet()
    if spec.classes:
        module = torch.nn.Sequential()
        module.add_module("backbone", StarterNet())
        module.add_module("head", torch.nn.Linear(512, spec.classes))
    if weights is not None:
        modules.fill(module, weights, spec.architecture)
    return module.float().eval()
