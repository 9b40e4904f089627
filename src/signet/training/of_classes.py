"""Learning labels of images: one that is right, validated by accuracy, or several, by average precision.

Shape suffixes: N images of a batch, M validation images, C classes or channels, H rows, W columns.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from signet.answers import logistic, softmax
from signet.arrays import Array, Floats, Integers
from signet.errors import BadRequest
from signet.geometry import Size
from signet.metrics.calibration import expected_calibration_error
from signet.metrics.multilabel import mean_average_precision
from signet.training.augmentation import generator_of
from signet.training.class_losses import class_loss, judged_loss, label_loss, teacher_loss
from signet.training.imbalance import balanced_draw, weights_of
from signet.training.mixing import mixed, mixed_targets
from signet.training.pictures import Batches
from signet.training.prefix import KeptPrefix, KeptSome, kept_prefix
from signet.training.reviewing import sample_of
from signet.training.room import Room
from signet.training.settings import TrainingData, TrainSettings
from signet.training.sizing import program_at, size_in
from signet.training.tasks import Examples, Judgement, Seen, answered
from signet.training.variation import strength_of

# Roles of random numbers; others are in loop.py and pictures.py.
_MIXED, _BALANCED = 7, 8


class ClassTask:
    """The task of `TrainingData`; see `LearningTask`."""

    def __init__(self, data: TrainingData, settings: TrainSettings) -> None:
        program = program_at(data.program, data.size) if data.size else data.program
        self.data, self.settings, self.program = data, settings, program
        self.sizes = self._sizes()
        self.room = Room(settings.memory_bytes)  # of all pictures and maps together
        self.learned = self._batches(self.sizes[0])
        self.judged = Batches(data.validation, program, settings, learning=False, room=self.room)
        self.strength = strength_of(settings.augmentation, settings.variation, flip=settings.flip)
        self.targets_NC = data.shares_of("train")
        counts = (self.targets_NC > 0).sum(axis=0)
        self.weights_C = torch.from_numpy(weights_of(counts, settings.objective.class_weights))
        same = not self.strength.changes and len(self.sizes) == 1
        self.plain = (
            self.learned if same else Batches(data.train, program, settings, learning=False, room=self.room)
        )
        self.prefix: KeptPrefix | None = None
        self._last_draw: tuple[int, Integers] = (-1, np.zeros(0, np.int64))
        self.validated: KeptSome | None = None
        self.reviewed: KeptSome | None = None
        self._asking = threading.Lock()  # batches are made by several threads; a teacher need not bear that
        self._resizing = threading.Lock()
        if settings.objective.sampling == "balanced" and not data.exclusive:
            raise BadRequest(
                "sampling: expected 'natural' where several labels of an image can be right, got 'balanced': "
                "an image of a rare label may show frequent ones too. Use class_weights."
            )

    def _sizes(self) -> tuple[Size | None, ...]:
        """The input sizes over the epochs; None is the program's own."""
        sizes, own = self.settings.sizes, self.program.input_size()
        if sizes and sizes[-1] != own:
            raise BadRequest(
                f"sizes: expected the last to be {own}, at which the network is judged and used, got "
                f"{sizes[-1]}. Change it, or the size of the data."
            )
        return sizes or (None,)

    def _batches(self, size: Size | None) -> Batches:
        program = program_at(self.program, size) if size else self.program
        return Batches(self.data.train, program, self.settings, learning=True, room=self.room)

    @property
    def figure(self) -> str:
        """What epochs are compared by."""
        return "validation_accuracy" if self.data.exclusive else "validation_ap"

    @property
    def count(self) -> int:
        """Training images."""
        return len(self.data.train)

    @property
    def validation_count(self) -> int:
        """Validation images."""
        return len(self.data.validation)

    @property
    def reach(self) -> int:
        """Mixed pictures take in the next one of their step."""
        return int(bool(self.strength.mixup or self.strength.cutmix))

    @property
    def steps(self) -> int:
        """Of one epoch; the last is never larger than a batch."""
        return math.ceil(self.count / self.settings.step_images)

    def facts(self) -> Mapping[str, Any]:
        """Of each image its name, its folder's name and its size in bytes, and its class.

        So a data set that was moved is the same one, and nothing needs to be decoded to tell.
        """
        data = self.data
        images = {
            part: [
                [*Path(path).parts[-2:], _size(path), target]
                for path, target in zip(paths, targets.astype(int).tolist(), strict=True)
            ]
            for part, paths, targets in (
                ("train", data.train, data.train_targets),
                ("validation", data.validation, data.validation_targets),
            )
        }
        return {
            **images,
            "classes": data.classes,
            "program": data.program.digest,
            "size": data.size,
            "digest": data.digest,
            "teacher": data.teaching.facts() if data.teaching else None,
        }

    def settle(self, module: nn.Module, frozen: AbstractSet[str]) -> None:
        """Compute once what the frozen start makes of each image that stays the same over the epochs.

        These are the images that are looked at after each epoch, and without augmentation all of them.
        """
        teaching = self.data.teaching
        asked_of_views = teaching is not None and teaching.teach is not None
        others = (self.prefix, *(some.prefix for some in (self.validated, self.reviewed) if some))
        self.room.give_back(sum(other.bytes for other in others if other))
        self.prefix = self.validated = self.reviewed = None
        with torch.autocast(
            torch.device(self.settings.device).type, torch.bfloat16, enabled=self.settings.bf16
        ):
            if not (self.strength.changes or len(self.sizes) > 1 or asked_of_views):
                found = self._kept(module, frozen, self.learned, np.arange(self.count), self.steps)
                self.prefix = found.prefix if found else None
            validation = np.arange(len(self.data.validation))
            self.validated = self._kept(module, frozen, self.judged, validation)
            if self.prefix is None and self.settings.overfitting != "off":
                self.reviewed = self._kept(module, frozen, self.plain, sample_of(self.count))

    def _kept(
        self,
        module: nn.Module,
        frozen: AbstractSet[str],
        batches: Batches,
        places: Integers,
        parts: int | None = None,
    ) -> KeptSome | None:
        """What the frozen start makes of images at some places, within the memory that is left.

        Their pictures are not asked for while it is kept, and make room.
        """
        if not len(places):
            return None
        # In the order of the images and in equal parts, whatever came before: a resumed run gets the same.
        split = np.array_split(places, parts or math.ceil(len(places) / self.settings.batch))
        device = torch.device(self.settings.device)
        images = (batches.batch(part, 0).to(device) for part in split)
        prefix = kept_prefix(module, frozen, images, self.settings, self.room)
        if prefix is None:
            return None
        batches.pictures.forget()
        return KeptSome(prefix, places)

    def examples(self, indices: Integers, epoch: int) -> Examples:
        """Images, or what the frozen start made of them; and what is right.

        Targets are float32 (N, P, C): the labels' shares, and with a teacher what it says, softened.
        """
        places = self.drawn(epoch)[indices]
        targets = self.targets_NC[places][:, None]
        teaching = self.data.teaching
        if teaching and teaching.logits is not None:
            targets = np.concatenate([targets, self._softened(teaching.logits[places])], axis=1)
        if self.prefix:
            return Examples(self.prefix.batch(places, epoch), torch.from_numpy(targets))
        views, shares = self.views(indices, epoch)
        targets = mixed_targets(targets, shares)
        if teaching and teaching.teach is not None:
            with self._asking:
                said = teaching.teach(views)
            targets = np.concatenate([targets, self._softened(said)], axis=1)
        return Examples(self.learned.finished(views), torch.from_numpy(targets))

    def views(self, indices: Integers, epoch: int) -> tuple[Array, Floats]:
        """Pictures of an epoch, mixed: uint8 (N, H, W, 3), and float32 (N,) how much of each is its own."""
        self._resize(epoch)
        views = self.learned.views(self.drawn(epoch)[indices], epoch, indices)
        generators = [generator_of(self.settings.seed, _MIXED, epoch, key) for key in indices.tolist()]
        return mixed(views, self.strength.mixup, self.strength.cutmix, generators)

    def _softened(self, logits_NC: Floats) -> Floats:
        """A teacher's scores at the temperature, float32 (N, 1, C)."""
        temperature = self.settings.objective.temperature
        if self.data.exclusive:
            return softmax(logits_NC / np.float32(temperature))[:, None]
        return logistic(logits_NC, temperature)[:, None]

    def _resize(self, epoch: int) -> None:
        """Go over to the size of an epoch; what is kept of the pictures is of one size at a time."""
        size = size_in(epoch, self.settings.epochs, self.sizes)
        with self._resizing:  # several threads may make the first batches of an epoch
            if size is not None and size != self.learned.size:
                self.learned.pictures.forget()
                self.learned = self._batches(size)

    def drawn(self, epoch: int) -> Integers:
        """int64 (count,), the images of an epoch: each once, or each class alike and some not at all."""
        if self.settings.objective.sampling == "natural":
            return np.arange(self.count)
        known, places = self._last_draw
        if known != epoch:  # every batch of an epoch asks, and of many images a draw takes its time
            generator = generator_of(self.settings.seed, _BALANCED, epoch)
            places = balanced_draw(self.data.train_targets, generator)
            self._last_draw = (epoch, places)
        return places

    def loss(self, module: nn.Module, examples: Examples) -> Tensor:
        """See `class_losses`."""
        objective, exclusive = self.settings.objective, self.data.exclusive
        logits_NC = self._logits(module, examples.images, self.prefix)
        targets_NPC = examples.targets.to(logits_NC.device)
        cost = class_loss if exclusive else label_loss
        weights_C = self.weights_C.to(logits_NC.device)
        labels = cost(logits_NC, targets_NPC[:, 0], objective, self.settings.label_smoothing, weights_C)
        if targets_NPC.shape[1] == 1:
            return labels
        distance = teacher_loss(logits_NC, targets_NPC[:, 1], objective.temperature, exclusive=exclusive)
        return (1 - objective.teacher_weight) * labels + objective.teacher_weight * distance

    def look_back(self, module: nn.Module, indices: Integers) -> Seen:
        """The plain log loss of the images, as of validation."""
        if self.prefix:
            logits_NC = self._logits(module, self.prefix.batch(indices, 0), self.prefix).cpu()
        else:
            logits_NC = self._again(module, self.plain, self.reviewed, indices).cpu()
        truth_NC = torch.from_numpy(self.targets_NC[indices])
        mean = judged_loss(logits_NC, truth_NC, exclusive=self.data.exclusive)
        return Seen(mean * len(indices), len(indices))

    def answers(self, module: nn.Module, indices: Integers) -> dict[str, Array]:
        """`logits`, float32 (N, C)."""
        return {"logits": self._again(module, self.judged, self.validated, indices).cpu().numpy()}

    def judgement(self, parts: Sequence[Mapping[str, Array]]) -> Judgement:
        """Accuracy or average precision, and the plain log loss; `logits`, float32 (M, C), are kept."""
        data = self.data
        logits_MC = torch.from_numpy(np.concatenate([part["logits"] for part in parts]))
        truth_MC = torch.from_numpy(data.shares_of("validation"))
        if data.exclusive:
            value = float((logits_MC.argmax(1) == truth_MC.argmax(1)).double().mean())
        else:
            value = mean_average_precision(logits_MC.numpy(), data.validation_targets)
        loss = judged_loss(logits_MC, truth_MC, exclusive=data.exclusive)
        row = {"validation_loss": loss, self.figure: value}
        if data.exclusive and math.isfinite(loss):
            scores_MC = logits_MC.softmax(1).numpy()
            right_M = logits_MC.argmax(1).numpy() == np.asarray(data.validation_targets)
            row["validation_ece"] = float(expected_calibration_error(scores_MC.max(axis=1), right_M)[0])
        return Judgement(row, {"logits": logits_MC})

    def _again(self, module: nn.Module, batches: Batches, kept: KeptSome | None, indices: Integers) -> Tensor:
        """Float32 (N, C) of images without augmentation, from what is kept of them where it is."""
        maps = None if kept is None else kept.batch(indices)
        if kept is None or maps is None:
            return self._logits(module, batches.batch(indices, 0))
        return self._logits(module, maps, kept.prefix)

    def _logits(self, module: nn.Module, images: Tensor, prefix: KeptPrefix | None = None) -> Tensor:
        """Float32 (N, C) of a batch, or of what a prefix made of it; of several heads, those of the last."""
        if prefix:
            maps = images.to(self.settings.device)
            with torch.autocast(maps.device.type, torch.bfloat16, enabled=self.settings.bf16):
                answer = prefix.answer(module, maps)
        else:
            answer = answered(module, images, self.settings)
        logits_NC: Tensor = answer if isinstance(answer, Tensor) else answer[0]
        if logits_NC.shape != (len(images), self.data.classes):
            raise BadRequest(
                f"training: expected logits of shape ({len(images)}, {self.data.classes}), got "
                f"{tuple(logits_NC.shape)}. Give the network a head for these classes (set_head)."
            )
        return logits_NC.float()


def _size(path: str | Path) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return -1  # reading it will say what is wrong
