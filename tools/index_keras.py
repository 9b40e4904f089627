"""Write the packaged index of what Keras Applications publish, from the installed package.

    python tools/index_keras.py src/signet/catalogue/data

Addresses, file names and hashes are not typed: each architecture is asked for its ImageNet weights with a
downloader that only takes down what it was asked for. Counts come from the networks that are built. What
Keras does not say (how the published accuracies were measured, licences of the weights) is below, with its
sources. One line for each published weight file with a classifier, in the form of a folder's `config.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from signet.programs import Program
from signet.steps import Crop, Layout, Normalise, Order, Range, Read, Resize, Step, Type
from signet.zoos import from_keras, keras_import

DOCUMENTATION = "keras-team/keras docs/templates/applications.md at 034466b"
LICENCES = {
    "densenet": "bsd-3-clause",
    "inceptionresnetv2": "apache-2.0",
    "inceptionv3": "apache-2.0",
    "mobilenet": "apache-2.0",
    "mobilenetv2": "apache-2.0",
    "nasnet": "apache-2.0",
    "resnet50": "mit",
    "vgg": "cc-by-4.0",
    "xception": "mit",
}
"""What `DOCUMENTATION` states of the weights, by their architecture; it knows no others."""

MAINTAINER = (
    "keras-team/keras-applications README, 'single center crop', and issue 88: short side to 256, bicubic as "
    "in OpenCV (no antialias), 224 in the centre"
)
EFFICIENTNET = (
    "tensorflow/tpu models/official/efficientnet/preprocessing.py, CROP_PADDING 32: short side to the size "
    "plus 32, bicubic without antialias, the centre"
)
CONVNEXT = (
    "facebookresearch/ConvNeXt datasets.py, crop 224/256: short side to 256, bicubic as in Pillow, 224 in "
    "the centre"
)
BY_ANALOGY = "not stated by Keras; as keras-team/keras-applications issue 88 does it for its other weights"

MODES = {
    "caffe": (Order("BGR"), Normalise((103.939, 116.779, 123.68), (1.0, 1.0, 1.0))),
    "tf": (Range(1 / 127.5, 0.0), Normalise((1.0, 1.0, 1.0), (1.0, 1.0, 1.0))),
    "torch": (Range(1 / 255, 0.0), Normalise((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))),
    "inside": (),
}
"""Source: keras `applications/imagenet_utils.py`; "inside" is a network that normalises by itself."""


class AskedError(Exception):
    """Ends the building of a network when it asks for its weight file."""


def entries() -> Iterator[dict[str, Any]]:
    """Every published weight file that has a classifier."""
    keras = keras_import.imported("The index of Keras")
    for kind in from_keras.CLASSES:
        for variant, arguments in variants(kind):
            yield entry(keras, kind, variant, arguments)


def variants(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(what our name says of it, arguments) of each variant that has weights; "" for Keras's own default."""
    match kind:
        case "MobileNet":
            grid = [(alpha, rows) for alpha in (0.25, 0.5, 0.75, 1.0) for rows in (128, 160, 192, 224)]
        case "MobileNetV2":
            grid = [(alpha, rows) for alpha in (0.35, 0.5, 0.75, 1.0) for rows in (96, 128, 160, 192, 224)]
            grid += [(1.3, 224), (1.4, 224)]
        case "MobileNetV3Large" | "MobileNetV3Small":
            yield "", {"input_shape": [224, 224, 3]}
            yield "_075", {"input_shape": [224, 224, 3], "alpha": 0.75}
            yield "_minimalistic", {"input_shape": [224, 224, 3], "minimalistic": True}
            return
        case _:
            yield "", {}
            return
    for alpha, rows in grid:
        name = "" if (alpha, rows) == (1.0, 224) else f"_{round(alpha * 100):03}_{rows}"
        yield name, {"input_shape": [rows, rows, 3], "alpha": alpha}


