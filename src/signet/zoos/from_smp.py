"""segmentation-models-pytorch: semantic decoders over any encoder of timm.

Nobody publishes weights of these under names that could be indexed, so that they come from a fine-tuning of
one's own: a decoder with random weights over a pretrained encoder. What was trained loads again, strictly.
The library downloads nothing: it builds an empty network, its encoder too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signet.catalogue import configs
from signet.errors import BadRequest, MissingExtra, UnknownName
from signet.hub import WeightFiles
from signet.networks import ModuleSource, ModuleSpec, Pretrained
from signet.zoos import backbones, modules

ZOO = "smp"
DECODERS = (
    "deeplabv3",
    "deeplabv3plus",
    "fpn",
    "linknet",
    "manet",
    "pan",
    "pspnet",
    "unet",
    "unetplusplus",
    "upernet",
)
"""Architectures of the library that work over any encoder with maps of several sizes."""
_RESERVED = ("activation", "arch", "aux_params", "classes", "encoder_name", "encoder_weights", "in_channels")
_MULTIPLE = 32
"""Of which the sides of a picture must be: the coarsest stride of the encoders."""


def pretrained(name: str, config: Mapping[str, Any], found: WeightFiles) -> Pretrained:
    """A model from its config and weight file; see `modules.pretrained`."""
    return modules.pretrained(name, config, found, spec_of(config), module_source)


def spec_of(config: Mapping[str, Any]) -> ModuleSpec:
    """The module that a config describes."""
    return configs.spec(ZOO, config)


def spec_for(
    decoder: str, encoder: str, classes: int, encoder_arguments: Mapping[str, Any] | None = None
) -> ModuleSpec:
    """The module for a decoder over an encoder.

    Args:
        decoder: one of `DECODERS`.
        encoder: timm's name of it.
        classes: labels, the background among them if it is one.
        encoder_arguments: what the encoder's own weight entry passes to timm.

    Raises:
        UnknownName: no such decoder.
    """
    if decoder not in DECODERS:
        raise UnknownName("decoder of segmentation-models-pytorch", decoder, DECODERS, _known())
    arguments: dict[str, Any] = {"encoder": encoder}
    if encoder_arguments:
        arguments["encoder_arguments"] = dict(encoder_arguments)
    return ModuleSpec(zoo=ZOO, architecture=decoder, arguments=arguments, classes=classes)


def module_source(spec: ModuleSpec, weights: Path, digest: str, size: tuple[int, int]) -> ModuleSource:
    """The network as a module that is built when an engine asks for it."""
    source = modules.module_source(build, spec, weights, digest, size, None)
    return dataclasses.replace(source, outputs=("logits",), free_size=True)


def build(spec: ModuleSpec, weights: Path | None) -> Any:
    """The torch module in evaluation mode, filled strictly from `weights`; random when that is None.

    Its `forward` takes float32 (N, 3, H, W) of any size and returns the logits (N, C, H, W).

    Raises:
        MissingExtra: segmentation-models-pytorch is not installed.
        UnknownName: it has no such decoder, or timm no such encoder.
        BadInput: the arguments are refused; a tensor is missing, unexpected, or of another shape.
    """
    try:
        import segmentation_models_pytorch as smp
        import timm
    except ImportError as error:
        raise MissingExtra(
            f"{ZOO}/{spec.architecture}", "segmentation", str(error.name).replace("_", "-")
        ) from error
    from signet.zoos.segmenters import PaddedSegmenter

    if spec.architecture not in DECODERS:
        raise UnknownName("decoder of segmentation-models-pytorch", spec.architecture, DECODERS, _known())
    arguments = dict(spec.arguments)
    encoder = str(arguments.pop("encoder", ""))
    if not timm.is_model(encoder):
        raise UnknownName("timm architecture", encoder, timm.list_models())

    def make() -> Any:
        network = smp.create_model(
            spec.architecture,
            f"tu-{encoder}",
            encoder_weights=None,
            classes=spec.classes,
            **arguments.pop("encoder_arguments", {}),
            **arguments,
        )
        return PaddedSegmenter(network, _MULTIPLE)

    module = modules.made(make, spec, _RESERVED)
    if weights is not None:
        modules.fill(
            module.network,
            weights,
            f"{ZOO}/{spec.architecture} over {encoder}",
            lambda key: key.removeprefix("network."),
        )
    return module


def fill_encoder(module: Any, classifier: Any, what: str) -> None:
    """Copy the weights of a timm classifier into the encoder of a segmenter.

    Args:
        module: of `build`.
        classifier: the whole timm module of the same architecture.
        what: its name, for messages.

    Raises:
        BadInput: the encoder has a tensor that the classifier lacks, or has in another shape.
        BadRequest: the segmenter has no encoder of timm.
    """
    body = getattr(getattr(module.network, "encoder", None), "model", None)
    if body is None:
        raise BadRequest(f"{what}: expected a segmenter with an encoder of timm to fill.")
    backbones.fill(body, classifier, what)


def _known() -> str:
    return f"Known: {', '.join(DECODERS)}."
