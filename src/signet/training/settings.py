"""What goes into a training run and what comes out of it: frozen values, checked when they are made."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from signet.arrays import Array, Floats, frozen
from signet.errors import BadDataset, BadRequest
from signet.geometry import Size
from signet.programs import Program
from signet.training.checks import Range, Whole, check_fields, check_whole
from signet.training.holding import Held
from signet.training.objective import Objective
from signet.training.optimisation import Optimisation
from signet.training.stages import Classifier
from signet.training.teaching import Teaching
from signet.training.variation import Augmentation, Variation, strength_of

BatchNormPolicy = Literal["frozen", "batch", "re-estimated", "adapt"]
BATCHNORM_POLICIES: tuple[BatchNormPolicy, ...] = ("frozen", "batch", "re-estimated", "adapt")
Overfitting = Literal["off", "stop", "step-back"]
Selection = Literal["accuracy", "loss"]

_GREATEST_RATE = 0.1

TIMED = frozenset({"seconds", "idle"})
"""What of a row of the history is time, and differs between two runs of the same result."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """The images to learn from, those to decide by, and how they are prepared.

    Attributes:
        train: image files.
        train_targets: int64 (N,), 0 to classes - 1; or bool (N, C) where several labels of an image can be
            right, or none.
        validation: image files that are never learned from.
        validation_targets: int64 (M,), or bool (M, C) likewise, with at least one that is right.
        classes: C, at least 2 (of several labels 1); every class has an image in `train`.
        program: the evaluation preprocessing that the result will be used with.
        size: (height, width) of the network's input, when it is to differ from the program's own; the
            program is then taken to that size by `program_at`, and the result must be used with that.
        teaching: what a teacher says of the training images, or None.
        digest: what else identifies the data (the caller's own fingerprint); part of what a resume compares.
    """

    train: Sequence[str | Path]
    train_targets: Array
    validation: Sequence[str | Path]
    validation_targets: Array
    classes: int
    program: Program
    size: Size | None = None
    teaching: Teaching | None = None
    digest: str = ""

    def __post_init__(self) -> None:
        least = 2 if self.exclusive else 1
        if self.classes < least:
            raise BadDataset(f"training: expected at least {least} classes, got {self.classes}.")
        for name, paths in (("train", self.train), ("validation", self.validation)):
            kind, shape = ("int64", (len(paths),)) if self.exclusive else ("bool", (len(paths), self.classes))
            targets = frozen(getattr(self, f"{name}_targets"), f"{name} targets", kind, shape)
            object.__setattr__(self, f"{name}_targets", targets)
            object.__setattr__(self, name, tuple(paths))
            if not len(paths):
                raise BadDataset(f"training: expected images in the {name} part, got none.")
            if self.exclusive and (targets.min() < 0 or targets.max() >= self.classes):
                raise BadDataset(
                    f"{name} targets: expected 0 to {self.classes - 1}, "
                    f"got {targets.min()} to {targets.max()}."
                )
        if not self.exclusive and not self.validation_targets.any():
            raise BadDataset(
                "training: expected a label in the validation part, by which epochs are told apart; got "
                f"{len(self.validation)} images without any."
            )
        if self.teaching is not None:
            self.teaching.check((len(self.train), self.classes))
        empty = np.flatnonzero(~self.shares_of("train").any(axis=0))
        if len(empty):
            raise BadDataset(
                f"training: expected images of each of {self.classes} classes, got none of class "
                f"{', '.join(map(str, empty[:5].tolist()))}. What is never seen cannot be learned: add "
                "images of it, or leave the class out."
            )

    @property
    def exclusive(self) -> bool:
        """Whether one label of an image is right."""
        return np.ndim(self.train_targets) == 1

    def shares_of(self, part: Literal["train", "validation"]) -> Floats:
        """float32 (N, C): 1 for what is right, else 0."""
        targets = getattr(self, f"{part}_targets")
        shares: Floats = np.eye(self.classes, dtype=np.float32)[targets] if self.exclusive else targets
        return shares.astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """How a network is fine-tuned. The defaults are those that were measured on a small MobileNetV2.

    Attributes:
        classifier: dotted name of the head inside the module, or names of the modules that it consists of; it
            learns with `head_rate`.
        epochs: passes over the training images.
        batch: images that go through the network at once; a step is of `step_images`.
        head_rate: greatest learning rate of the head.
        backbone_rate: greatest learning rate of all else; 0 freezes it, whole.
        optimisation: how a step is made.
        label_smoothing: share of the target that all classes have in common; pixels and objects have none.
        objective: the loss of labels of images, and how much each class counts.
        augmentation: "none", "light" (crop of at least 0.6 of the area, mirror image, slight colour),
            "medium" (stronger, and two small random operations) or, of labels of images, "strong"
            (RandAugment, boxes of noise, mixed pictures).
        variation: what is set beside that level, of labels of images only.
        sizes: (height, width) of the input over the epochs, of labels of images only: the epochs are dealt to
            them in equal parts, and the last is the one that the network is judged at. () for that alone.
        flip: whether left and right may be exchanged; False for letters, digits and all that has a side.
        mosaic: share of the views that show four pictures instead of one (`mosaics`); of objects only, none
            in the last epochs, and none without augmentation.
        patience: epochs without a better validation before the run ends early; 0 never ends early. It counts
            from the epoch on in which all has thawed, the mean of `swa_start` and the last of `sizes` have
            begun.
        select: what "better" means: the task's figure ("accuracy": the accuracy of classes, the mIoU of
            pixels, the AP of objects; equal ones by the loss), or the loss, which objects do not have.
        ema: decay of the running average of the weights (`averaging`), which is then what is validated and
            kept; 0.99 to 0.9999 are usual, more for more steps. 0 validates and keeps the weights themselves.
        swa_start: share of the epochs after which the plain mean of their weights is gathered, judged and
            kept (`EpochAverage`); 0 for none.
        swa_rate: the rate from there on, constant, over the greatest.
        soup: greatest number of epochs that a greedy soup of weights is tried from (`Soup`); 0 for none.
        overfitting: what becomes of a run that learns its images by heart (`overfitting`): "stop" ends it,
            "step-back" goes on from the best epoch at a lower rate, twice at most; "off" does not look.
            Objects have no loss of validation to tell it by.
        frozen: names of stages (see `stages_of`) that do not learn, or dotted prefixes of them.
        thaw: (name, epoch) of stages that are frozen, too, but learn from the beginning of that epoch on.
        batchnorm: "frozen": every BatchNorm uses its stored statistics and leaves them as they are;
            "batch": those outside frozen stages use and gather the statistics of each batch;
            "re-estimated": likewise, and before each validation theirs are computed anew over the training
            images (`batch_statistics`); "adapt": theirs are computed anew once, before the first step in
            which they learn, and then kept. A head that was made for the task gathers its own under all.
        batchnorm_stages: (stage, policy) for stages with another one.
        seed: decides order, augmentation, dropout.
        threads: of torch while it trains; what was set before is restored. One fewer than there are
            processors leaves one to the thread that makes the batches; with more threads than processors are
            free, all wait for each other.
        workers: threads that make batches; 0 begins with one, and takes more where the network waits. The
            result does not depend on it.
        processes: that train together, each on a share of every step (`ranks`); all call `train` with the
            same. The result does not depend on it, to the noise of sums (decision 35 says where it does).
        device: as torch names it.
        bf16: compute in bfloat16 where torch's autocast thinks it safe.
        checkpoint_seconds: between checkpoints within an epoch; one is written at each epoch's end anyway.
        budget_seconds: training ends after the step that exceeds it, and the best epoch counts; 0 for none.
        memory_bytes: for all decoded images, of training and of validation, and all that frozen stages make
            of those that stay the same, that are kept; the rest is made anew each time.
    """

    classifier: Classifier
    epochs: int = 8
    batch: int = 32
    head_rate: float = 1e-3
    backbone_rate: float = 1e-4
    optimisation: Optimisation = dataclasses.field(default_factory=Optimisation)
    label_smoothing: float = 0.1
    objective: Objective = field(default_factory=Objective)
    augmentation: Augmentation = "light"
    variation: Variation = field(default_factory=Variation)
    sizes: tuple[Size, ...] = ()
    flip: bool = True
    mosaic: float = 0.0
    patience: int = 5
    select: Selection = "accuracy"
    ema: float = 0.0
    swa_start: float = 0.0
    swa_rate: float = 0.5
    soup: int = 0
    overfitting: Overfitting = "off"
    frozen: tuple[str, ...] = ()
    thaw: tuple[tuple[str, int], ...] = ()
    batchnorm: BatchNormPolicy = "frozen"
    batchnorm_stages: tuple[tuple[str, BatchNormPolicy], ...] = ()
    seed: int = 0
    threads: int = 1
    workers: int = 0
    processes: int = 1
    device: str = "cpu"
    bf16: bool = False
    checkpoint_seconds: float = 60.0
    budget_seconds: float = 0.0
    memory_bytes: int = 2 << 30

    def __post_init__(self) -> None:
        check_fields(self, _WHOLE, _RANGES, _CHOICES)
        if self.mosaic and self.augmentation == "none":
            raise BadRequest(
                f"mosaic: expected 0 without augmentation, which shows every picture whole, got "
                f"{self.mosaic!r}. Choose the augmentation 'light' or 'medium', or no mosaics."
            )
        averages = [name for name in ("ema", "swa_start", "soup") if getattr(self, name)]
        if len(averages) > 1:
            raise BadRequest(
                f"averaging: expected one average of the weights, got {' and '.join(averages)}. Leave all "
                "but one at 0."
            )
        for stage, policy in self.batchnorm_stages:
            if policy not in BATCHNORM_POLICIES:
                words = ", ".join(map(repr, BATCHNORM_POLICIES))
                raise BadRequest(f"batchnorm of {stage}: expected one of {words}; got {policy!r}.")
        if not self.classifier or not all(self.classifier):
            raise BadRequest("classifier: expected the dotted name of the head, got an empty one.")
        if isinstance(self.frozen, str):
            raise BadRequest(f"frozen: expected a tuple of stage names, got the text {self.frozen!r}.")
        object.__setattr__(self, "frozen", tuple(self.frozen))
        object.__setattr__(self, "sizes", tuple(tuple(size) for size in self.sizes))
        object.__setattr__(self, "thaw", tuple((name, epoch) for name, epoch in self.thaw))
        self._check_thaw()

    @property
    def step_images(self) -> int:
        """Images that one step learns from."""
        return self.batch * self.optimisation.accumulate

    def _check_thaw(self) -> None:
        for name, epoch in self.thaw:
            check_whole(Whole(f"thaw: {name}", 1), epoch)
            if name in self.frozen:
                raise BadRequest(
                    f"thaw: expected stages that learn some day, got {name!r}, which `frozen` keeps as it "
                    "is. Name it in one of the two."
                )
        if self.thaw and not self.backbone_rate:
            raise BadRequest(
                "thaw: expected a backbone_rate above 0, got 0, at which what thaws would not learn either."
            )

    def deciding(self) -> dict[str, Any]:
        """The settings that the result depends on: plain JSON, for a fingerprint."""
        aside = ["checkpoint_seconds", "budget_seconds", "workers", "processes"]
        changes = strength_of(self.augmentation, self.variation, flip=self.flip).changes
        if changes and not self.frozen and not self.thaw:
            aside.append("memory_bytes")  # else it decides of which images the frozen start is computed once
        fields = {key: value for key, value in dataclasses.asdict(self).items() if key not in aside}
        return {**fields, "frozen": list(self.frozen)}


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What came of a training run.

    Attributes:
        best: every tensor of the module's state at the best epoch, on the CPU; the module itself holds the
            same when `train` returns.
        best_epoch: 1 for the first; 0 when no epoch was better than the module as it was given.
        history: for each epoch from 0 (the module as given, no training loss): `epoch`, `train_loss`,
            `validation_loss` (of objects there is none), the task's figures (0 to 1: `validation_accuracy`
            of classes, `validation_miou` of pixels, `validation_ap` and `validation_ap50` of objects),
            `learning_rate` (the greatest, at its end), `seconds`, and `idle`, the share of the epoch's steps
            that the network waited for batches. `TIMED` names those that differ from run to run.
        kept: what the task keeps of the validation at the best epoch, by name: of classes `logits`, of pixels
            `sums`, int64 (M, 3, C): `PixelCounts.sums` of each image, in original pixels; of objects nothing.
        stopped_early: whether patience, the budget or overfitting ended the run.
        seconds: of training, those before a resume included.
        held: what was frozen, with its digest; it was compared at the end of every epoch.
        notes: what a person must know of the run, in sentences: that it went back, or what was averaged.
    """

    best: Mapping[str, Tensor]
    best_epoch: int
    history: tuple[Mapping[str, float], ...]
    kept: Mapping[str, Array]
    stopped_early: bool
    seconds: float
    held: Held
    notes: tuple[str, ...] = ()

    @property
    def idle(self) -> float:
        """Share of the time of all epochs that the network waited for its batches, 0 to 1."""
        rows = [row for row in self.history if "idle" in row]
        seconds = sum(row["seconds"] for row in rows)
        return sum(row["idle"] * row["seconds"] for row in rows) / seconds if seconds else 0.0

    @property
    def validation_logits(self) -> Floats:
        """float32 (M, C) at the best epoch, in the order of the validation images; of classes only."""
        return self.kept["logits"]