def entry(keras: Any, kind: str, variant: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """One line of the index."""
    architecture = kind.lower() + variant
    asked = asked_for(keras, kind, arguments)
    rows, learned, counted = counts(keras, kind, arguments)
    arguments = {**arguments, "input_shape": [rows, rows, 3]}
    if kind.startswith("EfficientNetB"):
        arguments["imagenet_rescaling"] = True
    program, evaluation = preprocessing(keras, kind, rows)
    stated = {
        "tag": "imagenet",
        "url": asked["origin"],
        "file": asked["fname"],
        "input_size": [3, rows, rows],
        "classifier": from_keras.head_of(architecture),
        "num_classes": 1000,
    }
    digest = asked["file_hash"]
    hashes = {} if digest is None else {"file_sha256" if len(digest) == 64 else "file_md5": digest}
    licence = next((value for key, value in LICENCES.items() if matches(kind, key)), None)
    if licence is not None:
        stated["license"] = licence
    return {
        "name": f"keras/{architecture}.imagenet",
        "library": "keras",
        "architecture": architecture,
        "model_args": arguments,
        "num_classes": 1000,
        "parameters": learned,
        "keras_parameters": counted,
        "evaluation": evaluation,
        "program": program.to_list(),
        "pretrained_cfg": stated,
        **hashes,
    }


def matches(kind: str, key: str) -> bool:
    """Whether a licence of the table is that of an architecture: of that name, or of that family."""
    name = kind.lower()
    return name == key or (key in ("densenet", "nasnet", "vgg") and name.startswith(key))


def asked_for(keras: Any, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Name, address and hash of the weight file that Keras would download."""
    from keras.src.utils import file_utils

    asked: dict[str, Any] = {}

    def take_down(fname: str, origin: str, file_hash: str | None = None, **_: Any) -> str:
        asked.update(fname=fname, origin=origin, file_hash=file_hash)
        raise AskedError

    own, file_utils.get_file = file_utils.get_file, take_down
    nasnet = sys.modules["keras.src.applications.nasnet"]
    refused: Any = nasnet.backend
    try:
        if kind == "NASNetMobile":  # refused on torch before it says where its weights are
            nasnet.backend = Pretending(refused)
        with warnings.catch_warnings(), keras_import.building(keras):
            warnings.simplefilter("ignore")
            getattr(keras.applications, kind)(weights="imagenet", **plain(arguments))
    except AskedError:
        return asked
    finally:
        file_utils.get_file = own
        nasnet.backend = refused
    raise RuntimeError(f"{kind} did not ask for weights")


class Pretending:
    """Keras's backend module, under another name."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def backend(self) -> str:
        """A backend on which Keras builds everything."""
        return "tensorflow"


def counts(keras: Any, kind: str, arguments: dict[str, Any]) -> tuple[int, int, int]:
    """(rows of the input, values that learn, values as Keras counts them)."""
    nasnet = sys.modules["keras.src.applications.nasnet"]
    refused = nasnet.backend
    try:
        if kind == "NASNetMobile":
            nasnet.backend = Pretending(refused)
        with keras_import.building(keras):
            model = getattr(keras.applications, kind)(weights=None, **plain(arguments))
    finally:
        nasnet.backend = refused
    learned = sum(int(variable.value.numel()) for variable in model.trainable_weights)
    return int(model.input_shape[1] or 224), learned, int(model.count_params())


def preprocessing(keras: Any, kind: str, rows: int) -> tuple[Program, str]:
    """The program of an architecture, and where its geometry is documented."""
    mode = mode_of(keras, kind)
    short, antialias, source = rows * 8 // 7, False, MAINTAINER
    if kind.startswith("EfficientNetB"):
        short, source = rows + 32, EFFICIENTNET
    elif kind.startswith("ConvNeXt"):
        antialias, source = True, CONVNEXT
    elif kind.startswith(("EfficientNetV2", "MobileNetV3")):
        source = BY_ANALOGY
    resize = Resize(short=short, fit="short", filter="bicubic", antialias=antialias)
    steps: list[Step] = [Read(), resize, Crop(size=(rows, rows), rounding="floor"), Type("float32")]
    return Program((*steps, *MODES[mode], Layout("NCHW"))), source


def mode_of(keras: Any, kind: str) -> str:
    """Which of Keras's ways of preprocessing an architecture has: told by what its own function does."""
    import numpy as np

    module = sys.modules[getattr(keras.applications, kind).__module__]
    pixels = np.arange(27, dtype=np.float32).reshape(1, 3, 3, 3) * 9
    given = module.preprocess_input(pixels.copy())
    if np.array_equal(given, pixels):
        return "inside"
    utilities = keras.applications.imagenet_utils
    for mode in ("caffe", "tf", "torch"):
        if np.array_equal(given, utilities.preprocess_input(pixels.copy(), mode=mode)):
            return mode
    raise RuntimeError(f"{kind}: its preprocess_input does something new")


def plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments as Keras takes them."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    lines = [json.dumps(each, separators=(",", ":"), sort_keys=True) for each in entries()]
    (folder / "keras.jsonl").write_text("\n".join(lines) + "\n")
    print(f"keras: {len(lines)} entries")


if __name__ == "__main__":
    main()
