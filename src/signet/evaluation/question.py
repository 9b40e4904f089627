"""What is asked of a model, and what every report says of how it was answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from signet import machine
from signet.datasets import Dataset, Sample
from signet.errors import BadDataset, BadInput
from signet.evaluation.labels import Matched, match_labels
from signet.geometry import Size
from signet.models import Model
from signet.naming import shown
from signet.progress import OnProgress, Progress
from signet.records import Mistake
from signet.streaming import Answered, predictions

T = TypeVar("T")
PREFERRED_SPLITS = ("test", "val")


def preferred(dataset: Dataset[Any]) -> str | None:
    """The split that is measured on where none is named: "test", else "val", else all: None."""
    return next((name for name in PREFERRED_SPLITS if name in dataset.splits), None)


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A model and the images that it is asked about.

    Attributes:
        model: opened for many images.
        dataset: the whole.
        part: the images of the split.
        split: its name, or "all".
        named: the caller chose the split.
        seed: of the bootstrap.
        on_progress: told of every few images.
        among: the dataset's labels that are asked for, by index; None for all that the model knows.
    """

    model: Model[Any]
    dataset: Dataset[Any]
    part: Dataset[Any]
    split: str
    named: bool
    seed: int
    on_progress: OnProgress
    among: frozenset[int] | None = None

    @classmethod
    def of(
        cls, model: Model[Any], dataset: Dataset[Any], split: str | None, seed: int, on_progress: OnProgress
    ) -> Question:
        """Choose the split: the one that is named, else "test" where there is one, else "val", else all.

        Raises:
            UnknownName: no such split.
        """
        name = split or preferred(dataset)
        part = dataset if name is None else dataset.select(name)
        return cls(model, dataset, part, name or "all", split is not None, seed, on_progress)

    def matched(self) -> Matched:
        """The labels asked for, in the model's list.

        Raises:
            WrongTask, BadDataset: as `match_labels`.
        """
        return match_labels(self.model, self.part).only(self.among)

    @property
    def source(self) -> str:
        """The dataset's name for a message."""
        return shown(self.dataset.source)

    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the split."""
        if self.named or not self.dataset.splits:
            return ()
        others = ", ".join(name for name in self.dataset.splits if name != self.split)
        if self.split == "all":
            return (f"Measured on all images: there is no test or val, only {others}.",)
        return (f"Measured on the split {self.split!r}; the dataset also has {others}.",) if others else ()

    def provenance(self, count: int) -> dict[str, Any]:
        """Where model, data and figures come from; `count` images were measured."""
        card, engine = self.model.card, self.model.engine
        return {
            "model": card.name,
            "model_digest": self.model.pretrained.digest,
            "model_licence": card.licence.weights,
            "dataset": self.dataset.source,
            "data_format": self.dataset.format,
            "data_fingerprint": self.dataset.fingerprint,
            "split": self.split,
            "images": count,
            "engine": engine.name,
            "engine_version": engine.version,
            "precision": engine.precision,
            "processor": machine.processor(),
            "intervals": "95 %, bootstrap of 1,000 draws over images",
            "seed": self.seed,
            "date": datetime.now(UTC).date().isoformat(),
            **{f"version {name}": version for name, version in machine.versions().items()},
        }

    def told(self, done: int, total: int) -> None:
        """Say how far it is, every few images."""
        if done % 16 == 0 or done == total:
            self.on_progress(Progress("evaluating", done, total))


@dataclass(slots=True)
class Walk:
    """Answers beside truths, one image at a time, and what came of those that are not measured.

    Attributes:
        question: what is asked.
        unreadable: images that could not be read, or whose truth could not.
        untold: images whose truth nobody said.
        done: images so far.
        left: the places of the unreadable ones in the part.
    """

    question: Question
    unreadable: list[Mistake]
    untold: int = 0
    done: int = 0
    left: list[int] = field(default_factory=list)

    @classmethod
    def through(cls, question: Question) -> Walk:
        """At its beginning."""
        return cls(question, [])

    def pairs(self, size_of: Callable[[Any], Size]) -> Iterator[tuple[Answered[Any], Any]]:
        """Each image's answer with its truth, in order; `size_of` takes the size of a truth.

        An image whose truth is of another size than the image is not measured: boxes and masks would lie
        elsewhere than where they were drawn.
        """
        part = self.question.part
        for place, answered in enumerate(predictions(self.question.model, part.paths)):
            self.done += 1
            self.question.told(self.done, len(part))
            try:
                truth = self._truth(part[place], answered, size_of)
            except BadInput as error:
                self.drop(answered.source, error)
                continue
            if truth is None:
                self.untold += 1
            else:
                yield answered, truth

    def drop(self, source: str, error: Exception) -> None:
        """Leave the image out that was answered last."""
        self.unreadable.append(Mistake(source, "", "", 0.0, 0.0, error=str(error)))
        self.left.append(self.done - 1)

    def _truth(self, sample: Sample[T], answered: Answered[Any], size_of: Callable[[T], Size]) -> T | None:
        if answered.error is not None:
            raise BadInput(str(answered.error)) from answered.error
        truth = sample.truth
        if truth is None:
            return None
        stated = size_of(truth)
        if answered.size is not None and tuple(stated) != tuple(answered.size):
            raise BadInput(
                f"{shown(answered.source)}: its truth is for {stated[1]}x{stated[0]} pixels, and the upright "
                f"image has {answered.size[1]}x{answered.size[0]}. It is left out; correct the annotation."
            )
        return truth

    def check(self, measured: int) -> None:
        """Refuse to report on nothing.

        Raises:
            BadDataset: no image was measured.
        """
        if measured:
            return
        question = self.question
        if self.unreadable:
            raise BadDataset(
                f"{question.source}: none of the {self.done} images could be read. "
                f"The first: {self.unreadable[0].error}"
            )
        raise BadDataset(f"{question.source}: split {question.split!r} has no labelled image to measure on.")

    def notes(self, matched: Matched) -> tuple[str, ...]:
        """What a reader must know of labels, images and split."""
        untold = (f"{self.untold} images whose truth nobody said are left out.",) if self.untold else ()
        return (*matched.notes, *untold, *self.question.notes())
