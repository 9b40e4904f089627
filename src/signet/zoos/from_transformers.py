"""transformers: classifiers, detectors and segmenters by their id, with their own image-processor file.

Reading the two files (`config.json`, `preprocessor_config.json`) needs no transformers; only building the
module does. transformers downloads nothing: it gets a configuration and tensors, and what it does not find
among them, or does not know, is refused. Code that a repository brings is never run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from signet.cards import Card, InputSpec, OutputContract
from signet.catalogue import configs, processors
from signet.errors import BadCard, BadInput, MissingExtra, UnknownName
from signet.hub import WeightFiles
from signet.naming import shown
from signet.networks import ModuleSource, ModuleSpec, Pretrained
from signet.programs import Program
from signet.storage import read_json
from signet.zoos import modules, transformers_dense

ZOO = "transformers"
PROCESSOR_FILE = "preprocessor_config.json"
BACKGROUND = "background"
"""Label 0 of the networks that came from TensorFlow's 1,001 classes."""

# Of a config.json: what names things, or says how the file was written, and builds nothing.
_NOT_BUILT = {
    "_commit_hash",
    "_name_or_path",
    "_num_labels",
    "architectures",
    "dtype",
    "finetuning_task",
    "id2label",
    "label2id",
    "library",
    "model_type",
    "num_labels",
    "problem_type",
    "torch_dtype",
    "transformers_version",
    "weights",
}
# What would run code of the repository, or load something else than the tensors as they are.
_REFUSED = ("auto_map", "custom_pipelines", "quantization_config")
# They take something else than a picture of one size, so that a classifier's program cannot feed them.
_NO_PICTURES = frozenset({"donut-swin", "imagegpt", "perceiver", "shieldgemma2", "siglip2", "timm_wrapper"})


def is_config(config: Mapping[str, Any]) -> bool:
    """Whether a `config.json` is one of transformers: it has a `model_type` and lists `architectures`."""
    return isinstance(config.get("model_type"), str) and isinstance(config.get("architectures"), list)


def pretrained(name: str, config: Mapping[str, Any], found: WeightFiles) -> Pretrained:
    """A model from its config, the image-processor file beside its weights, and the weights.

    Args:
        name: `transformers/ORGANISATION/NAME`, or a folder's name.
        config: the parsed `config.json`.
        found: the weights, their digest checked.

    Raises:
        BadCard: a file is missing, or has a key or value that is not understood.
    """
    place = found.weights.with_name(PROCESSOR_FILE)
    if not place.is_file():
        raise BadCard(
            f"{shown(name)}: expected {PROCESSOR_FILE} beside its weights, which states the preprocessing; "
            "there is none, and it is not guessed."
        )
    try:
        stated = read_json(place)
    except BadInput as error:
        raise BadCard(str(error)) from error
    spec = spec_of(config)
    if spec.architecture in transformers_dense.KINDS and name.endswith(transformers_dense.SEMANTIC):
        spec = dataclasses.replace(spec, arguments={**spec.arguments, transformers_dense.SEMANTIC: True})
    card = card_of(name, config, stated, found, spec)
    digest = configs.digest_of(spec, found.digest)
    network = module_source(spec, found.weights, digest, card.input_size or (224, 224))
    if card.input_size is not None:
        # A network that takes any size may be a graph for one only, as Mask2Former: no more is asked for.
        network = dataclasses.replace(network, free_size=False)
    where = "file" if found.where == "folder" else found.where
    return Pretrained(card, (network,), configs.digest_with(network.digest, card), where)


