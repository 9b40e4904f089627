"""A model that is loaded and answers: a card, a running engine, and the way from image to answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from signet import answers, resolving, storage
from signet.batches import Batch, Outputs
from signet.cards import Card
from signet.decoding import read
from signet.engines.contract import Engine, EngineSettings
from signet.errors import WrongTask
from signet.images import Image
from signet.networks import Pretrained
from signet.notebooks import table
from signet.predictions import Embedding, Prediction
from signet.preprocessing import prepare
from signet.progress import OnProgress
from signet.running import EngineChoice, PrecisionChoice, Running, open_engine, start
from signet.steps import Read

P = TypeVar("P", bound=Prediction)
Picture = Image | str | Path


class Model(Generic[P]):
    """A card with a running engine; calling it with images gives one answer for each.

    Make one with `load`. It may be used from several threads at once, and is a context manager.
    """

    def __init__(self, pretrained: Pretrained, running: Running) -> None:
        self.pretrained = pretrained
        self.running = running

    @property
    def card(self) -> Card:
        """All that is known of the model."""
        return self.pretrained.card

    @property
    def engine(self) -> Engine:
        """What runs it."""
        return self.running.engine

    def __call__(self, images: Picture | Sequence[Picture]) -> list[P]:
        """Answer for images.

        Args:
            images: one or several: `Image` values or paths.

        Returns:
            One answer for each, in order: `Classes` from a classifier, `Boxes` from a detector,
            `Instances` or `SegmentMap` from a segmenter, `Embedding` from a model that gives vectors.

        Raises:
            BadInput: an image cannot be read.
            EngineError: the network refuses the batch.
        """
        pictures = [images] if isinstance(images, Image | str | Path) else list(images)
        if not pictures:
            return []
        batch = self.prepare([self.read(picture) for picture in pictures])
        return self.answer(self.run(batch), batch)

    def read(self, picture: Picture) -> Image:
        """Read an image as the program says: upright, unless its first step leaves the orientation alone.

        Raises:
            BadInput: it cannot be read.
        """
        if isinstance(picture, Image):
            return picture
        first = self.card.program.steps[0]
        return read(picture, orient=not isinstance(first, Read) or first.orient)

    def prepare(self, images: Sequence[Image]) -> Batch:
        """Run the preprocessing program, up to the steps that the engine does itself.

        Those are the batch's `pending` steps; `preprocessing.finish(batch)` does them in numpy.
        """
        engine = self.engine
        return prepare(images, self.card.program, fuse=engine.fuses, exact=engine.precision != "bf16")

    def run(self, batch: Batch) -> Outputs:
        """Run the network over a prepared batch; named arrays, first axis the image."""
        return self.engine.run(batch)

    def answer(self, outputs: Outputs, batch: Batch, *, min_score: float = 0.0) -> list[P]:
        """Turn raw outputs into answers in original pixels with label names.

        Args:
            outputs: of the network.
            batch: what went in.
            min_score: boxes and instances below it are left out; other answers are whole.

        Raises:
            BadInput: the outputs are not what the card says.
        """
        return cast("list[P]", answers.answer(outputs, self.card, batch, min_score=min_score))

    def embed(self, images: Picture | Sequence[Picture]) -> list[Embedding]:
        """Penultimate features, float32 (D,) for each image.

        Raises:
            WrongTask: the network has no such output.
        """
        pictures = [images] if isinstance(images, Image | str | Path) else list(images)
        if not pictures:
            return []
        batch = self.prepare([self.read(picture) for picture in pictures])
        return answers.embeddings(self.run(batch), self.card.output, batch.sources)

    def close(self) -> None:
        """Give the engine's memory and threads back."""
        self.engine.close()

    def in_precision(self, precision: str) -> Model[P]:
        """The same model on the same engine in another precision; the caller closes both."""
        settings = dataclasses.replace(self.running.settings, precision=cast("Any", precision))
        engine = open_engine(self.pretrained, self.engine.name, settings)
        return Model(self.pretrained, Running(engine, settings, f"{precision}, as asked"))

    def __enter__(self) -> Model[P]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Model({self.card.name!r}, {self.engine.name} {self.engine.version}, {self.engine.precision})"

    def _repr_html_(self) -> str:
        card = self.card
        size = card.input_size
        rows = [
            ("model", card.name),
            ("task", card.task),
            ("labels", f"{len(card.labels):,}" if card.labels else "none"),
            ("input", "any size" if size is None else f"{size[0]}x{size[1]}"),
            ("licence", f"{card.licence.weights}{'' if card.licence.stated else ' (inherited or missing)'}"),
            ("engine", f"{self.engine.name} {self.engine.version}"),
            ("precision", f"{self.engine.precision} ({self.running.why})"),
        ]
        return table((), rows)


def load(
    model: str | Path | Pretrained,
    kind: type[P] | None = None,
    *,
    engine: EngineChoice = "auto",
    precision: PrecisionChoice = "auto",
    settings: EngineSettings | None = None,
    on_progress: OnProgress | None = None,
) -> Model[P]:
    """Load a model, ready to answer.

    Args:
        model: a catalogue name, a seal, a pretrained folder, a graph file, or what `resolve` found.
        kind: the answer that is expected (`Classes`, `Boxes` ...), checked; None for what it gives.
        engine: "auto", "openvino", "onnx", "torch", or a plug-in's name.
        precision: "auto" (fp32 until this model has evidence for bf16 here), "fp32", "bf16", "int8".
        settings: threads, batch, device, cache folder.
        on_progress: told of downloaded bytes.

    To stay off the network: `load(resolve(name, offline=True))`.

    Raises:
        UnknownName: no such model; carries near misses.
        WrongTask: it gives another kind of answer.
        HubError: its weights could not be had.
        EngineError: no engine can run it.

    Example:
        >>> with load("starter", Embedding) as model:
        ...     vector = model(read("robin.jpg"))[0].vector      # doctest: +SKIP
    """
    found = model if isinstance(model, Pretrained) else resolve(model, on_progress=on_progress)
    check_kind(found, kind)
    chosen = settings or EngineSettings(cache=default_cache())
    return Model(found, start(found, engine, precision, chosen))


def check_kind(pretrained: Pretrained, kind: type[Any] | None) -> None:
    """Refuse a model that gives another kind of answer than is expected, or none that can be read.

    Raises:
        WrongTask: it gives another kind.
        BadCard: its output contract is not one of its task.
    """
    card = pretrained.card
    given = answers.kind_of(card)
    if card.task not in ("classify", "embed"):
        answers.head_of(card)
    if kind is not None and kind is not given:
        raise WrongTask(
            f"{pretrained.card.name} gives {given.__name__} (task {pretrained.card.task!r}), "
            f"expected {kind.__name__}."
        )


def default_cache() -> Path:
    """Where compiled models, traced graphs and evidence are kept."""
    return storage.cache_folder() / "engines"


resolve = resolving.resolve
