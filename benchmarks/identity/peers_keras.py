"""Keras's own way: the file that `weights="imagenet"` would have downloaded, and `model.predict`."""

from __future__ import annotations

import sys
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from identity.alive import FLOOR, SHARE
from identity.cases import Case
from identity.peers import Peer, batch_of, folder_of, replaced
from signet.catalogue import index
from signet.decoding import read
from signet.preprocessing import prepare
from signet.programs import Program
from signet.zoos import from_keras, keras_import


def made(case: Case, mirror: Path, images: Sequence[Path]) -> Peer:
    """A peer by its index entry.

    Keras states no way from a file to a crop; what it states, `preprocess_input`, is applied to our crop.
    """
    keras = keras_import.imported("the comparison")
    config = index.config(case.name)
    kind = getattr(keras.applications, from_keras.class_of(config["architecture"]))
    arguments = dict(config["model_args"])
    arguments.pop("imagenet_rescaling", None)
    arguments["input_shape"] = tuple(arguments["input_shape"])
    file = config["pretrained_cfg"].get("file", "weights.h5")
    folder = folder_of(mirror, case.name, config, file)
    own = sys.modules[kind.__module__].preprocess_input
    program = Program.from_list(config["program"])
    geometric, _ = program.split()

    def pixels(path: Path) -> np.ndarray:
        crop = np.asarray(prepare([read(path)], Program(geometric)).arrays)
        return np.asarray(own(crop.astype(np.float32)))[0].transpose(2, 0, 1)

    with keras_import.building(keras):
        random = kind(weights=None, classifier_activation=None, **arguments)
    save(random, folder / file)
    # Only when it loads does Keras add some layers (EfficientNet's factors), which the statistics must fit.
    model = published(keras, kind, arguments, folder / file)
    with keras_import.building(keras):
        enliven(model, case.name, batch_of(pixels, images).numpy())
    random.set_weights([values(variable) for variable in model.weights])
    save(random, folder / file)
    model = published(keras, kind, arguments, folder / file)

    def double(module: Any, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import torch

        with torch.inference_mode():
            ours = module.double()(torch.from_numpy(batch).double()).numpy()
        with in_double(keras):
            model = published(keras, kind, arguments, folder / file)
            _round_constants(model)
            theirs = predict(model, batch.astype(np.float64))
        return ours, theirs

    return Peer(lambda batch: predict(model, batch), pixels, exact=False, double=double)


def published(keras: Any, kind: Any, arguments: dict[str, Any], file: Path) -> Any:
    """The model as Keras makes it of its published weights."""
    from keras.src.utils import file_utils

    with (
        replaced(file_utils, "get_file", lambda *_, **__: str(file)),
        keras_import.building(keras),
    ):
        return kind(weights="imagenet", classifier_activation=None, **arguments)


@contextmanager
def in_double(keras: Any) -> Iterator[None]:
    """Keras in float64; on the torch backend it would round what layers mix to float32."""
    from keras.src.backend.common import dtypes

    table = dtypes.BIT64_TO_BIT32_DTYPE
    before = table["float64"]
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    table["float64"] = "float64"
    try:
        yield
    finally:
        table["float64"] = before
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


def _round_constants(model: Any) -> None:
    """What Keras computes anew from lists of numbers, as it is in float32: their digits are not compared."""
    for layer in model.layers:
        if type(layer).__name__ == "Rescaling":
            if not isinstance(layer.scale, float):
                layer.scale = np.asarray(layer.scale, np.float32).astype(np.float64).tolist()
        elif type(layer).__name__ == "Normalization":
            # torch's root, as Keras takes it: numpy's is another one in the last bit.
            layer.variance = layer.variance.float().sqrt().double().square()
            layer.mean = layer.mean.float().double()


def predict(model: Any, batch: np.ndarray) -> np.ndarray:
    """What Keras answers to (N, 3, H, W)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(model.predict(batch.transpose(0, 2, 3, 1), verbose=0))


def values(variable: Any) -> np.ndarray:
    """What a variable holds; Keras's own way warns under numpy 2."""
    return np.asarray(variable.value.detach().cpu().numpy())


def enliven(model: Any, name: str, batch: np.ndarray) -> None:
    """Random weights in every tensor: kernels with He's spread, scales near one, fitting statistics."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    for variable in model.variables:
        leaf, shape = variable.path.rpartition("/")[2], tuple(variable.shape)
        if leaf in ("moving_variance", "variance"):
            value = random.uniform(0.6, 1.6, shape)
        elif len(shape) == 1 and leaf not in ("bias", "beta", "moving_mean", "mean"):
            value = random.uniform(0.7, 1.3, shape)
        elif len(shape) < 2:
            value = random.normal(0, 0.1, shape)
        else:
            depthwise = leaf == "depthwise_kernel" or ("depthwise" in variable.path and shape[3] == 1)
            inputs = np.prod(shape[:2]) if depthwise and len(shape) == 4 else np.prod(shape[:-1])
            value = random.normal(0, np.sqrt(2 / inputs), shape)
        variable.assign(value)
    fitted = [layer for layer in model.layers if hasattr(layer, "moving_mean")]
    kept = [(layer, name, getattr(layer, name)) for layer in model.layers for name in ("momentum", "rate")
            if isinstance(getattr(layer, name, None), float)]  # fmt: skip
    for layer, attribute, _ in kept:
        setattr(layer, attribute, 0.0)
    if fitted:
        model(batch.transpose(0, 2, 3, 1), training=True)
    for layer, attribute, value in kept:
        setattr(layer, attribute, value)
    for layer in fitted:
        mean = values(layer.moving_mean)
        variance = np.maximum(values(layer.moving_variance), np.maximum(FLOOR, SHARE * mean**2))
        noise = random.normal(0, 0.1, variance.shape) * np.sqrt(variance)
        layer.moving_mean.assign(mean + noise)
        layer.moving_variance.assign(variance * random.uniform(0.8, 1.3, variance.shape))


def save(model: Any, file: Path) -> None:
    """As Keras 1 and 2 wrote the published files."""
    from keras.src.legacy.saving import legacy_h5_format

    with warnings.catch_warnings(), h5py.File(file, "w") as opened:
        warnings.simplefilter("ignore")
        legacy_h5_format.save_weights_to_hdf5_group(opened, model)
