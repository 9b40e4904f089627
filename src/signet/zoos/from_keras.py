"""Keras Applications: pretrained classifiers with the preprocessing that belongs to each.

Keras builds the empty network on its torch backend, its weight file is read strictly, and what comes out is a
module of torch's own layers (`keras_graph`), so that freezing, new heads and tracing work as with any other.
Reading an entry needs no Keras; Keras downloads nothing.

    keras_import ── the package, imported without a trace
    keras_layers, keras_translation, keras_graph ── its layers, and their graph, as torch modules
    keras_h5 ── its weight files
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signet.catalogue import configs
from signet.errors import BadCard, BadInput, DigestMismatch, SignetError, UnknownName
from signet.hub import WeightFiles
from signet.naming import shown
from signet.networks import ModuleSource, ModuleSpec, Pretrained
from signet.storage import cache_folder, read_json, write_json
from signet.zoos import modules

ZOO = "keras"
CLASSIFIER = "classifier"
CLASSES = (
    *(f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large", "XLarge")),
    *(f"DenseNet{depth}" for depth in (121, 169, 201)),
    *(f"EfficientNetB{number}" for number in range(8)),
    *(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    *("InceptionResNetV2", "InceptionV3", "Xception"),
    *("MobileNet", "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small"),
    *("NASNetLarge", "NASNetMobile"),
    *(f"ResNet{depth}{version}" for depth in (50, 101, 152) for version in ("", "V2")),
    *("VGG16", "VGG19"),
)
"""The architectures of `keras.applications`; ours are their names in small letters, `_VARIANT` behind."""
_ARGUMENTS = {"alpha", "input_shape", "minimalistic", "imagenet_rescaling"}


def pretrained(name: str, config: Mapping[str, Any], found: WeightFiles) -> Pretrained:
    """A model from its config and weight file.

    Args:
        name: `keras/architecture.tag`.
        config: the parsed `config.json` or index entry.
        found: the weights, their sha256 checked.

    Raises:
        BadCard: the config has a key or value that is not understood.
        DigestMismatch: the file is not the one whose MD5 Keras states.
    """
    if "program" not in config:
        raise BadCard(
            "config.json: expected the key 'program', a list of preprocessing steps, which is missing; those "
            "of the published weights are in the packaged index."
        )
    _require_md5(config.get("file_md5"), found)
    return modules.pretrained(name, config, found, spec_of(config), module_source)


def spec_of(config: Mapping[str, Any]) -> ModuleSpec:
    """The module that a config describes."""
    spec = configs.spec(ZOO, config)
    return dataclasses.replace(spec, classifier=head_of(spec.architecture))


def module_source(spec: ModuleSpec, weights: Path, digest: str, size: tuple[int, int]) -> ModuleSource:
    """The network as a module that is built when an engine asks for it."""
    return modules.module_source(
        build, spec, weights, digest, size, spec.classifier or head_of(spec.architecture)
    )


def build(spec: ModuleSpec, weights: Path | None) -> Any:
    """The torch module in evaluation mode, filled strictly from `weights`; random when that is None.

    Args:
        spec: what to build.
        weights: `.h5`, `.weights.h5`, or the module's own tensors as `.safetensors`.

    Raises:
        MissingExtra: Keras is not installed.
        UnknownName: Keras has no such architecture.
        BadRequest: Keras runs on another backend here.
        BadInput: Keras refuses the arguments; a tensor is missing, unexpected, or of another shape.
    """
    what = f"{ZOO}/{spec.architecture}"
    kind = class_of(spec.architecture)
    if kind == "NASNetMobile":
        return _nasnet_mobile(spec, weights, what)
    from signet.zoos import keras_import

    keras = keras_import.imported(what)
    from signet.zoos import keras_graph, keras_h5

    with keras_import.building(keras):
        model = _model(keras, kind, spec)
        if weights is not None and weights.suffix != ".safetensors":
            keras_h5.load(model, weights, shown(what))
        network = keras_graph.network(model, _rescaling(spec))
    if weights is not None and weights.suffix == ".safetensors":
        modules.fill(network, weights, what)
    return network


def class_of(architecture: str) -> str:
    """The name in `keras.applications` of one of our architecture names.

    Raises:
        UnknownName: there is none.
    """
    known = {name.lower(): name for name in CLASSES}
    stem = architecture.partition("_")[0]
    if stem not in known:
        raise UnknownName("Keras architecture", architecture, known)
    return known[stem]


def head_of(architecture: str) -> str:
    """The dotted name of the layer that makes the logits."""
    return "head" if class_of(architecture) == "NASNetMobile" else CLASSIFIER


def _nasnet_mobile(spec: ModuleSpec, weights: Path | None, what: str) -> Any:
    """The one architecture that Keras does not build on torch, from our own network for Keras's weights."""
    from signet.architectures import nasnet, nasnet_keras

    settings = dataclasses.replace(nasnet.MOBILE, borders="keras")
    network = nasnet.NASNet(settings, spec.classes)
    if weights is not None and weights.suffix == ".safetensors":
        modules.fill(network, weights, what)
    elif weights is not None:
        network.load_state_dict(nasnet_keras.read_keras(weights, network, settings), strict=True)
    return network.eval()


def _model(keras: Any, kind: str, spec: ModuleSpec) -> Any:
    """The Keras model, ending in logits, with random weights."""
    what = shown(f"{ZOO}/{spec.architecture}")
    arguments = dict(spec.arguments)
    unknown = sorted(set(arguments) - _ARGUMENTS)
    if unknown:
        raise BadInput(
            f"{what}: its config passes {', '.join(map(shown, unknown))}; expected "
            f"{', '.join(sorted(_ARGUMENTS))}. Others would change where weights come from, or leave out the "
            "preprocessing inside the network."
        )
    arguments.pop("imagenet_rescaling", None)
    if "input_shape" in arguments:
        arguments["input_shape"] = tuple(arguments["input_shape"])
    try:
        return getattr(keras.applications, kind)(
            weights=None, classes=spec.classes, classifier_activation=None, **arguments
        )
    except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise BadInput(
            f"{what} cannot be built with the arguments {shown(dict(spec.arguments))}: {shown(error)}"
        ) from error


def _rescaling(spec: ModuleSpec) -> list[float] | None:
    """Factors that Keras puts into EfficientNet B0 to B7 when it loads ImageNet weights, and only then.

    The published files hold variances where the authors' network divides by deviations.
    Source: keras `applications/efficientnet.py`, and tensorflow/tensorflow issue 49930.
    """
    if not spec.arguments.get("imagenet_rescaling"):
        return None
    return [1.0 / math.sqrt(deviation) for deviation in configs.IMAGENET_STD]


def _require_md5(stated: object, found: WeightFiles) -> None:
    """Hold a file to the MD5 that Keras states for it; measured once for each sha256.

    Raises:
        DigestMismatch: it is another file.
    """
    if not isinstance(stated, str):
        return
    record = cache_folder() / "digests" / f"{found.digest}.md5.json"
    try:
        measured = read_json(record, limit_bytes=4096).get("md5")
    except SignetError:
        with found.weights.open("rb") as file:
            measured = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        with contextlib.suppress(SignetError):  # a cache that is full or read-only: measure again next time
            write_json(record, {"md5": measured}, overwrite=True)
    if measured != stated:
        raise DigestMismatch(
            f"{found.weights} has the MD5 {measured}, but Keras states {stated} for these weights: the file "
            "was cut short or is another one. Get it again; weights of your own go into a folder whose "
            "config.json states no file_md5."
        )
