"""Signet's own architectures beside independent implementations of the same papers, with the same weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from identity.alive import enliven
from identity.cases import Case
from identity.peers import Peer, answer_of, batch_of, folder_of, opened, plain
from signet.architectures.catalogue import find


def made(case: Case, mirror: Path, images: Sequence[Path]) -> Peer:
    """The weights lie in the mirror under the names that the other implementation gives them."""
    import timm

    architecture = case.name.removeprefix("signet/")
    entry = find(architecture)
    stated = {
        "input_size": [3, entry.size, entry.size],
        "crop_pct": 0.9,
        "interpolation": "bicubic",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "classifier": entry.classifier,
    }
    config = {
        "library": "signet",
        "architecture": architecture,
        "num_classes": entry.classes,
        "model_args": dict(case.settings.get("arguments", {})),
        "pretrained_cfg": stated,
    }
    transform = timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=stated))

    def pixels(path: Path) -> np.ndarray:
        return transform(opened(path)).numpy()

    if entry.family == "nasnet":
        return _with_keras(case, mirror, config, pixels, images)
    other = _other(case).eval()
    enliven(other, batch_of(pixels, images), case.name)
    folder = folder_of(mirror, case.name, config)
    save_file(plain(other.state_dict()), folder / "model.safetensors")

    def double(module: Any, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wide = batch.astype(np.float64)
        return answer_of(module.double())(wide), answer_of(other.double())(wide)

    return Peer(answer_of(other), pixels, exact=False, double=double)


def _other(case: Case) -> Any:
    if "timm" in case.settings:
        import timm

        return timm.create_model(case.settings["timm"])
    from torchvision.models import DenseNet

    # The row of the paper's table, in torchvision's class; torchvision itself carries no weights of it.
    return DenseNet(growth_rate=32, block_config=(6, 12, 64, 48))


def _with_keras(
    case: Case, mirror: Path, config: Mapping[str, Any], pixels: Any, images: Sequence[Path]
) -> Peer:
    from identity import peers_keras
    from signet.zoos import keras_import

    keras = keras_import.imported("the comparison")
    folder = folder_of(mirror, case.name, config, "nasnet_large.h5")
    with keras_import.building(keras):
        model = keras.applications.NASNetLarge(weights=None, classifier_activation=None)
        peers_keras.enliven(model, case.name, batch_of(pixels, images).numpy())
    peers_keras.save(model, folder / "nasnet_large.h5")

    def double(module: Any, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wide = batch.astype(np.float64)
        with peers_keras.in_double(keras):
            exact = keras.applications.NASNetLarge(weights=None, classifier_activation=None)
            exact.set_weights([peers_keras.values(variable) for variable in model.weights])
            theirs = peers_keras.predict(exact, wide)
        return answer_of(module.double())(wide), theirs

    return Peer(lambda batch: peers_keras.predict(model, batch), pixels, exact=False, double=double)
