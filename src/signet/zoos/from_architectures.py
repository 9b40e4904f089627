"""Signet's own architectures, filled with weights that others published under their own names.

None of them comes with weights. Where somebody's are at hand (a mirrored folder, a seal), they are read
under our names or under those of the library that they are from, and either way every tensor is used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signet.architectures import building, yolo_table
from signet.architectures.catalogue import find
from signet.catalogue import configs
from signet.errors import BadInput, MissingExtra
from signet.hub import WeightFiles
from signet.naming import shown
from signet.networks import ModuleSource, ModuleSpec, Pretrained
from signet.zoos import modules

ZOO = "signet"


def pretrained(name: str, config: Mapping[str, Any], found: WeightFiles) -> Pretrained:
    """A model from its config and weight file; see `modules.pretrained`.

    Raises:
        BadCard: the config has a key or value that is not understood.
        UnknownName: no such architecture, or it has no such argument.
        BadRequest: an argument is out of range.
    """
    whole = completed(config)
    return modules.pretrained(name, whole, found, spec_of(whole), module_source)


def completed(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A config with what it leaves to the rules of its architecture: preprocessing and answer of YOLO."""
    return yolo_table.completed(config) if config.get("architecture") in yolo_table.NETWORKS else config


def spec_of(config: Mapping[str, Any]) -> ModuleSpec:
    """The module that a config describes."""
    return configs.spec(ZOO, completed(config))


def spec_named(name: str) -> ModuleSpec:
    """The module that a name asks for: `efficientnet:width=1.1,depth=1.2,size=240`.

    Raises:
        UnknownName: no such architecture, or it has no such argument.
        BadRequest: an argument is out of range.
    """
    asked = building.parse_name(name)
    entry = find(asked.architecture)
    return ModuleSpec(
        zoo=ZOO,
        architecture=asked.architecture,
        arguments=dict(asked.arguments),
        classes=entry.classes,
        classifier=entry.classifier or None,
    )


def module_source(spec: ModuleSpec, weights: Path, digest: str, size: tuple[int, int]) -> ModuleSource:
    """The network as a module that is built when an engine asks for it."""
    if spec.architecture == yolo_table.OVER_BACKBONES:
        source = modules.module_source(build, spec, weights, digest, size, None)
        kind: yolo_table.Kind = "instances" if spec.arguments.get("instances") else "detect"
        return dataclasses.replace(source, outputs=yolo_table.OUTPUTS[kind])
    entry = find(spec.architecture)
    classifier = entry.classifier if spec.classes and not entry.outputs else None
    source = modules.module_source(build, spec, weights, digest, size, spec.classifier or classifier)
    return dataclasses.replace(source, outputs=entry.outputs)


def build(spec: ModuleSpec, weights: Path | None) -> Any:
    """The torch module in evaluation mode, filled strictly from `weights`; random when that is None.

    Raises:
        MissingExtra: torch is not installed, or h5py for a file of Keras.
        UnknownName: no such architecture or argument.
        BadInput: a tensor is missing, unexpected, or of another shape.
    """
    if spec.architecture == yolo_table.OVER_BACKBONES:
        return _over_backbone(spec, weights)
    module = modules.made(lambda: building.build(spec.architecture, spec.classes, dict(spec.arguments)), spec)
    if weights is None:
        return module
    if spec.architecture in yolo_table.NETWORKS:
        return _filled_yolo(spec, module, weights)
    foreign = _foreign_names(spec)
    if weights.suffix == ".h5":
        module.load_state_dict(_from_keras(spec, module, weights), strict=True)
    elif foreign and not _under_our_names(modules.read_state(weights), module):
        from signet.architectures.renaming import renamed

        module.load_state_dict(renamed(modules.read_state(weights), foreign, module), strict=True)
    else:
        modules.fill(module, weights, f"{ZOO}/{spec.architecture}")
    return module


def _over_backbone(spec: ModuleSpec, weights: Path | None) -> Any:
    """The one-stage detector over a backbone of timm."""
    try:
        from signet.zoos import one_stage
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtra(f"The architecture {spec.architecture}", "train", "torch") from error
    module = modules.made(lambda: one_stage.one_stage_network(spec), spec)
    if weights is not None:
        modules.fill(module, weights, f"{spec.architecture} over {spec.arguments.get('backbone')}")
    return module


def _filled_yolo(spec: ModuleSpec, module: Any, weights: Path) -> Any:
    """Filled under our names, or under those of the package that the weights are from."""
    from signet.architectures import yolo_names
    from signet.architectures.renaming import renamed

    state = modules.read_state(weights)
    if _under_our_names(state, module):
        modules.fill(module, weights, f"{ZOO}/{spec.architecture}")
        return module
    keys = yolo_names.key_map(yolo_table.NETWORKS[spec.architecture].keys)
    theirs = yolo_names.without_ignored(yolo_names.numbered(state), keys)
    module.load_state_dict(renamed(theirs, yolo_names.original_names(module, keys), module), strict=True)
    return module


def _under_our_names(state: Mapping[str, Any], module: Any) -> bool:
    """Whether most tensors bear our names; one too many is then shown as such, and not as another naming."""
    ours = module.state_dict().keys() & state.keys()
    return 2 * len(ours) > len(state)


def _from_keras(spec: ModuleSpec, module: Any, weights: Path) -> Mapping[str, Any]:
    if find(spec.architecture).family != "nasnet":
        raise BadInput(
            f"{shown(weights.name)}: a file of Keras is read for NASNet only; for {spec.architecture} "
            "expected safetensors, or tensors saved by torch."
        )
    from signet.architectures import nasnet, nasnet_keras

    base = nasnet.LARGE if spec.architecture == "nasnet_a_large" else nasnet.MOBILE
    settings = dataclasses.replace(base, **dict(spec.arguments))
    return nasnet_keras.read_keras(weights, module, settings)


def _foreign_names(spec: ModuleSpec) -> Mapping[str, str]:
    """Under which names the public weights of an architecture have its tensors; empty when under ours."""
    match find(spec.architecture).family:
        case "inception_v2" if spec.architecture == "inception_v2":
            from signet.architectures import inception_v2

            return inception_v2.caffe_names()
        case "efficientnet":
            from signet.architectures import efficientnet

            settings = dict(building.request(spec.architecture, dict(spec.arguments)).arguments)
            return efficientnet.timm_names(efficientnet.Settings(**settings))  # type: ignore[arg-type]
        case _:
            return {}
