"""torchvision: pretrained classifiers with the transforms of their own weight entry.

Reading an entry needs no torchvision (the packaged index has them all); only building does.
torchvision downloads nothing: it builds an empty network, and our hub's weights are loaded strictly.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from signet.cards import DigestTrust
from signet.catalogue import configs
from signet.errors import BadInput, MissingExtra, UnknownName
from signet.networks import ModuleSource, ModuleSpec, Pretrained

ZOO = "torchvision"


def pretrained(
    name: str, config: Mapping[str, Any], weights: Path, digest: str, trust: DigestTrust, where: str
) -> Pretrained:
    """A model from its config and weight file.

    Raises:
        BadCard: the config has a key or value that is not understood.
    """
    module = configs.spec(ZOO, config)
    stated = config.get("pretrained_cfg") or {}
    origin = (config.get("origin") or {}).get("repository") or stated.get("url") or "torchvision"
    card = configs.card(name, config, digest, trust, origin=str(origin))
    source = module_source(module, weights, configs.digest_of(module, digest), card.input_size or (224, 224))
    return Pretrained(card, (source,), configs.digest_with(source.digest, card), where)


def module_source(spec: ModuleSpec, weights: Path, digest: str, size: tuple[int, int]) -> ModuleSource:
    """The network as a module that is built when an engine asks for it."""
    return ModuleSource(
        build=partial(build, spec, weights),
        digest=digest,
        input_shape=(3, *size),
        spec=spec,
        weights=weights,
        classifier=spec.classifier or _classifier(spec.architecture),
    )


def build(spec: ModuleSpec, weights: Path | None) -> Any:
    """The torch module in evaluation mode, filled strictly from `weights`; random when that is None.

    Raises:
        MissingExtra: torchvision is not installed.
        UnknownName: torchvision has no such classifier.
        BadInput: a tensor is missing, unexpected, or of another shape.
    """
    try:
        import torch
        from torchvision import models
    except ImportError as error:
        raise MissingExtra(f"torchvision/{spec.architecture}", "train", "torchvision") from error
    known = models.list_models(module=models)
    if spec.architecture not in known:
        raise UnknownName("torchvision classifier", spec.architecture, known)
    arguments = dict(spec.arguments)
    if spec.architecture in _WITH_AUXILIARY_HEADS:
        # The auxiliary heads of the training are in the weight files; they never answer.
        arguments.setdefault("aux_logits", True)
        arguments.setdefault("init_weights", False)
        arguments.setdefault("transform_input", weights is not None)
    module = models.get_model(spec.architecture, weights=None, num_classes=spec.classes, **arguments)
    if weights is not None:
        try:
            module.load_state_dict(_state(torch, weights), strict=True)
        except RuntimeError as error:
            raise BadInput(
                f"{weights.name}: expected exactly the tensors of torchvision/{spec.architecture}; {error}"
            ) from error
    return module.eval()


def _state(torch: Any, weights: Path) -> Mapping[str, Any]:
    if weights.suffix == ".safetensors":
        from safetensors.torch import load_file

        state: Mapping[str, Any] = load_file(weights)
        return state
    loaded: Mapping[str, Any] = torch.load(weights, map_location="cpu", weights_only=True)
    return loaded


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
