"""The `config.json` of a pretrained folder, read strictly.

It is the form in which timm describes its weights on the hub, and the form of the packaged index. Every
key of it is used or known to mean nothing for prediction; an unknown one is refused, because it may be
the one that changes the answer.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any, get_args

from signet.cards import Card, Claim, DigestTrust, InputSpec, Licence, OutputContract
from signet.catalogue import dense, index
from signet.catalogue.annotating import annotated
from signet.catalogue.families import family_of
from signet.errors import BadCard, UnknownName
from signet.networks import ModuleSpec
from signet.programs import Program
from signet.steps import Crop, Filter, Layout, Normalise, Range, Read, Resize, Step, Type

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_USED = {
    "channel_order",
    "classifier",
    "crop_mode",
    "crop_pct",
    "crop_size",
    "input_size",
    "interpolation",
    "license",
    "mean",
    "num_classes",
    "origin_url",
    "resize_mode",
    "resize_size",
    "std",
    "tag",
    "test_crop_pct",
    "test_input_size",
    "value_range",
    "label_offset",
}
_WITHOUT_EFFECT = {
    "architecture",
    "custom_load",
    "description",
    "file",
    "first_conv",
    "fixed_input_size",
    "hf_hub_filename",
    "hf_hub_id",
    "label_descriptions",
    "label_names",
    "min_input_size",
    "notes",
    "paper_ids",
    "paper_name",
    "pool_size",
    "source",
    "test_pool_size",
    "url",
}

_LINEAGE = ("evaluation", "keras_parameters")
"""Keys of a config that a card keeps as they are: how its figures were measured, and other counts."""


def card(name: str, config: Mapping[str, Any], digest: str | None, trust: DigestTrust, origin: str) -> Card:
    """The card that a config states.

    Args:
        name: `zoo/architecture.tag`.
        config: the parsed JSON.
        digest: sha256 hex of the weights, or None while they are not here.
        trust: how the digest is known.
        origin: where the weights come from, in words.

    Raises:
        BadCard: a key is missing, unknown, or has a value that is not understood.
    """
    with _understood():
        stated = _stated(config)
        if "task" in config:
            return annotated(dense.card(name, config, digest, trust, origin))
        width = projection_width(config)
        classes = _classes(config, stated) if width is None else 0
        licence = str(stated.get("license") or "unknown")
        stated_card = Card(
            name=name,
            task="classify" if classes else "embed",
            # Where it is written out (Keras), nothing is left to be concluded from other keys.
            program=Program.from_list(config["program"]) if "program" in config else program(stated),
            output=_output(classes, stated, width),
            inputs=(InputSpec(name="images", shape=(None, 3, *size_of(stated))),),
            labels=_labels(classes),
            family=family(config["architecture"]),
            architecture=config["architecture"],
            licence=Licence(weights=licence.split(" ", maxsplit=1)[0], stated=bool(stated.get("license"))),
            origin=origin,
            claims=stated_claims(config),
            parameters=config.get("parameters"),
            gmacs=config.get("gmacs"),
            weights_digest=digest,
            digest_trust=trust,
            lineage={key: config[key] for key in _LINEAGE if config.get(key)},
        )
        return annotated(stated_card)


def spec(zoo: str, config: Mapping[str, Any]) -> ModuleSpec:
    """The module that a config describes.

    Raises:
        BadCard: a key is missing, unknown, or has a value that is not understood.
    """
    with _understood():
        stated = _stated(config)
        classes = _classes(config, stated)
        classifier = stated.get("classifier") if classes and projection_width(config) is None else None
        return ModuleSpec(
            zoo=zoo,
            architecture=config["architecture"],
            arguments=dict(config.get("model_args") or {}),
            classes=classes,
            # Some architectures have two heads (distillation); which one is the input of both is not said.
            classifier=classifier if isinstance(classifier, str) else None,
        )


def origin(config: Mapping[str, Any]) -> str:
    """Where the weights of a config come from, in words; the library's name when it says no more."""
    stated, origin = config.get("pretrained_cfg") or {}, config.get("origin") or {}
    places = (origin.get("repository"), *(stated.get(key) for key in ("hf_hub_id", "origin_url", "url")))
    return str(next(filter(None, places), config.get("library", "timm")))


