"""What every zoo promises, checked on models whose weights are on this machine."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signet.answers import chosen
from signet.cards import Card
from signet.engines.contract import EngineSettings
from signet.errors import CheckFailed, UnknownName
from signet.graphs.opening import open_graph
from signet.models import Model
from signet.networks import GraphFile, ModuleSource, ModuleSpec, Pretrained
from signet.predictions import Classes, Embedding
from signet.running import Running, choose_engine, open_engine
from signet.testing.promises import keep, promise, refused
from signet.testing.tiny import made_images

FindModel = Callable[..., Pretrained]

_HEX = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*(/[A-Za-z0-9][\w.+-]*)*")
_ANSWERING = ("softmax", "sigmoid", "embedding")
_TOLERANCE = 1e-3
"""Between two forms of one network, as a fraction of the greatest value: layers add up rounding errors."""


@dataclass(frozen=True, slots=True)
class Case:
    """One model of a zoo.

    Attributes:
        find: the zoo.
        name: what it is asked for.
        folder: for the caches of engines.
    """

    find: FindModel
    name: str
    folder: Path

    def found(self) -> Pretrained:
        """The model, as the zoo gives it without a network."""
        return self.find(self.name, offline=True, on_progress=None)


def check_zoo(
    zoo: FindModel | Any, names: Sequence[str], folder: Path, *, unknown: str | None = None
) -> None:
    """Hold a zoo to its contract. No network may be used while the suite runs.

    Args:
        zoo: its module, or that module's `pretrained`.
        names: models whose weights are on this machine.
        folder: for what the engines keep: compiled models, traced graphs.
        unknown: a name that the zoo does not have, close to one that it has.

    Raises:
        CheckFailed: the zoo breaks a promise.
    """
    find: FindModel = getattr(zoo, "pretrained", zoo)
    with _without_network():
        for name in names:
            keep(_CHECKS, Case(find, name, folder), f"check_zoo: {name}")
        if unknown is not None:
            keep((_an_unknown_name_is_refused,), Case(find, unknown, folder), f"check_zoo: {unknown}")


def _the_card_says_everything(case: Case) -> None:
    card = case.found().card
    promise(bool(_NAME.fullmatch(card.name)), f"a name is zoo/architecture.tag, got {card.name!r}")
    promise(bool(card.inputs), "the card states no input")
    promise(bool(card.licence.weights), "the card states no licence; 'unknown' is one")
    promise(bool(card.origin), "the card states no origin")
    if card.output.head in ("softmax", "sigmoid"):
        promise(bool(card.output.classes), "the card states no number of classes")
    spec, size = card.inputs[0], card.input_size
    if size is not None and len(spec.shape) == 4:
        sides = spec.shape[2:] if spec.shape[1] == 3 else spec.shape[1:3]
        promise(sides in (size, (None, None)), f"the program ends with {size}, the input takes {sides}")


def _the_card_survives_its_json(case: Case) -> None:
    card = case.found().card
    again = Card.from_dict(json.loads(json.dumps(card.to_dict(), allow_nan=False)))
    promise(again.to_dict() == card.to_dict(), "a card that went through JSON is another card")


def _equal_digests_mean_equal_models(case: Case) -> None:
    first, second = case.found(), case.found()
    promise(bool(_HEX.fullmatch(first.digest)), f"digest is 64 hex digits, got {first.digest!r}")
    promise(first.digest == second.digest, "found twice, the same model has two digests")
    promise(first.card.to_dict() == second.card.to_dict(), "found twice, the same model has two cards")


def _there_is_a_network(case: Case) -> None:
    found = case.found()
    promise(bool(found.networks), "no network")
    size = found.card.input_size
    for network in found.networks:
        promise(bool(_HEX.fullmatch(network.digest)), f"a network's digest is {network.digest!r}")
        if isinstance(network, GraphFile):
            promise(open_graph(network.path) == network, f"{network.path.name} is not as the digest says")
        if isinstance(network, ModuleSource):
            shape = found.card.inputs[0].shape
            last = len(shape) == 4 and shape[3] == 3 and shape[1] != 3
            promise(
                size is None or network.input_shape == ((*size, 3) if last else (3, *size)),
                f"the program ends with {size}, the card's input is {shape}, and the module was made for "
                f"{network.input_shape}",
            )
            if network.spec is not None:
                plain = json.loads(json.dumps(network.spec.to_dict()))
                promise(ModuleSpec(**plain).to_dict() == plain, "a module's spec does not survive JSON")


def _modules_come_ready_to_answer(case: Case) -> None:
    for network in case.found().networks:
        if isinstance(network, ModuleSource):
            module = network.build()
            training = [name or "itself" for name, part in module.named_modules() if part.training]
            promise(not training, f"the module is in training mode: {', '.join(training[:3])}")
            if network.classifier is not None:
                names = dict(module.named_modules())
                promise(network.classifier in names, f"its head {network.classifier!r} is no layer of it")


def _every_form_gives_the_answer_that_the_card_states(case: Case) -> None:
    found = case.found()
    if found.card.output.head not in _ANSWERING:
        return
    images = made_images(3)
    raw = []
    for network in found.networks:
        form = Pretrained(found.card, (network,), found.digest, found.where)
        settings = EngineSettings(threads=2, batch=3, cache=case.folder)
        engine, _ = choose_engine(form, "torch" if isinstance(network, ModuleSource) else "auto", settings)
        opened = open_engine(form, engine, settings)
        with Model[Any](form, Running(opened, settings, "tested")) as model:
            batch = model.prepare(images)
            outputs = model.run(batch)
            _held_to_the_card(model.answer(outputs, batch), found.card)
            promise(
                found.card.output.features is None or bool(model.embed(images)),
                "the features that the card promises are not there",
            )
            raw.append(chosen(outputs, found.card.output.tensor).astype(np.float32))
    for other in raw[1:]:
        error = float(np.abs(raw[0] - other).max() / np.abs(raw[0]).max())
        promise(error <= _TOLERANCE, f"two forms of the network differ by {error:.2g} of the greatest value")


def _held_to_the_card(answers: Sequence[Classes | Embedding], card: Card) -> None:
    for answer in answers:
        if isinstance(answer, Embedding):
            width = card.output.width or len(answer)
            promise(len(answer) == width, f"a vector of {len(answer)} values, the card says {width}")
            promise(bool(np.isfinite(answer.vector).all()), "a vector holds a NaN or an infinity")
            continue
        if card.labels is not None:
            promise(answer.labels == card.labels, "an answer's labels are not those of the card")
        low, high = float(answer.scores.min()), float(answer.scores.max())
        promise(low >= 0 and high <= 1.0001, f"scores lie between 0 and 1, got {low} to {high}")
        if card.output.head == "softmax" and not card.output.drop_first:
            total = float(answer.scores.sum())
            # A quantized softmax counts in steps of 1/256, and loses the classes that lie far below one.
            lowest = 0.1 if card.output.already_activated else 0.999
            promise(lowest < total < 1.01, f"the scores of a softmax sum to 1, got {total}")


def _an_unknown_name_is_refused(case: Case) -> None:
    with refused(UnknownName, f"the name {case.name!r}", case.name):
        case.found()


@contextmanager
def _without_network() -> Iterator[None]:
    """While this holds, a connection to another machine is a broken promise."""
    connect = socket.socket.connect

    def refuse(*_: Any) -> None:
        raise CheckFailed("offline was asked for, and the zoo opened a network connection")

    socket.socket.connect = refuse  # type: ignore[method-assign]
    try:
        yield
    finally:
        socket.socket.connect = connect  # type: ignore[method-assign]


_CHECKS = (
    _the_card_says_everything,
    _the_card_survives_its_json,
    _equal_digests_mean_equal_models,
    _there_is_a_network,
    _modules_come_ready_to_answer,
    _every_form_gives_the_answer_that_the_card_states,
)
