"""torchvision: classifiers, detectors and segmenters with the transforms of their own weight entry.

Reading an entry needs no torchvision (the packaged index has them all); only building does.
torchvision downloads nothing: it builds an empty network, and our hub's weights are loaded strictly.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signet.catalogue import configs
from signet.errors import MissingExtra, UnknownName
from signet.hub import WeightFiles
from signet.networks import ModuleSource, ModuleSpec, Pretrained
from signet.zoos import modules, torchvision_dense

ZOO = "torchvision"
_OLD_LAYER = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])(?=\.)")
_RESERVED = ("num_classes", "progress", "weights")
_VIT_SIZE = 224
"""Of the images of a ViT that nobody states another size for."""


def pretrained(name: str, config: Mapping[str, Any], found: WeightFiles) -> Pretrained:
    """A model from its config and weight file; see `modules.pretrained`."""
    return modules.pretrained(name, config, found, spec_of(config), module_source)


def spec_of(config: Mapping[str, Any]) -> ModuleSpec:
    """The module that a config describes.

    A ViT has a place embedding for each patch, so that one for larger images (SWAG's) is another network.
    """
    spec = configs.spec(ZOO, config)
    size = configs.size_of(config.get("pretrained_cfg") or {})[0]
    if not spec.architecture.startswith("vit_") or size == _VIT_SIZE or "image_size" in spec.arguments:
        return spec
    return dataclasses.replace(spec, arguments={**spec.arguments, "image_size": size})


def module_source(spec: ModuleSpec, weights: Path, digest: str, size: tuple[int, int]) -> ModuleSource:
    """The network as a module that is built when an engine asks for it."""
    if torchvision_dense.has(spec.architecture):
        return dataclasses.replace(
            modules.module_source(build, spec, weights, digest, size, None),
            outputs=torchvision_dense.outputs_of(spec.architecture),
            free_size=torchvision_dense.takes_any_size(spec.architecture),
            selects=not torchvision_dense.is_segmenter(spec.architecture),
        )
    classifier = spec.classifier or _classifier(spec.architecture)
    return modules.module_source(build, spec, weights, digest, size, classifier)


def build(spec: ModuleSpec, weights: Path | None) -> Any:
    """The torch module in evaluation mode, filled strictly from `weights`; random when that is None.

    Raises:
        MissingExtra: torchvision is not installed.
        UnknownName: torchvision has no such network.
        BadInput: torchvision refuses the arguments; a tensor is missing, unexpected, or of another shape.
    """
    try:
        from torchvision import models
    except ImportError as error:
        raise MissingExtra(f"torchvision/{spec.architecture}", "train", "torchvision") from error
    if torchvision_dense.has(spec.architecture):
        return torchvision_dense.build(spec, weights)
    known = models.list_models(module=models)
    if spec.architecture not in known:
        raise UnknownName("torchvision classifier", spec.architecture, known)
    arguments = dict(spec.arguments)
    if spec.architecture in _WITH_AUXILIARY_HEADS:
        # The auxiliary heads of the training are in the weight files; they never answer.
        arguments.setdefault("aux_logits", True)
        arguments.setdefault("init_weights", False)
        arguments.setdefault("transform_input", weights is not None)

    def make() -> Any:
        return models.get_model(spec.architecture, weights=None, num_classes=spec.classes, **arguments)

    module = modules.made(make, spec, _RESERVED)
    if weights is not None:
        rename = _of_today if spec.architecture.startswith("densenet") else None
        modules.fill(module, weights, f"torchvision/{spec.architecture}", rename)
    return module


def _of_today(key: str) -> str:
    """The name that a tensor of DenseNet has today; the published files are older, with `norm.1`, `conv.2`.

    Source: torchvision `models.densenet._load_state_dict`.
    """
    return _OLD_LAYER.sub(r"\1\2", key)


_WITH_AUXILIARY_HEADS = ("googlenet", "inception_v3")


def _classifier(architecture: str) -> str:
    """The dotted name of the head, which torchvision's entries do not state.

    Raises:
        UnknownName: an architecture that this table does not have.
    """
    for start, name in _HEADS:
        if architecture.startswith(start):
            return name
    raise UnknownName("torchvision head", architecture, [start for start, _ in _HEADS])


_HEADS = (
    ("alexnet", "classifier.6"),
    ("convnext", "classifier.2"),
    ("densenet", "classifier"),
    ("efficientnet", "classifier.1"),
    ("googlenet", "fc"),
    ("inception", "fc"),
    ("maxvit", "classifier.5"),
    ("mnasnet", "classifier.1"),
    ("mobilenet_v2", "classifier.1"),
    ("mobilenet_v3", "classifier.3"),
    ("regnet", "fc"),
    ("resnet", "fc"),
    ("resnext", "fc"),
    ("shufflenet", "fc"),
    ("squeezenet", "classifier.1"),
    ("swin", "head"),
    ("vgg", "classifier.6"),
    ("vit", "heads.head"),
    ("wide_resnet", "fc"),
)