def spec_of(config: Mapping[str, Any]) -> ModuleSpec:
    """The module that a `config.json` describes.

    Raises:
        BadCard: no classifier, or one whose config asks for code of its own.
    """
    for key in _REFUSED:
        if config.get(key):
            raise BadCard(
                f"config.json has {key!r}: it asks for code, or for tensors of another kind, which is never "
                "followed. Use a repository with plain tensors."
            )
    named = config.get("architectures")
    if not isinstance(named, list) or len(named) != 1 or not isinstance(named[0], str):
        raise BadCard(f"config.json: expected 'architectures' with one name, got {shown(named)}.")
    kind = config.get("model_type")
    dense = transformers_dense.kind_of(named[0], {}) is not None
    if kind in _NO_PICTURES or not (dense or "ForImageClassification" in named[0]):
        raise BadCard(
            f"config.json: {shown(named[0])} of model type {shown(kind)} is no image classifier that takes a "
            "picture of one size, and no detector or segmenter that is known. Expected a class that ends in "
            f"ForImageClassification or {transformers_dense.SEMANTIC_CLASS}, or one of "
            f"{', '.join(transformers_dense.KINDS)}."
        )
    arguments = {key: value for key, value in config.items() if key not in _NOT_BUILT}
    return ModuleSpec(
        zoo=ZOO,
        architecture=named[0],
        arguments={"model_type": kind, **arguments},
        classes=len(_labels(config)) or int(config.get("num_labels", 2)),
    )


def card_of(
    name: str, config: Mapping[str, Any], stated: Mapping[str, Any], found: WeightFiles, spec: ModuleSpec
) -> Card:
    """The card that the two files state."""
    program = processors.program(stated)
    size = program.input_size()
    dense = transformers_dense.kind_of(spec.architecture, spec.arguments)
    if dense is not None:
        return _card(name, config, found, spec, program, dense)
    if size is None:
        raise BadCard(f"{PROCESSOR_FILE}: expected pictures that all end with one size; these do not.")
    labels = _labels(config)
    drop = bool(labels) and labels[0].lower() == BACKGROUND
    meaningless = all(label == f"LABEL_{index}" for index, label in enumerate(labels))
    many = config.get("problem_type") == "multi_label_classification"
    return Card(
        name=name,
        task="classify",
        program=program,
        output=OutputContract(
            head="sigmoid" if many else "softmax",
            tensor="logits",
            classes=spec.classes,
            drop_first=drop,
            features="features",
        ),
        inputs=(InputSpec(name="images", shape=(None, 3, *size)),),
        labels=None if meaningless else labels[1:] if drop else labels,
        family=configs.family(str(config["model_type"]).replace("-", "_")),
        architecture=spec.architecture,
        origin=name.removeprefix(f"{ZOO}/"),
        weights_digest=found.digest,
        digest_trust=found.trust,
    )


def _card(
    name: str,
    config: Mapping[str, Any],
    found: WeightFiles,
    spec: ModuleSpec,
    program: Program,
    kind: transformers_dense.Kind,
) -> Card:
    """The card of a detector or segmenter."""
    labels = _labels(config)
    size = program.input_size() or (None, None)
    meaningless = all(label == f"LABEL_{index}" for index, label in enumerate(labels))
    return Card(
        name=name,
        task=kind.task,
        program=program,
        output=transformers_dense.contract(kind, spec.classes),
        inputs=(InputSpec(name="images", shape=(None, 3, *size)),),
        labels=None if meaningless else labels,
        family=configs.family(str(config["model_type"]).replace("-", "_")),
        architecture=spec.architecture,
        origin=name.removeprefix(f"{ZOO}/"),
        weights_digest=found.digest,
        digest_trust=found.trust,
    )


def module_source(spec: ModuleSpec, weights: Path, digest: str, size: tuple[int, int]) -> ModuleSource:
    """The network as a module that is built when an engine asks for it."""
    dense = transformers_dense.kind_of(spec.architecture, spec.arguments)
    if dense is not None:
        source = modules.module_source(build, spec, weights, digest, size, None)
        return dataclasses.replace(source, outputs=dense.outputs, free_size=dense.any_size)
    classifier = _CLASSIFIERS.get(spec.architecture, "network.classifier")
    return modules.module_source(build, spec, weights, digest, size, classifier)


