"""Which of our own zoos bears a name: the one table, so that nobody else lists them."""

from __future__ import annotations

from typing import Any

from signet.architectures.catalogue import ARCHITECTURES
from signet.architectures.yolo_table import OVER_BACKBONES

LIBRARIES = ("timm", "torchvision", "open_clip", "transformers", "keras", "smp", "signet")
"""Names of the zoos that build torch modules."""


def zoo(name: str, architecture: str = "") -> Any:
    """The module of a zoo that builds torch modules, or None when the name is of none of ours.

    Args:
        name: as `ModuleSpec.zoo` has it.
        architecture: what is to be built; it parts the starter from Signet's other architectures.
    """
    match name:
        case "timm":
            from signet.zoos import from_timm

            return from_timm
        case "torchvision":
            from signet.zoos import from_torchvision

            return from_torchvision
        case "open_clip":
            from signet.zoos import from_openclip

            return from_openclip
        case "transformers":
            from signet.zoos import from_transformers

            return from_transformers
        case "keras":
            from signet.zoos import from_keras

            return from_keras
        case "smp":
            from signet.zoos import from_smp

            return from_smp
        case "signet" if architecture in ARCHITECTURES or architecture == OVER_BACKBONES:
            from signet.zoos import from_architectures

            return from_architectures
        case "signet":
            from signet.zoos import from_package

            return from_package
        case _:
            return None