def digest_of(module: ModuleSpec, weights_digest: str) -> str:
    """sha256 hex of what a module's answers depend on."""
    text = json.dumps([module.to_dict(), weights_digest], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_with(network_digest: str, known: Card) -> str:
    """sha256 hex of what a model's answers depend on: network, program, input, output contract, labels."""
    parts = [known.program.digest, repr(known.inputs), repr(known.output), json.dumps(known.labels)]
    return hashlib.sha256("\n".join([network_digest, *parts]).encode()).hexdigest()


def program(stated: Mapping[str, Any]) -> Program:
    """The evaluation preprocessing that a `pretrained_cfg` states.

    The test-time size and crop count where they are stated; sizes of the training are not used.

    Source: timm `transforms_imagenet_eval` and `resolve_data_config(use_test_size=True)`; torchvision
    `transforms._presets.ImageClassification`.
    """
    height, width = size_of(stated)
    kernel = stated.get("interpolation") or "bicubic"
    if kernel not in get_args(Filter):
        raise BadCard(f"config: interpolation is one of {', '.join(get_args(Filter))}; got {kernel!r}.")
    if stated.get("channel_order", "RGB") != "RGB":
        raise BadCard(f"config: channel_order 'RGB' is read, got {stated['channel_order']!r}.")
    low, high = stated.get("value_range", (0.0, 1.0))
    steps: list[Step] = [Read(), *_geometry(stated, (height, width), kernel), Type("float32")]
    steps.append(Range((high - low) / 255, low))
    steps.append(
        Normalise(
            tuple(float(value) for value in stated.get("mean") or IMAGENET_MEAN),
            tuple(float(value) for value in stated.get("std") or IMAGENET_STD),
        )
    )
    # A config comes from anywhere: its numbers are held to what a program in JSON is held to.
    return Program.from_list(Program((*steps, Layout("NCHW"))).to_list())


def _geometry(stated: Mapping[str, Any], size: tuple[int, int], kernel: Any) -> Sequence[Step]:
    crop = tuple(stated.get("crop_size") or size)
    mode = stated.get("resize_mode")
    if mode is not None:
        to = stated["resize_size"]
        if mode == "squash" and isinstance(to, Sequence):
            return Resize(size=(to[0], to[1]), fit="stretch", filter=kernel), Crop(size=crop)
        if mode == "short":
            short = to if isinstance(to, int) else to[0]
            return Resize(short=short, fit="short", filter=kernel), Crop(size=crop)
        raise BadCard(f"config: resize_mode is 'squash' with two sizes, or 'short'; got {mode!r}.")
    fraction = stated.get("test_crop_pct") or stated.get("crop_pct") or 0.875
    scaled = (math.floor(size[0] / fraction), math.floor(size[1] / fraction))
    match stated.get("crop_mode") or "center":
        case "squash":
            return Resize(size=scaled, fit="stretch", filter=kernel), Crop(size=size)
        case "border":
            red, green, blue = (round(255 * value) for value in stated.get("mean") or IMAGENET_MEAN)
            fit = Resize(size=scaled, fit="pad", filter=kernel, rounding="round")
            return fit, Crop(size=size, fill=(red, green, blue))
        case "center" if scaled[0] == scaled[1]:
            return Resize(short=scaled[0], fit="short", filter=kernel), Crop(size=size)
        case other:
            raise BadCard(f"config: crop_mode {other!r} with input size {size} is not understood.")


def size_of(stated: Mapping[str, Any]) -> tuple[int, int]:
    """(height, width) of a prepared image."""
    if stated.get("crop_size"):
        height, width = stated["crop_size"]
    else:
        _, height, width = stated.get("test_input_size") or stated.get("input_size") or (3, 224, 224)
    return int(height), int(width)


@contextmanager
def _understood() -> Iterator[None]:
    """A value of a kind that nobody writes there is the config's fault, whatever Python says of it."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise BadCard(
            f"config.json: a value is not of the kind that is expected ({type(error).__name__}: {error})."
        ) from error


def _classes(config: Mapping[str, Any], stated: Mapping[str, Any]) -> int:
    return int(config.get("num_classes", stated.get("num_classes", 1000)))


def projection_width(config: Mapping[str, Any]) -> int | None:
    """Length of the vectors of an image-text tower, whose last layer projects; None for any other network.

    timm's own configs call that length a number of classes; which of its weights are such towers, the index
    knows.
    """
    width = config.get("embedding_width")
    if width is None and config.get("library", "timm") == "timm":
        stated: Mapping[str, Any] = config.get("pretrained_cfg") or {}
        name = f"timm/{config.get('architecture')}.{stated.get('tag')}"
        if index.has(name):
            known = index.config(name).get("embedding_width")
            width = known if known == _classes(config, stated) else None
    return None if width is None else int(width)


def _output(classes: int, stated: Mapping[str, Any], width: int | None) -> OutputContract:
    """What the network gives: logits, vectors of a projection, or the features where it has no head."""
    if width is not None:
        return OutputContract(head="embedding", width=width)
    if not classes:
        return OutputContract(head="embedding", tensor="features")
    # Two heads (distillation) have two inputs: which of them are the features, the config does not say.
    one_head = isinstance(stated.get("classifier", ""), str)
    features = "features" if one_head else None
    return OutputContract(head="softmax", tensor="logits", classes=classes, features=features)


def _stated(config: Mapping[str, Any]) -> Mapping[str, Any]:
    architecture = config.get("architecture")
    if architecture is None and ("architectures" in config or "model_type" in config):
        raise BadCard(
            "config.json: expected the form in which timm describes its weights (with a key 'architecture'), "
            "got that of transformers, which this version does not read."
        )
    if not isinstance(architecture, str):
        raise BadCard("config.json: expected the key 'architecture' with a name, which is missing.")
    stated: Mapping[str, Any] = config.get("pretrained_cfg") or {}
    for key in stated:
        if key not in _USED and key not in _WITHOUT_EFFECT:
            raise BadCard(
                str(UnknownName("pretrained_cfg key", key, _USED | _WITHOUT_EFFECT))
                + " It may change the preprocessing, so it is not ignored."
            )
    if stated.get("label_offset"):
        raise BadCard(
            f"config: label_offset 0 is read, got {stated['label_offset']!r}: such a head has a background "
            "class, which only a card can state (output.drop_first)."
        )
    channels = (stated.get("input_size") or (3,))[0]
    if channels != 3:
        raise BadCard(f"config: input_size with 3 channels is read, got {channels}.")
    return stated


def stated_claims(config: Mapping[str, Any]) -> tuple[Claim, ...]:
    """The accuracies that an index entry states, as fractions."""
    if "task" in config:
        return dense.claims(config)
    names = {"acc@1": "top1", "acc@5": "top5"}
    return tuple(
        Claim(names[key], round(value / 100, 6), "ImageNet-1k validation", "torchvision weight entry")
        for key, value in (config.get("claims") or {}).items()
        if key in names
    )


def _labels(classes: int) -> tuple[str, ...] | None:
    if classes != 1000:
        return None
    text = files("signet.catalogue").joinpath("data/imagenet_1k.txt").read_text("utf-8")
    return tuple(text.splitlines())


def family(architecture: str) -> str:
    """The family that an architecture's name belongs to; "" when none is known."""
    return family_of(architecture).name