_WHOLE = (
    Whole("epochs", 1),
    Whole("batch", 1),
    Whole("patience", 0),
    Whole("seed", 0, 2**63 - 1),
    Whole("threads", 1),
    Whole("workers", 0),
    Whole("processes", 1),
    Whole("memory_bytes", 0),
    Whole("soup", 0),
)
_HIGH_RATE = "AdamW moves every weight by about the rate at each step: more destroys what was pretrained."
_RANGES = (
    Range("head_rate", 0, _GREATEST_RATE, _HIGH_RATE),
    Range("backbone_rate", 0, _GREATEST_RATE, _HIGH_RATE),
    Range("label_smoothing", 0, 1, "It is the share that all classes have in common.", open_end=True),
    Range("mosaic", 0, 1, "It is a share of the views."),
    Range("ema", 0, 1, "At 1 the average never leaves the weights it began with.", open_end=True),
    Range("swa_start", 0, 1, "It is a share of the epochs.", open_end=True),
    Range("swa_rate", 0, 1, "It is a share of the greatest rate."),
    Range("checkpoint_seconds", 0, math.inf, open_end=True),
    Range("budget_seconds", 0, math.inf, open_end=True),
)
_CHOICES: dict[str, tuple[str, ...]] = {
    "augmentation": ("none", "light", "medium", "strong"),
    "batchnorm": BATCHNORM_POLICIES,
    "overfitting": ("off", "stop", "step-back"),
    "select": ("accuracy", "loss"),
}
