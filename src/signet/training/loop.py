"""The training loop: from a network and images to the network's best state by validation.

Shape suffixes: N images of a batch, M validation images, C classes or channels, H rows, W columns.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from signet.arrays import Integers
from signet.errors import BadRequest, CheckFailed
from signet.progress import OnProgress, Progress, silent
from signet.training import checkpoints
from signet.training.augmentation import generator_of
from signet.training.exactness import bounded_threads, own_random_states, seed_step
from signet.training.freezing import freeze, set_learning_mode
from signet.training.moments import (
    Moment,
    fingerprint_of,
    from_checkpoint,
    is_better,
    state_of,
    to_checkpoint,
)
from signet.training.pictures import Batches
from signet.training.prefix import KeptPrefix, kept_prefix
from signet.training.schedule import frozen_by, optimizer_of, rate_factor, set_rates
from signet.training.settings import Trained, TrainingData, TrainSettings
from signet.training.sizing import program_at

# Roles of random numbers, so that no two draw from one stream; augmentation has 2.
_ORDER, _DRAWN_BY_NETWORK = 1, 3

_AHEAD = 2  # batches that are prepared while the network computes


def train(
    module: nn.Module,
    data: TrainingData,
    settings: TrainSettings,
    *,
    folder: Path,
    resume: bool,
    on_progress: OnProgress = silent,
) -> Trained:
    """Fine-tune a network; see the package's page for what it promises.

    Args:
        module: takes float32 (N, 3, H, W) and returns logits (N, C); its head is the caller's. It is changed
            in place, and in evaluation mode with its best state when this returns.
        data: what to learn from and what to decide by.
        settings: how.
        folder: for the checkpoints; made when missing. They stay there: `forget(folder)` deletes them.
        resume: go on from the newest checkpoint, or start when there is none.
        on_progress: told after each step and each epoch.

    Raises:
        BadRequest: nothing would learn; a checkpoint that is there and `resume` was not given, or that is of
            another run; a device that does not exist.
        UnknownName: `settings.frozen` names a stage that is none.
        BadInput: an image or every checkpoint cannot be read.
        BadGraph: the program or the network's output does not fit.
        CheckFailed: the loss or the gradient is no longer a finite number.
    """
    if not resume and checkpoints.present(folder):
        raise BadRequest(
            f"{folder}: expected no checkpoint of an earlier run, got one. Resume it, or delete it first."
        )
    device = _device(settings.device)
    learning = [parameter.requires_grad for parameter in module.parameters()]
    with own_random_states(device), bounded_threads(settings.threads):
        try:
            run = _Run(module, data, settings, folder, on_progress)
            return run.finish(resume)
        finally:
            module.to("cpu", memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
            for parameter, flag in zip(module.parameters(), learning, strict=True):
                parameter.requires_grad_(flag)
                parameter.grad = None


class _Run:
    """One run. Its state is the module, the optimizer, and the moment; nothing else changes."""

    def __init__(
        self,
        module: nn.Module,
        data: TrainingData,
        settings: TrainSettings,
        folder: Path,
        on_progress: OnProgress,
    ) -> None:
        program = program_at(data.program, data.size) if data.size else data.program
        self.module, self.data, self.settings = module, data, settings
        self.folder, self.on_progress = folder, on_progress
        self.device = _device(settings.device)
        self.fingerprint = fingerprint_of(module, data, settings)
        self.frozen = frozen_by(module, settings)
        freeze(module, self.frozen)
        # Channels last is what the CPU's and the GPU's convolutions are quick in.
        module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = optimizer_of(module, settings)
        self.learned = Batches(data.train, program, settings, learning=True)
        self.judged = Batches(data.validation, program, settings, learning=False)
        self.steps = math.ceil(len(data.train) / settings.batch)
        self.prefix: KeptPrefix | None = None
        self.moment = Moment()
        self.best: dict[str, Tensor] = {}
        self.best_logits_MC = torch.zeros(0)
        self.saved_at = self.ticked_at = time.monotonic()

    def finish(self, resume: bool) -> Trained:
        """Start or resume, and train to the end."""
        checkpoints.clear_leftovers(self.folder)
        found = checkpoints.newest(self.folder, self.fingerprint) if resume else None
        if found is not None:
            self.moment, self.best, self.best_logits_MC = from_checkpoint(found, self.module, self.optimizer)
        else:
            self._judge(0.0)  # the network as it was given: what training must beat
        if not self.moment.finished and self.settings.augmentation == "none":
            self.prefix = self._kept_prefix()
        while not self.moment.finished:
            self._epoch()
        self.module.load_state_dict(self.best, strict=True)
        moment = self.moment
        return Trained(
            best=self.best,
            best_epoch=moment.best_epoch,
            history=moment.history,
            validation_logits=self.best_logits_MC.numpy(),
            stopped_early=moment.stopped_early,
            seconds=moment.seconds,
        )

    def _kept_prefix(self) -> KeptPrefix | None:
        """What the frozen start of the network makes of every image, where that can be computed once."""
        set_learning_mode(self.module, self.frozen, self.settings.batchnorm)
        # In the order of the images and in equal parts, whatever came before: a resumed run gets the same.
        parts = np.array_split(np.arange(len(self.data.train)), self.steps)
        batches = (self.learned.batch(part, 0).to(self.device) for part in parts)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bf16):
            return kept_prefix(self.module, self.frozen, batches, self.settings)

    def _epoch(self) -> None:
        """What is left of the epoch under way."""
        settings, epoch = self.settings, self.moment.epoch
        set_learning_mode(self.module, self.frozen, settings.batchnorm)
        order = generator_of(settings.seed, _ORDER, epoch).permutation(len(self.data.train))
        parts = np.array_split(order, self.steps)[self.moment.step :]
        out_of_time = False
        for indices, images_NCHW in self._prepared(parts):
            self._step(indices, images_NCHW)
            out_of_time = 0 < settings.budget_seconds < self.moment.seconds
            if out_of_time:
                break
            if self.moment.step < self.steps and self._since_saved() >= settings.checkpoint_seconds:
                self._save()
        self._judge(self.moment.loss / max(1, self.moment.images), out_of_time)

    def _prepared(self, parts: list[Integers]) -> Iterator[tuple[Integers, Tensor]]:
        """(indices, images) of each part, made in a thread of its own while the network computes."""
        epoch = self.moment.epoch
        make = self.prefix.batch if self.prefix else self.learned.batch
        with ThreadPoolExecutor(1, "signet-batches") as worker:
            waiting: list[Future[Tensor]] = []
            try:
                for place, indices in enumerate(parts):
                    for ahead in parts[place + len(waiting) : place + 1 + _AHEAD]:
                        waiting.append(worker.submit(make, ahead, epoch))
                    yield indices, waiting.pop(0).result()
            finally:
                worker.shutdown(wait=True, cancel_futures=True)

    def _step(self, indices: Integers, images_NCHW: Tensor) -> None:
        """One update."""
        settings, moment = self.settings, self.moment
        done = (moment.epoch - 1) * self.steps + moment.step
        total = settings.epochs * self.steps
        seed_step(self.device, settings.seed, _DRAWN_BY_NETWORK, moment.epoch, moment.step)
        set_rates(self.optimizer, rate_factor(done, total, settings.warmup))
        targets_N = torch.from_numpy(self.data.train_targets[indices]).to(self.device)
        logits_NC = self._logits(images_NCHW, self.prefix)
        loss = nn.functional.cross_entropy(logits_NC, targets_N, label_smoothing=settings.label_smoothing)
        self._check_finite("loss", float(loss.detach()))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        limit = settings.clip or math.inf
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), limit)
        self._check_finite("gradient", float(norm))
        self.optimizer.step()
        count = len(indices)
        self.moment = replace(
            moment,
            step=moment.step + 1,
            loss=moment.loss + float(loss.detach()) * count,
            images=moment.images + count,
        )
        self._tick()
        self._tell(done + 1, total)

    def _judge(self, train_loss: float, out_of_time: bool = False) -> None:
        """End an epoch: validate, remember the best, decide whether to go on, and write it down."""
        moment, settings = self.moment, self.settings
        logits_MC = self._validation_logits()
        targets_M = torch.tensor(self.data.validation_targets)
        row: dict[str, float] = {
            "epoch": moment.epoch,
            "validation_loss": float(nn.functional.cross_entropy(logits_MC.double(), targets_M)),
            "validation_accuracy": float((logits_MC.argmax(1) == targets_M).double().mean()),
            "learning_rate": max(float(group["lr"]) for group in self.optimizer.param_groups),
        }
        if moment.epoch:
            row["train_loss"] = train_loss
        self._check_finite("validation loss", row["validation_loss"])
        history = moment.history
        better = not history or is_better(row, history[moment.best_epoch], settings.select)
        if better:
            self.best, self.best_logits_MC = state_of(self.module), logits_MC
        best_epoch = moment.epoch if better else moment.best_epoch
        self._tick()
        row["seconds"] = self.moment.epoch_seconds
        tired = 0 < settings.patience <= moment.epoch - best_epoch
        last = moment.epoch >= settings.epochs
        self.moment = Moment(
            epoch=moment.epoch + 1,
            best_epoch=best_epoch,
            history=(*history, row),
            seconds=self.moment.seconds,
            finished=last or tired or out_of_time,
            stopped_early=(tired or out_of_time) and not last,
        )
        self._save()
        self._tell(moment.epoch * self.steps, settings.epochs * self.steps)

    def _logits(self, images_NCHW: Tensor, prefix: KeptPrefix | None = None) -> Tensor:
        """Float32 (N, C) of a batch, or of what a prefix made of it; of several heads, those of the last."""
        images_NCHW = images_NCHW.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bf16):
            if prefix:
                answer = prefix.answer(self.module, images_NCHW)
            else:
                answer = self.module(images_NCHW.contiguous(memory_format=torch.channels_last))
        logits_NC: Tensor = answer if isinstance(answer, Tensor) else answer[0]
        if logits_NC.shape != (len(images_NCHW), self.data.classes):
            raise BadRequest(
                f"training: expected logits of shape ({len(images_NCHW)}, {self.data.classes}), got "
                f"{tuple(logits_NC.shape)}. Give the network a head for these classes (set_head)."
            )
        return logits_NC.float()

    def _validation_logits(self) -> Tensor:
        """Float32 (M, C) in evaluation mode, on the CPU."""
        self.module.eval()
        count = len(self.data.validation)
        rows = []
        with torch.no_grad():
            for part in np.array_split(np.arange(count), math.ceil(count / self.settings.batch)):
                rows.append(self._logits(self.judged.batch(part, 0)).cpu())
        return torch.cat(rows)

    def _save(self) -> None:
        checkpoint = to_checkpoint(self.moment, self.module, self.optimizer, self.best, self.best_logits_MC)
        checkpoints.save(self.folder, checkpoint, self.fingerprint)
        self.saved_at = time.monotonic()

    def _since_saved(self) -> float:
        return time.monotonic() - self.saved_at

    def _tick(self) -> None:
        """Count the time until now."""
        now = time.monotonic()
        passed, self.ticked_at = now - self.ticked_at, now
        self.moment = replace(
            self.moment,
            seconds=self.moment.seconds + passed,
            epoch_seconds=self.moment.epoch_seconds + passed,
        )

    def _tell(self, done: int, total: int) -> None:
        best = self.moment.history[self.moment.best_epoch] if self.moment.history else None
        note = f"validation {best['validation_accuracy']:.3f}" if best else ""
        self.on_progress(Progress("fine-tuning", done, total, unit="steps", note=note))

    def _check_finite(self, what: str, value: float) -> None:
        settings = self.settings
        if not math.isfinite(value) and not self.moment.epoch:
            raise CheckFailed(
                f"training: expected a finite {what} before anything was learned, got {value}. The network's "
                "weights or its preprocessing are not what they should be; verify the model first."
            )
        if not math.isfinite(value):
            raise CheckFailed(
                f"training stopped in epoch {self.moment.epoch}, step {self.moment.step + 1}: expected a "
                f"finite {what}, got {value}. Lower backbone_rate (now {settings.backbone_rate:g}) and "
                f"head_rate (now {settings.head_rate:g}) to a third, or freeze more stages."
            )


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BadRequest(f"device: expected one that torch has here, got {name!r}: {error}") from error
    return device
