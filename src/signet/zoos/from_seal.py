"""Sealed models as models: the seal is checked whole, then its graph and its weights are what runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from signet.catalogue import configs
from signet.errors import BadGraph, SealError
from signet.graphs.opening import open_graph
from signet.networks import ModuleSource, ModuleSpec, Network, Pretrained
from signet.seals import Seal, is_seal, open_seal

__all__ = ["is_seal", "of", "pretrained"]

ModuleBuilder = Callable[[ModuleSpec, Path, str, tuple[int, int]], ModuleSource | None]
"""From (spec, weights, digest, (height, width)) to a module, or None when no zoo here builds it."""

_SIZE = (224, 224)


def pretrained(path: Path, module_source: ModuleBuilder | None = None) -> Pretrained:
    """The model in a seal.

    Args:
        path: a sealed folder, or a zip of one.
        module_source: makes a torch module of the sealed weights; without it only the graph is there. Zoos
            do not know each other, so whoever knows them all passes it in.

    Raises:
        Tampered: a file is not what was sealed.
        UnsupportedFormat: a later major format.
        SealError: the seal contradicts itself, or its graph may not be opened.
    """
    return of(open_seal(path), module_source)


def of(seal: Seal, module_source: ModuleBuilder | None = None) -> Pretrained:
    """The model in a seal that is opened already; see `pretrained`."""
    manifest = seal.manifest
    try:
        checked = {seal.path / name: file.sha256 for name, file in manifest.files.items()}
        networks: list[Network] = [open_graph(seal.graphs["image"], checked)]
    except BadGraph as error:
        raise SealError(f"{seal.path.name}: its graph may not be opened: {error}") from error
    if module_source is not None and manifest.module is not None and manifest.weights is not None:
        digest = configs.digest_of(manifest.module, manifest.files[manifest.weights].sha256)
        size = seal.card.input_size or _SIZE
        module = module_source(manifest.module, seal.path / manifest.weights, digest, size)
        if module is not None:
            networks.append(module)
    return Pretrained(seal.card, tuple(networks), seal.digest, "seal", manifest.variants)
