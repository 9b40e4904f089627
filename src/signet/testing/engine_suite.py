"""What every engine promises, checked on a tiny network whose answers are computed by numpy."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signet.arrays import Array
from signet.batches import Batch, Outputs
from signet.cards import Card, InputSpec, OutputContract
from signet.engines.contract import PRECISIONS, Engine, EngineSettings, Precision
from signet.errors import EngineError
from signet.images import Image
from signet.networks import ModuleSource, Network, Pretrained
from signet.preprocessing import prepare
from signet.programs import Program
from signet.steps import Layout, Normalise, Order, Range, Read, Resize, Type
from signet.testing.promises import keep, promise, refused
from signet.testing.tiny import TinyNetwork, made_images

OpenModel = Callable[[Pretrained, EngineSettings], Engine]
BuildModule = Callable[[Mapping[str, Array]], Any]

TOLERANCE: Mapping[Precision, float] = {"fp32": 1e-4, "bf16": 3e-2, "int8": 1e-1}
"""Allowed error of an output, as a fraction of its greatest absolute value."""

SIZE = (17, 23)
"""(height, width) that the images are resized to: no square, so that swapped axes show."""

PINNED = 4
"""Images for each run that the engine is told of."""

_NUMERIC = (
    Type("float32"),
    Range(1 / 255, 0.0),
    Normalise((0.3, 0.45, 0.6), (0.2, 0.25, 0.3)),
    Order("BGR"),
    Layout("NCHW"),
)


@dataclass(frozen=True, slots=True)
class Bench:
    """What each check gets: the network, and how to open it.

    Attributes:
        open_model: the engine's own.
        network: computes what is right.
        forms: of the network, as the engine is handed them.
        settings: how it is opened.
        tolerance: allowed error, as a fraction of an output's greatest value.
    """

    open_model: OpenModel
    network: TinyNetwork
    forms: tuple[Network, ...]
    settings: EngineSettings
    tolerance: float

    def pretrained(self, sized: bool = True) -> Pretrained:
        """The model; `sized=False` leaves every image its own size."""
        resize = (Resize(size=SIZE, fit="stretch"),) if sized else ()
        card = Card(
            name="testing/tiny",
            task="classify",
            program=Program((Read(), *resize, *_NUMERIC)),
            output=OutputContract(head="softmax", tensor="logits", classes=5, features="features"),
            inputs=(InputSpec(name="images", shape=(None, 3, *(SIZE if sized else (None, None)))),),
        )
        return Pretrained(card, self.forms, card.program.digest, "package")

    @contextmanager
    def opened(self, sized: bool = True, workers: int = 1) -> Iterator[Engine]:
        """The engine with the model in it, closed at the end."""
        settings = dataclasses.replace(self.settings, workers=workers)
        engine = self.open_model(self.pretrained(sized), settings)
        try:
            yield engine
        finally:
            engine.close()

    def batch(self, engine: Engine, images: Sequence[Image], sized: bool = True) -> Batch:
        """Images, prepared up to what the engine does itself."""
        return prepare(images, self.pretrained(sized).card.program, fuse=engine.fuses)

    def compare(self, outputs: Outputs, images: Sequence[Image], when: str, sized: bool = True) -> None:
        """Hold outputs to what numpy finds."""
        program = self.pretrained(sized).card.program
        rows = [self.network.answer(np.asarray(prepare([image], program).arrays)) for image in images]
        for name in ("logits", "features"):
            expected, found = np.concatenate([row[name] for row in rows]), outputs[name]
            promise(found.shape == expected.shape, f"{when}: {name} {found.shape}, expected {expected.shape}")
            promise(found.dtype == np.float32, f"{when}: {name} is {found.dtype}, expected float32")
            error = float(np.abs(found - expected).max() / np.abs(expected).max())
            allowed = self.tolerance
            promise(
                error <= allowed,
                f"{when}: {name} is off by {error:.2g} of its greatest value, allowed is {allowed:g}",
            )


def check_engine(
    open_model: OpenModel,
    folder: Path,
    *,
    precision: Precision = "fp32",
    tolerance: float | None = None,
    build_module: BuildModule | None = None,
) -> None:
    """Hold an engine to its contract.

    Args:
        open_model: opens a model on the engine, as the entry point's module does.
        folder: an empty one; the suite's network and the engine's cache go there.
        precision: what the engine is asked for.
        tolerance: allowed error of an output as a fraction of its greatest value; `TOLERANCE` by default.
        build_module: makes the framework's own module from the weights of a `TinyNetwork`, for an engine
            that runs modules; its head is its submodule `head`. Without it the engine gets an ONNX graph.

    Raises:
        CheckFailed: the engine breaks a promise.
        MissingExtra: `onnx` is not installed.
    """
    network = TinyNetwork.made()
    forms: tuple[Network, ...] = (network.write(folder / "tiny.onnx"),)
    if build_module is not None:
        digest = hashlib.sha256(b"tiny module").hexdigest()
        built = ModuleSource(lambda: build_module(network.weights), digest, (3, *SIZE), classifier="head")
        forms = (built, *forms)
    settings = EngineSettings(precision=precision, threads=2, batch=PINNED, cache=folder / "cache")
    allowed = TOLERANCE[precision] if tolerance is None else tolerance
    keep(_CHECKS, Bench(open_model, network, forms, settings, allowed), "check_engine")


def _it_says_what_it_is(bench: Bench) -> None:
    with bench.opened() as engine:
        for fact in ("name", "version"):
            value = getattr(engine, fact)
            promise(isinstance(value, str) and bool(value), f"{fact} must be a text, got {value!r}")
        asked = bench.settings.precision
        promise(engine.precision in PRECISIONS, f"precision is one of {PRECISIONS}, got {engine.precision!r}")
        promise(engine.precision == asked, f"asked for {asked}, runs in {engine.precision}: refuse instead")
        promise(isinstance(engine.fuses, bool), f"fuses is True or False, got {engine.fuses!r}")


def _outputs_come_by_name_in_the_order_of_the_graph(bench: Bench) -> None:
    with bench.opened() as engine:
        outputs = engine.run(bench.batch(engine, made_images(1)))
        promise(engine.outputs == ("logits", "features"), f"outputs are {engine.outputs}")
        promise(
            tuple(outputs) == engine.outputs, f"run gives {tuple(outputs)}, outputs says {engine.outputs}"
        )


def _batches_of_any_length_are_answered(bench: Bench) -> None:
    with bench.opened() as engine:
        for count in (1, 3, PINNED, 2 * PINNED + 1):
            images = made_images(count)
            bench.compare(engine.run(bench.batch(engine, images)), images, f"{count} images")
        with refused(EngineError, "an empty batch", engine.name, "empty"):
            engine.run(bench.batch(engine, []))


def _images_of_different_sizes_are_answered(bench: Bench) -> None:
    images = made_images(5)
    with bench.opened(sized=False) as engine:
        batch = bench.batch(engine, images, sized=False)
        bench.compare(engine.run(batch), images, "a list of different sizes", sized=False)
        same = [images[0]] * 3
        batch = bench.batch(engine, same, sized=False)
        bench.compare(engine.run(batch), same, "equal sizes of a program without one", sized=False)


def _pending_steps_are_done_once(bench: Bench) -> None:
    images = made_images(3)
    program = bench.pretrained().card.program
    fused, whole = prepare(images, program, fuse=True), prepare(images, program)
    with bench.opened() as engine:
        bench.compare(engine.run(fused), images, "with pending steps")
        if engine.fuses:
            # It has the steps inside: a batch that is prepared already would be normalised twice.
            with refused(EngineError, "a batch whose steps were done already", engine.name):
                engine.run(whole)
        else:
            bench.compare(engine.run(whole), images, "without pending steps")


def _what_does_not_fit_is_refused_in_words(bench: Bench) -> None:
    with bench.opened() as engine:
        good = bench.batch(engine, made_images(2))
        arrays = np.asarray(good.arrays)
        wrong = {
            "another dtype": arrays.astype(np.float64),
            "five channels": np.zeros((2, 5, *SIZE) if not good.pending else (2, *SIZE, 5), arrays.dtype),
            "no channels": np.zeros((2, *SIZE), arrays.dtype),
        }
        for what, array in wrong.items():
            with refused(EngineError, what, engine.name):
                engine.run(dataclasses.replace(good, arrays=array))
        bench.compare(engine.run(good), made_images(2), "after a refusal")


def _batches_are_left_as_they_were(bench: Bench) -> None:
    images = made_images(3)
    with bench.opened() as engine:
        batch = bench.batch(engine, images)
        before = np.array(batch.arrays)
        engine.run(batch)
        promise(np.array_equal(np.asarray(batch.arrays), before), "run changed the arrays of its batch")
        before.flags.writeable = False
        bench.compare(engine.run(dataclasses.replace(batch, arrays=before)), images, "a read-only array")


def _answers_are_kept_and_repeated(bench: Bench) -> None:
    images = made_images(2 * PINNED)
    with bench.opened() as engine:
        first, second = (bench.batch(engine, part) for part in (images[:PINNED], images[PINNED:]))
        outputs = engine.run(first)
        before = {name: array.copy() for name, array in outputs.items()}
        engine.run(second)
        for name, array in before.items():
            promise(np.array_equal(outputs[name], array), f"a later run changed the {name} of an earlier one")
            again = engine.run(first)[name]
            promise(np.array_equal(again, array), f"{name} differ when the same batch runs twice")


def _threads_do_not_disturb_each_other(bench: Bench) -> None:
    images = made_images(12)
    with bench.opened(workers=2) as engine, ThreadPoolExecutor(6) as pool:
        parts = [images[start : start + 1 + start % PINNED] for start in range(12)] * 3
        batches = [bench.batch(engine, part) for part in parts]
        for part, outputs in zip(parts, pool.map(engine.run, batches), strict=True):
            bench.compare(outputs, part, "6 threads at once")


def _a_closed_engine_refuses(bench: Bench) -> None:
    with bench.opened() as engine:
        batch = bench.batch(engine, made_images(1))
        engine.run(batch)
        engine.close()
        engine.close()
        with refused(EngineError, "running a closed engine", engine.name, "closed"):
            engine.run(batch)


def _a_second_opening_answers_the_same(bench: Bench) -> None:
    images = made_images(3)
    with bench.opened() as engine:
        first = engine.run(bench.batch(engine, images))
    with bench.opened() as engine:
        second = engine.run(bench.batch(engine, images))
    for name, array in first.items():
        promise(np.array_equal(second[name], array), f"{name} differ after closing and opening again")


_CHECKS = (
    _it_says_what_it_is,
    _outputs_come_by_name_in_the_order_of_the_graph,
    _batches_of_any_length_are_answered,
    _images_of_different_sizes_are_answered,
    _pending_steps_are_done_once,
    _what_does_not_fit_is_refused_in_words,
    _batches_are_left_as_they_were,
    _answers_are_kept_and_repeated,
    _threads_do_not_disturb_each_other,
    _a_closed_engine_refuses,
    _a_second_opening_answers_the_same,
)
