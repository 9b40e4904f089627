"""A weight file of the user's own as a model: `.pt`, `.pth`, `.bin`, `.safetensors`, an author's `.npz`.

The tensors say which architecture they are of, and how many classes its head has; they do not say how
pictures are prepared nor what the classes are called. A card beside the file does: `X.pt.card.json`, whole
(docs/card.schema.json), or short:

    {"like": "timm/resnet50.a1_in1k", "labels": ["cat", "dog"]}

`like` names the catalogue entry whose preprocessing the weights were trained with; `labels` are the names, a
file of them, "like" for those of that entry, or null. `architecture` is given when it is not that entry's,
`tensors` for a checkpoint with several sets, `arguments` for a network that exists in two forms. The authors'
files of BiT and ViT are known by their names and need no card, and neither do checkpoints of YOLO
(`yolo_files`).

BiT's are prepared as timm's entries of the same weights say (the short side to 448 or 480, a crop from the
center); its authors stretched the picture to a square of 480.
Source: google-research/big_transfer, `bit_hyperrule.get_resolution` and `bit_pytorch/train.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signet.cards import Card, InputSpec, OutputContract
from signet.catalogue import configs, index, signatures
from signet.catalogue.signatures import Match
from signet.errors import BadCard, BadInput, BadRequest, UnknownName
from signet.naming import shown
from signet.networks import ModuleSpec, Pretrained
from signet.zoos import card_files, state_files, state_guess, yolo_cards, yolo_files, yolo_matches
from signet.zoos.state_files import StateFile
from signet.zoos.state_guess import TWO_FORMS, FindZoo, Guess
from signet.zoos.yolo_files import YoloGuess

ZOOS = ("timm", "torchvision")
_FIELDS = ("like", "labels", "architecture", "tensors", "arguments")


@dataclass(frozen=True, slots=True)
class Short:
    """A short card.

    Attributes:
        place: the card, or the file itself when it is known by its name.
        like: full name of the index entry.
        labels: as they are stated.
        architecture: `zoo/architecture`.
        tensors: which set of tensors of the file, or None.
        arguments: of the architecture.
    """

    place: Path
    like: str
    labels: Any
    architecture: str
    tensors: str | None
    arguments: Mapping[str, Any]


def is_state(path: Path) -> bool:
    """Whether a path has the ending of a weight file."""
    return state_files.is_state(path)


def guess(path: Path, zoo: FindZoo, card: Path | None = None) -> Guess | YoloGuess | None:
    """What the file says of itself, when nothing else says what it is: no card, and no known name.

    Raises:
        BadInput, BadRequest: as `state_files.read`.
    """
    if _stated(path, card) is not None:
        return None
    state = state_files.read(path)
    yolo = yolo_matches.exact(state.shapes)
    if yolo is None:
        return state_guess.guess(state, zoo)
    stated = yolo_files.stated_by(state, yolo)
    return YoloGuess(shown(path.name), yolo, stated, state.remarks)


def pretrained(path: Path, zoo: FindZoo, card: Path | None = None) -> Pretrained:
    """The model that a weight file and its card make.

    Args:
        path: the weights.
        zoo: finds the zoo that builds the architecture; zoos do not know each other.
        card: its card; `FILE.card.json` beside it by default.

    Raises:
        BadRequest: there is no card; the message says what matched and what to write.
        BadCard: the card breaks its form, or does not fit the weights.
        BadInput: the weights cannot be read, or are those of no architecture that is known.
    """
    stated = _stated(path, card)
    place, fields = stated or (path, {})
    if "like" in fields:
        short = _short(place, fields)
        state = state_files.read(path, short.tensors)
        match = _chosen(short, state, zoo)
        spec = _spec(match, short)
        known = _card_like(short, match, spec, state)
    else:
        state = state_files.read(path, yolo_cards.tensors(place, fields))
        yolo = yolo_matches.exact(state.shapes)
        if yolo is not None:
            spec = yolo.spec
            known = yolo_cards.card(place, fields, state, yolo, f"file/{_plain(state.path)}")
        elif stated is not None:
            known, spec = _whole(place, state, zoo)
        else:
            raise _unstated(state_guess.guess(state, zoo))
    digest = configs.digest_of(spec, f"{state.digest}{state.tensors and f' {state.tensors}'}")
    size = known.input_size
    if size is None:
        raise BadCard(
            f"{shown(place.name)}: expected a program that ends in one size, got one whose size depends on "
            "the image."
        )
    network = zoo(spec.zoo, spec.architecture).module_source(spec, state.weights(), digest, size)
    return Pretrained(known, (network,), configs.digest_with(network.digest, known), "file")


def _stated(path: Path, card: Path | None) -> tuple[Path, Mapping[str, Any]] | None:
    """What is stated of a file, and where: its card, or what is known of a file of that name."""
    place = card or card_files.place_of(path)
    if place.is_file():
        return place, card_files.read_fields(place)
    if card is not None:
        raise BadCard(f"{card}: expected a card; there is no such file.")
    like = signatures.known_npz().get(path.name)
    return None if like is None else (path, {"like": like, "labels": "like"})


def _unstated(found: Guess) -> BadInput | BadRequest:
    """The refusal of a file without a card; all that is known goes with it."""
    error: BadInput | BadRequest
    if not found.matches:
        error = BadInput(
            f"{found.file}: {found.summary()}. Weights of another architecture are used as a graph (ONNX) "
            "with a card, or sealed from the module itself (signet.seal_module)."
        )
    else:
        error = BadRequest(
            f"{found.file}: {found.summary()}. How pictures are prepared and what the classes are called is "
            f"not in the weights, and not guessed. State it in {found.file}{card_files.ENDING}; `signet show "
            f"{found.file}` gives the card to write."
        )
    for line in list(found.lines())[1:]:
        error.add_note(line)
    return error


def _short(place: Path, fields: Mapping[str, Any]) -> Short:
    """A short card, read strictly."""
    file = shown(place.name)
    for key in fields:
        if key not in _FIELDS:
            raise BadCard(
                f"{file}: {UnknownName('field of a short card', key, _FIELDS)} A card with 'like' has "
                f"{', '.join(_FIELDS)} and nothing else."
            )
    for key in ("like", "architecture", "tensors"):
        if key in fields and not isinstance(fields[key], str):
            raise BadCard(f"{file}: expected {key!r} to be a name, got {fields[key]!r:.80}.")
    arguments = fields.get("arguments", {})
    if not isinstance(arguments, Mapping):
        raise BadCard(f"{file}: expected 'arguments' to be an object, got {arguments!r:.80}.")
    if "labels" not in fields:
        raise BadCard(
            f"{file}: expected 'labels': the names in order, "
            '{"file": ...}, "like" for those of the entry that it is like, or null for none. They are not '
            "guessed."
        )
    like = index.full_name(fields["like"])
    if like.partition("/")[0] not in ZOOS:
        raise BadCard(f"{file}: expected 'like' to name an entry of {' or '.join(ZOOS)}, got {like!r}.")
    own = like.partition(".")[0]
    architecture = str(fields.get("architecture", own))
    if architecture not in signatures.signatures():
        raise BadCard(f"{file}: {UnknownName('architecture', architecture, signatures.signatures())}")
    return Short(place, like, fields["labels"], architecture, fields.get("tensors"), arguments)


def _chosen(short: Short, state: StateFile, zoo: FindZoo) -> Match:
    """The architecture that the card names, which must have exactly these tensors."""
    matches = signatures.exact(state.shapes)
    for match in matches:
        if match.signature.architecture == short.architecture:
            return match
    raise _unfit(short, state, matches, zoo)


def _unfit(short: Short, state: StateFile, matches: Sequence[Match], zoo: FindZoo) -> BadInput:
    """The refusal of weights that are not those of the architecture that their card names."""
    wanted = state_guess.difference(state.shapes, signatures.signatures()[short.architecture], zoo)
    if matches:
        names = ", ".join(match.signature.name for match in matches)
        return BadCard(
            f"{shown(short.place.name)}: the weights are not of {wanted.words()}. They are exactly those of "
            f"{names}: if only the preprocessing of {short.like} is meant, add "
            f'"architecture": "{matches[0].signature.architecture}".'
        )
    error = BadInput(f"{shown(state.path.name)}: expected exactly the tensors of {wanted.words()}.")
    for near in state_guess.guess(state, zoo).differences:
        error.add_note(f"Nearest: {near.words()}.")
    return error


def _spec(match: Match, short: Short) -> ModuleSpec:
    row = match.signature
    own = row.architecture == short.like.partition(".")[0]
    argument = TWO_FORMS.get(row.architecture)
    if argument is not None and not isinstance(short.arguments.get(argument), bool):
        raise BadCard(
            f"{shown(short.place.name)}: {row.architecture} exists in two forms with equal tensors. Add "
            f'"arguments": {{"{argument}": true}} for weights that began with torchvision\'s own, false for '
            "others."
        )
    stated = configs.spec(row.architecture.partition("/")[0], index.config(short.like)) if own else None
    return spec_of(match, {**(stated.arguments if stated else {}), **short.arguments})


def spec_of(match: Match, arguments: Mapping[str, Any] | None = None) -> ModuleSpec:
    """What to build for a match. The head is its one layer; of several (distillation) none is it."""
    zoo, _, architecture = match.signature.architecture.partition("/")
    layers = {name.rpartition(".")[0] for name in match.signature.head}
    # torchvision's zoo names the head itself; its auxiliary ones never answer.
    one = len(layers) == 1 and zoo == "timm" and match.classes > 0
    told = {**match.signature.arguments, **(arguments or {})}
    return ModuleSpec(zoo, architecture, told, match.classes, layers.pop() if one else None)


def _card_like(short: Short, match: Match, spec: ModuleSpec, state: StateFile) -> Card:
    """The program of the entry, the classes of the weights, the labels of the card."""
    entry = configs.card(short.like, index.config(short.like), None, "unknown", "")
    labels, drop = _labels(short, match.classes, entry)
    if match.classes:
        features = "features" if spec.classifier or spec.zoo == "torchvision" else None
        output = OutputContract("softmax", "logits", spec.classes, drop_first=drop, features=features)
    else:
        output = OutputContract("embedding", "features")
    lineage: dict[str, Any] = {"like": short.like, "architecture": match.signature.architecture}
    if state.remarks:
        lineage["read"] = list(state.remarks)
    return Card(
        name=f"file/{_plain(state.path)}",
        task="classify" if match.classes else "embed",
        program=entry.program,
        output=output,
        inputs=entry.inputs,
        labels=labels,
        family=configs.family(spec.architecture),
        architecture=spec.architecture,
        origin=shown(state.path.name),
        weights_digest=state.digest,
        lineage=lineage,
    )


def _labels(short: Short, classes: int, entry: Card) -> tuple[tuple[str, ...] | None, bool]:
    """The names that a short card states, and whether class 0 is a background."""
    file, stated = shown(short.place.name), short.labels
    if stated is None:
        return None, False
    if not classes:
        raise BadCard(f'{file}: expected "labels": null for weights without a head, got {stated!r:.80}.')
    if stated == "like":
        if entry.output.classes != classes:
            raise BadCard(
                f"{file}: the labels of {short.like} are those of {entry.output.classes} classes; the head "
                f"of these weights has {classes}. State the labels themselves."
            )
        return entry.labels, False
    return card_files.labels_of(stated, short.place, classes)


def _whole(place: Path, state: StateFile, zoo: FindZoo) -> tuple[Card, ModuleSpec]:
    """A whole card, completed by what the weights say, and what to build."""
    card = card_files.read_card(place)
    file = shown(place.name)
    if card.weights_digest not in (None, state.digest):
        raise BadCard(
            f"{file}: it is the card of weights with the sha256 {card.weights_digest}, but those of "
            f"{shown(state.path.name)} have {state.digest}."
        )
    match = _stated_match(card, file, state, zoo)
    if card.task != ("classify" if match.classes else "embed"):
        raise BadCard(f"{file}: the task {card.task!r} does not fit weights with {match.classes} classes.")
    if match.classes and card.output.classes not in (None, match.classes):
        raise BadCard(
            f"{file}: it states {card.output.classes} classes, but the head of these weights has "
            f"{match.classes}."
        )
    size = card.input_size or (None, None)
    output = dataclasses.replace(card.output, classes=match.classes or None)
    completed = dataclasses.replace(
        card,
        output=output,
        inputs=card.inputs or (InputSpec(name="images", shape=(None, 3, *size)),),
        weights_digest=state.digest,
    )
    return completed, spec_of(match)


def _stated_match(card: Card, file: str, state: StateFile, zoo: FindZoo) -> Match:
    """The one architecture that a whole card names, or that the tensors leave."""
    found = state_guess.guess(state, zoo)
    if not found.matches:
        raise _unstated(found)
    named = [
        match
        for match in found.matches
        if card.architecture in ("", *_spellings(match.signature.architecture))
    ]
    if not named:
        raise BadCard(
            f"{file}: it states the architecture {card.architecture!r}, but {found.summary()}. State that "
            "one."
        )
    if len(state_guess.functions(named)) > 1:
        raise BadCard(
            f'{file}: {found.summary()}. State which: "architecture": "{named[0].signature.architecture}".'
        )
    if named[0].signature.architecture in TWO_FORMS:
        raise BadCard(
            f"{file}: {named[0].signature.architecture} exists in two forms with equal tensors, which a "
            'whole card cannot tell apart. Write the short one, with "like" and "arguments".'
        )
    return named[0]


def _spellings(architecture: str) -> tuple[str, str]:
    """With and without its zoo."""
    return architecture, architecture.partition("/")[2]


def _plain(path: Path) -> str:
    """A file's name as part of a model's name."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in path.stem)
    return kept.strip("_") or "weights"
