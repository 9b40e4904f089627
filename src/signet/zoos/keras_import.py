"""Keras on its torch backend, imported without a trace: no environment, file or random state is changed.

Keras chooses its backend once, when it is imported, from the environment, and writes a configuration into
the user's home. Here the environment says `torch` for the time of the import only, and a home that has no
configuration yet gets none.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from signet.errors import BadRequest, MissingExtra

_LOCK = threading.RLock()
_VARIABLES = ("KERAS_BACKEND", "KERAS_HOME", "TF_FORCE_GPU_ALLOW_GROWTH")
"""What the import reads or sets."""


def imported(what: str) -> Any:
    """The package `keras`, on the torch backend.

    Args:
        what: needs it, for messages.

    Raises:
        MissingExtra: keras, h5py or torch is not installed.
        BadRequest: Keras was imported before, with another backend or another image layout.
    """
    with _LOCK:
        keras = sys.modules.get("keras")
        if keras is None:
            try:
                import h5py  # noqa: F401  (Keras imports it late, and fails badly without)
                import torch  # noqa: F401

                with _same_random():
                    keras = _import()
            except ImportError as error:
                if error.name in ("h5py", "keras", "torch"):
                    raise MissingExtra(what, "keras", error.name) from error
                # Half an import that failed before stays in the process, with the backend that it chose.
                raise BadRequest(
                    f"{what}: Keras cannot be imported here: {error}. Where something else in this process "
                    "has tried to, set KERAS_BACKEND=torch before it does."
                ) from error
    backend = keras.config.backend()
    if backend != "torch":
        raise BadRequest(
            f"{what}: Keras was imported before with the backend {backend!r}; expected 'torch'. A process "
            "has one backend: set KERAS_BACKEND=torch before the first import of Keras, or load this model "
            "in a process of its own."
        )
    settings = (keras.config.image_data_format(), keras.config.floatx(), keras.config.dtype_policy().name)
    if settings != ("channels_last", "float32", "float32"):
        raise BadRequest(
            f"{what}: Keras is set to {', '.join(settings)}; expected image_data_format channels_last and "
            "float32, in which the weights were published. Change keras.json or keras.config, and load "
            "it again."
        )
    return keras


@contextmanager
def building(keras: Any) -> Iterator[None]:
    """For the time in which a network is made: on the CPU, and with the caller's random states kept.

    Keras takes the seeds of its initializers from Python's global random generator.
    """
    import torch

    with _same_random(), warnings.catch_warnings(), keras.device("cpu"), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras's own, of numpy and torch
        yield


@contextmanager
def _same_random() -> Iterator[None]:
    import torch

    states = random.getstate(), np.random.get_state(legacy=False), torch.random.get_rng_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.random.set_rng_state(states[2])


def _import() -> Any:
    before = {name: os.environ.get(name) for name in _VARIABLES}
    home = Path(before["KERAS_HOME"] or "~/.keras").expanduser()
    try:
        os.environ["KERAS_BACKEND"] = "torch"
        if (home / "keras.json").is_file():
            return _imported_package()
        with tempfile.TemporaryDirectory(prefix="signet-keras-") as folder:
            os.environ["KERAS_HOME"] = folder
            keras = _imported_package()
        # What Keras downloads later, when somebody else asks it to, still belongs into the user's own folder.
        from keras.src.backend import config

        config._KERAS_DIR = str(home)
        return keras
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _imported_package() -> Any:
    import keras

    return keras
