"""timm: pretrained classifiers with the preprocessing of their own `pretrained_cfg`.

Reading a config needs no timm; only building the module does. timm downloads nothing: it builds an
empty network, and the weights that our hub found are loaded into it, strictly.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signet.catalogue import configs
from signet.errors import MissingExtra, UnknownName
from signet.hub import WeightFiles
from signet.networks import ModuleSource, ModuleSpec, Pretrained
from signet.zoos import modules

ZOO = "timm"
# Arguments of `timm.create_model` itself: they say where weights come from, and read files.
_RESERVED = (
    "cache_dir",
    "checkpoint_path",
    "model_name",
    "num_classes",
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
)


def pretrained(name: str, config: Mapping[str, Any], found: WeightFiles) -> Pretrained:
    """A model from its config and weight file; see `modules.pretrained`."""
    return modules.pretrained(name, config, found, spec_of(config), module_source)


def spec_of(config: Mapping[str, Any]) -> ModuleSpec:
    """The module that a config describes."""
    return configs.spec(ZOO, config)


def module_source(spec: ModuleSpec, weights: Path, digest: str, size: tuple[int, int]) -> ModuleSource:
    """The network as a module that is built when an engine asks for it."""
    return modules.module_source(build, spec, weights, digest, size, spec.classifier)


def build(spec: ModuleSpec, weights: Path | None) -> Any:
    """The torch module in evaluation mode, filled strictly from `weights`; random when that is None.

    Raises:
        MissingExtra: timm is not installed.
        UnknownName: timm has no such architecture.
        BadInput: timm refuses the arguments; a tensor is missing, unexpected, or of another shape.
    """
    try:
        import timm
    except ImportError as error:
        raise MissingExtra(f"timm/{spec.architecture}", "train", "timm") from error
    if not timm.is_model(spec.architecture):
        raise UnknownName("timm architecture", spec.architecture, timm.list_models())

    def make() -> Any:
        arguments = dict(spec.arguments)
        return timm.create_model(spec.architecture, pretrained=False, num_classes=spec.classes, **arguments)

    module = modules.made(make, spec, _RESERVED)
    if weights is not None:
        modules.fill(module, weights, f"timm/{spec.architecture}")
    return module