def build(spec: ModuleSpec, weights: Path | None) -> Any:
    """The torch module in evaluation mode, filled strictly from `weights`; random when that is None.

    Its `forward` takes float32 (N, 3, H, W) and returns the logits (N, C), or of a detector or segmenter what
    its kind names. A config that asks for a backbone's published weights gets none: all are in the file.

    Raises:
        MissingExtra: transformers is not installed.
        UnknownName: transformers has no such class, or it is not read.
        BadInput: the config does not fit; a tensor is missing, unexpected, or of another shape.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingExtra(f"{ZOO}/{spec.architecture}", "transformers", "transformers") from error
    from signet.zoos.logits_only import LogitsOnly

    known = (*_classifiers(transformers), *transformers_dense.known(transformers))
    if spec.architecture not in known:
        raise UnknownName("network of transformers for pictures", spec.architecture, known)
    dense = transformers_dense.kind_of(spec.architecture, spec.arguments)

    def make() -> Any:
        arguments = _without_downloads(spec.arguments)
        arguments.pop(transformers_dense.SEMANTIC, None)
        config = transformers.AutoConfig.for_model(
            arguments.pop("model_type"), **arguments, num_labels=spec.classes
        )
        network = getattr(transformers, spec.architecture)
        with _quietly(transformers):
            module = network(config) if weights is None else _filled(network, config, weights)
            return LogitsOnly(module) if dense is None else transformers_dense.wrapped(dense, module)

    return modules.made(make, spec)


def _without_downloads(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A config's keys, where none asks the library for weights of a backbone."""
    return {
        key: _without_downloads(value) if isinstance(value, Mapping) else value
        for key, value in arguments.items()
        if key not in ("use_pretrained_backbone", "backbone_kwargs") or not value
    }


def _filled(network: Any, config: Any, weights: Path) -> Any:
    """The library's own loading, which knows the names that tensors had in its earlier versions."""
    import torch

    # What was trained here was saved with the wrapper around it.
    state = {key.removeprefix("network."): value for key, value in modules.read_state(weights).items()}
    module, report = network.from_pretrained(
        None,
        config=config,
        state_dict=state,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # so that they are in the report and not a long exception
        dtype=torch.float32,
    )
    faults = [
        f"{words} {', '.join(sorted(map(str, keys))[:8])}{' ...' if len(keys) > 8 else ''} ({len(keys)})"
        for words, keys in (
            ("missing", report["missing_keys"]),
            ("unexpected", report["unexpected_keys"]),
            ("of another shape", [_misfit(*entry) for entry in report["mismatched_keys"]]),
        )
        if keys
    ]
    if faults or report["error_msgs"]:
        raise BadInput(
            f"{shown(weights.name)}: expected exactly the tensors of {network.__name__} as config.json "
            f"describes it; {'; '.join([*faults, *report['error_msgs']])}."
        )
    return module


def _misfit(name: str, found: Any, expected: Any) -> str:
    return f"{name} {tuple(found)} where {tuple(expected)} belongs"


def _classifiers(transformers: Any) -> tuple[str, ...]:
    from transformers.models.auto import modeling_auto

    names: list[str] = []
    for kind, named in modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES.items():
        if kind not in _NO_PICTURES:
            names.extend([named] if isinstance(named, str) else named)
    return tuple(name for name in names if hasattr(transformers, name))


@contextmanager
def _quietly(transformers: Any) -> Iterator[None]:
    """No bars and no report of the loading: what it would say becomes an error of ours."""
    logging = transformers.utils.logging
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The names in order of the output.

    Raises:
        BadCard: the indices have gaps, or are no numbers.
    """
    stated = config.get("id2label") or {}
    if not isinstance(stated, Mapping) or not all(isinstance(name, str) for name in stated.values()):
        raise BadCard(f"config.json: expected 'id2label' to give a name for each index, got {shown(stated)}.")
    expected = [str(index) for index in range(len(stated))]
    if sorted(map(str, stated)) != sorted(expected):
        raise BadCard(
            f"config.json: expected 'id2label' to name the indices 0 to {len(stated) - 1}, each once; got "
            f"{shown(sorted(map(str, stated))[:10])}."
        )
    names = {str(index): name for index, name in stated.items()}
    return tuple(names[index] for index in expected)


# Where the head is not the layer `classifier`; None where two heads share the answer.
_CLASSIFIERS: Mapping[str, str | None] = {
    "BitForImageClassification": "network.classifier.1",
    "DeiTForImageClassificationWithTeacher": None,
    "LevitForImageClassification": "network.classifier.linear",
    "LevitForImageClassificationWithTeacher": None,
    "RegNetForImageClassification": "network.classifier.1",
    "ResNetForImageClassification": "network.classifier.1",
    "SwiftFormerForImageClassification": None,
}
