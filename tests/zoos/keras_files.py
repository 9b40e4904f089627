"""Weight files as Keras itself writes them, with random weights in every tensor."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from signet.catalogue import index
from signet.networks import ModuleSpec
from signet.zoos import from_keras, keras_import


def model(architecture: str, seed: int = 2, **arguments: Any) -> Any:
    """A model of Keras Applications that ends in logits, its weights and statistics random."""
    keras = keras_import.imported("the tests")
    kind = getattr(keras.applications, from_keras.class_of(architecture))
    with keras_import.building(keras):
        made = kind(weights=None, classifier_activation=None, **arguments)
        randomise(made, architecture, seed)
    return made


def images(side: int, count: int = 2, seed: int = 1) -> Any:
    """(N, side, side, 3) from 0 to 255, in coarse blocks: noise would look the same to every network."""
    blocks = np.random.default_rng(seed).uniform(0, 255, (count, 8, 8, 3)).astype(np.float32)
    times = -(-side // 8)
    return np.ascontiguousarray(blocks.repeat(times, axis=1).repeat(times, axis=2)[:, :side, :side])


def pixels(name: str, side: int, count: int = 2, seed: int = 1) -> Any:
    """Images on the scale that an architecture takes."""
    inside = name.lower().startswith(("efficientnet", "convnext", "mobilenetv3"))
    return images(side, count, seed) if inside else images(side, count, seed) / 127.5 - 1


def randomise(made: Any, architecture: str, seed: int) -> None:
    """No two tensors alike, and no layer without an effect.

    The statistics are near those of real maps: with others the signal dies within a few layers, and any
    two networks give the same answers.
    """
    random = np.random.default_rng(seed)
    norms = [layer for layer in made.layers if type(layer).__name__ == "BatchNormalization"]
    for variable in made.variables:
        if variable.path.endswith("kernel"):
            # He et al., arXiv:1502.01852, equation 10; a depthwise kernel sees one channel.
            seen = variable.shape[:2] if variable.shape[-1] == 1 else variable.shape[:-1]
            variable.assign(random.normal(0, np.sqrt(2 / np.prod(seen)), variable.shape))
    _measure(made, norms, pixels(architecture, int(made.input_shape[1]), 4, seed))
    for variable in made.variables:
        name, value = variable.path.rpartition("/")[2], np.asarray(variable.value.detach())
        if name in ("moving_variance", "variance"):
            variable.assign(value * random.uniform(0.8, 1.2, value.shape) + 0.01)
        elif name in ("gamma", "variable"):
            variable.assign(random.uniform(0.7, 1.3, value.shape))
        elif name in ("moving_mean", "mean", "beta", "bias"):
            variable.assign(value + random.normal(0, 0.05, value.shape))
    for layer in made.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def _measure(made: Any, norms: list[Any], given: Any) -> None:
    """Let every BatchNorm take the statistics of some pictures, and nothing be dropped by chance."""
    dropouts = [layer for layer in made.layers if isinstance(getattr(layer, "rate", None), float)]
    kept = [(layer, "momentum", layer.momentum) for layer in norms]
    kept += [(layer, "rate", layer.rate) for layer in dropouts]
    for layer, attribute, _ in kept:
        setattr(layer, attribute, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made(given, training=True)
    for layer, attribute, value in kept:
        setattr(layer, attribute, value)


def save(made: Any, place: Path, form: str) -> Path:
    """Write the weights: `h5` (Keras 1 and 2), `whole` (a whole model in that format) or `weights.h5`."""
    from keras.src.legacy.saving import legacy_h5_format

    file = place / ("model.weights.h5" if form == "weights.h5" else f"{form}.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if form == "weights.h5":
            made.save_weights(file, overwrite=True)
        elif form == "whole":
            legacy_h5_format.save_model_to_hdf5(made, file, include_optimizer=False)
        else:
            with h5py.File(file, "w") as opened:
                legacy_h5_format.save_weights_to_hdf5_group(opened, made)
    return file


def predict(made: Any, pixels: Any) -> Any:
    """What Keras answers to (N, H, W, 3)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return made.predict(pixels, verbose=0)


def config(architecture: str, **arguments: Any) -> dict[str, Any]:
    """The `config.json` of a mirrored folder: the index entry, built with other arguments."""
    entry = dict(index.config(f"keras/{architecture}.imagenet"))
    if arguments:
        rows, columns, _ = arguments["input_shape"]
        entry["model_args"] = {**arguments, "input_shape": [rows, columns, 3]}
        entry["pretrained_cfg"] = {**entry["pretrained_cfg"], "input_size": [3, rows, columns]}
        for step in entry["program"]:
            if step["step"] == "crop":
                step["size"] = [rows, columns]
    return {key: value for key, value in entry.items() if key not in ("name", "file_md5", "file_sha256")}


def spec(architecture: str, classes: int = 1000, **arguments: Any) -> ModuleSpec:
    """What `from_keras.build` takes."""
    return ModuleSpec("keras", architecture, arguments, classes, from_keras.CLASSIFIER)
