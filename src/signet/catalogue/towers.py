"""The index entries of CLIP and CoCa, read strictly: preprocessing, and the card with or without words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from signet.cards import Card, DigestTrust, InputSpec, Licence, OutputContract
from signet.catalogue.annotating import annotated
from signet.errors import BadCard, BadRequest
from signet.naming import shown
from signet.programs import Program
from signet.steps import Crop, Filter, Layout, Normalise, Range, Read, Resize, Step, Type

MOST_LABELS = 100_000
_FILTERS: Mapping[str, Filter] = {"bicubic": "bicubic", "bilinear": "bilinear"}


def program(stated: Mapping[str, Any]) -> Program:
    """The evaluation transform that a pretrained tag states.

    Source: open_clip 3.3 `transform.image_transform(is_train=False)`.

    Raises:
        BadCard: a resize mode or filter that is not known.
    """
    _, height, width = stated["input_size"]
    size, named = (int(height), int(width)), stated.get("interpolation") or "bicubic"
    kernel = _FILTERS.get(named)
    if kernel is None:
        raise BadCard(f"config: interpolation is 'bicubic' or 'bilinear', got {named!r}.")
    match stated.get("resize_mode") or "shortest":
        case "shortest" if size[0] == size[1]:
            geometry: list[Step] = [Resize(short=size[0], filter=kernel), Crop(size=size)]
        case "squash":
            geometry = [Resize(size=size, fit="stretch", filter=kernel)]
        case "longest":
            geometry = [Resize(size=size, fit="pad", filter=kernel, rounding="round")]
            geometry.append(Crop(size=size, fill=int(stated.get("fill_color", 0))))
        case other:
            raise BadCard(f"config: resize_mode {other!r} with input size {size} is not understood.")
    mean, std = (tuple(float(value) for value in stated[key]) for key in ("mean", "std"))
    numeric = (Type("float32"), Range(1 / 255, 0.0), Normalise(mean, std), Layout("NCHW"))
    return Program((Read(), *geometry, *numeric))


def card(
    name: str,
    config: Mapping[str, Any],
    digest: str | None,
    trust: DigestTrust,
    origin: str,
    words: tuple[str, ...] | None = None,
) -> Card:
    """The card of the tower that gives vectors, or of the classifier that words make of it.

    Args:
        name: `open_clip/ARCHITECTURE.tag`.
        config: the index entry.
        digest: sha256 hex of the weights, or None while they are not here.
        trust: how the digest is known.
        origin: where the weights come from, in words.
        words: to choose from, checked by `checked_words`.
    """
    stated = config.get("pretrained_cfg") or {}
    own = program(stated)
    if words is None:
        output = OutputContract(head="embedding", tensor="features", width=config.get("embedding_width"))
    else:
        # A model that was trained with a sigmoid says of each word by itself whether it fits.
        head = "sigmoid" if stated.get("sigmoid") else "softmax"
        output = OutputContract(head=head, tensor="logits", classes=len(words), features="features")
    licence = str(stated.get("license") or "unknown")
    tower = Card(
        name=name,
        task="embed" if words is None else "classify",
        program=own,
        output=output,
        inputs=(InputSpec(name="images", shape=(None, 3, *stated["input_size"][1:])),),
        labels=words,
        family="CoCa" if str(config["architecture"]).startswith("coca") else "CLIP",
        architecture=str(config["architecture"]),
        licence=Licence(weights=licence, stated=licence != "unknown", code="MIT"),
        origin=origin,
        parameters=config.get("parameters"),
        weights_digest=digest,
        digest_trust=trust,
    )
    return annotated(tower)


def checked_words(name: str, labels: Sequence[str], config: Mapping[str, Any]) -> tuple[str, ...]:
    """The words to choose from, in their order.

    Raises:
        BadRequest: fewer than two, an empty one, repetitions, or more than can be meant; or the model's words
            are cut by a tokenizer that does not come with open_clip.
    """
    words = tuple(label.strip() for label in labels)
    if len(words) < 2 or not all(words) or len(set(words)) != len(words) or len(words) > MOST_LABELS:
        raise BadRequest(
            f"labels: expected 2 to {MOST_LABELS:,} different words or phrases, got {len(words)}"
            f"{' with an empty one' if not all(words) else ''}"
            f"{' with repetitions' if len(set(words)) != len(words) else ''}."
        )
    if not (config.get("pretrained_cfg") or {}).get("own_words", True):
        raise BadRequest(
            f"{shown(name)}: its words are cut by a tokenizer that does not come with open_clip, so it gives "
            "vectors only (signet embed). Take one that has its own, such as open_clip/ViT-B-32."
        )
    return words
