"""The training loop: from a network and images to the network's best state by validation.

What is learned, by which loss, and what validation measures is the task's (`tasks`); all else is here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from signet.arrays import Integers
from signet.errors import BadRequest
from signet.progress import OnProgress, Progress, silent
from signet.training import checkpoints
from signet.training.averaging import Soup, first_epoch, weights_of
from signet.training.checkpoints import Checkpoint
from signet.training.dispatch import Data, device_of, task_of
from signet.training.ending import decided, mixed
from signet.training.exactness import bounded_threads, order_of, own_random_states
from signet.training.feeding import Feed
from signet.training.freezing import freeze, held_tensors, refuse_moving, refuse_shared
from signet.training.gradients import Gradients, Share
from signet.training.holding import Held
from signet.training.judging import Judge, check_finite
from signet.training.moments import (
    Moment,
    fingerprint_of,
    from_checkpoint,
    is_better,
    ranked,
    set_state,
    to_checkpoint,
)
from signet.training.optimizers import frozen_by, optimizer_of
from signet.training.overfitting import SLOWER
from signet.training.phases import activations_in, enter, phase_of, policies_of, set_modes, to_adapt
from signet.training.ranks import Ranks, ranks_of
from signet.training.schedule import change_rates, set_rates
from signet.training.settings import Trained, TrainSettings
from signet.training.tasks import Examples, LearningTask


def train(
    module: nn.Module,
    data: Data,
    settings: TrainSettings,
    *,
    folder: Path,
    resume: bool,
    on_progress: OnProgress = silent,
) -> Trained:
    """Fine-tune a network; see the package's page for what it promises.

    Args:
        module: takes float32 (N, 3, H, W) and returns logits: (N, C), or (N, C, H, W) where pixels are
            learned; one that learns objects is described at `of_objects.ObjectTask`. Its head is the
            caller's. It is changed in place, and in evaluation mode with its best state when this returns.
        data: what to learn from and what to decide by; its type is the task.
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
        Diverged: the loss or the gradient is no longer a finite number.
        CheckFailed: something that is frozen has moved; there is no memory for a single image.
        ProcessLost: of several processes another one has ended.
    """
    ranks = ranks_of(settings.processes, settings.device)
    if ranks.leads and not resume and checkpoints.present(folder):
        raise BadRequest(
            f"{folder}: expected no checkpoint of an earlier run, got one. Resume it, or delete it first."
        )
    own = ranks.own(settings)
    device = device_of(own.device)
    learning = [parameter.requires_grad for parameter in module.parameters()]
    with own_random_states(device), bounded_threads(own.threads):
        try:
            checkpointed = folder if ranks.leads else None
            run = _Run(module, task_of(data, own), settings, checkpointed, on_progress, ranks)
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
        task: LearningTask,
        settings: TrainSettings,
        folder: Path | None,
        on_progress: OnProgress,
        ranks: Ranks,
    ) -> None:
        self.module, self.task, self.settings, self.ranks = module, task, settings, ranks
        self.folder, self.on_progress = folder, on_progress if ranks.leads else silent
        self.device = device_of(ranks.own(settings).device)
        if ranks.size > 1:
            set_state(module, ranks.told_tensors(module.state_dict()))
        self.fingerprint = fingerprint_of(module, task.facts(), settings)
        # The optimizer and the average are of all that learns some day; until then it has no gradient.
        never = frozen_by(module, settings)
        freeze(module, never)
        refuse_moving(module, never, settings.classifier, dict(settings.batchnorm_stages))
        ranks.check_alike("what is learned, and how,", self.fingerprint)
        policies = policies_of(module, settings, never)
        if ranks.size > 1:
            refuse_shared(policies, ranks.size)
        self.held = Held.of(module.state_dict(), held_tensors(module, never, policies))
        # Channels last is what the CPU's and the GPU's convolutions are quick in.
        module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = optimizer_of(module, settings)
        self.weights = weights_of(module, settings)
        self.phase = phase_of(module, settings, 1)
        self.judge = Judge(module, task, settings, self.phase.policies, self.held, ranks)
        self.gradients = Gradients(module, task, settings, self.device, ranks)
        on_processor = self.device.type == "cpu"
        self.feed = Feed(self._examples, settings.workers, processor=on_processor, processes=ranks.here)
        self.steps = task.steps
        self.moment = Moment()
        self.best: Mapping[str, Tensor] = {}
        self.kept: Mapping[str, Tensor] = {}
        self.saved_at = self.ticked_at = time.monotonic()

    def finish(self, resume: bool) -> Trained:
        """Start or resume, and train to the end."""
        found = self._found(resume)
        if found is not None:
            self.moment, self.best, self.kept = from_checkpoint(
                found, self.module, self.optimizer, self.weights
            )
        else:
            self._judge(0.0)  # the network as it was given: what training must beat
        settled = False
        while not self.moment.finished:
            phase = phase_of(self.module, self.settings, self.moment.epoch)
            if not settled or phase != self.phase:
                self.phase, self.judge = phase, replace(self.judge, policies=phase.policies)
                enter(self.module, self.settings, phase)
                self.task.settle(self.module, phase.frozen)
                settled = True
            with activations_in(self.module, self.settings, phase):
                idle = self._epoch()
            self.feed.adapt(idle)
        set_state(self.module, self.best)
        moment = self.moment
        return Trained(
            best=self.best,
            best_epoch=moment.best_epoch,
            history=moment.history,
            kept={name: tensor.numpy() for name, tensor in self.kept.items()},
            stopped_early=moment.stopped_early,
            seconds=moment.seconds,
            held=self.held,
            notes=(*moment.notes, *self._notes()),
        )

    def _found(self, resume: bool) -> Checkpoint | None:
        """Where an earlier process has come to, in all processes of this run."""
        found = None
        if self.folder is not None:
            checkpoints.clear_leftovers(self.folder)
            found = checkpoints.newest(self.folder, self.fingerprint) if resume else None
        facts = self.ranks.told(found and dict(found.facts))
        return facts and Checkpoint(self.ranks.told_tensors(found.tensors if found else {}), facts)

    def _epoch(self) -> float:
        """What is left of the epoch under way; the share of its time that was spent waiting for batches."""
        settings, epoch = self.settings, self.moment.epoch
        if not self.moment.step:
            # Before the first step, and again by a run that was stopped before it: both give the same bits.
            self.judge.adapt(to_adapt(self.module, settings, epoch, self.moment.reached))
        set_modes(self.module, settings, self.phase)
        order = order_of(settings.seed, epoch, self.task.count)
        parts = np.array_split(order, self.steps)[self.moment.step :]
        shares = [self.ranks.share(part, self.task.reach) for part in parts]
        out_of_time = False
        self.feed.start()
        with closing(self.feed.batches([indices for indices, _ in shares], epoch)) as made:
            for part, (_, own), (_, examples) in zip(parts, shares, made, strict=True):
                self._step(Share(examples, own, len(part)))
                out_of_time = self._out_of_time()
                if out_of_time:
                    break
                if self.moment.step < self.steps and self._since_saved() >= settings.checkpoint_seconds:
                    self._save()
        idle = self.ranks.summed([self.feed.idle()])[0] / self.ranks.size
        self._judge(self.moment.loss / max(1, self.moment.images), out_of_time, idle)
        return idle

    def _examples(self, indices: Integers, epoch: int) -> Examples:
        """As the task makes them; nothing is asked of it where this process has no share of a step."""
        return self.task.examples(indices, epoch) if len(indices) else Examples(torch.empty(0), ())

    def _out_of_time(self) -> bool:
        """Whether the budget is spent, by the clock of the first process."""
        budget = self.settings.budget_seconds
        return budget > 0 and bool(self.ranks.told(budget < self.moment.seconds))

    def _step(self, share: Share) -> None:
        """One update."""
        settings, moment = self.settings, self.moment
        done = (moment.epoch - 1) * self.steps + moment.step
        total = settings.epochs * self.steps
        set_rates(self.optimizer, done, total, settings.optimisation)
        held = settings.swa_rate if moment.epoch >= first_epoch(settings) else None
        change_rates(self.optimizer, SLOWER**moment.steps_back, held)
        loss, halved = self.gradients.of(share, moment)
        self._check_finite("loss", loss)
        limit = settings.optimisation.clip or math.inf
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), limit)
        self._check_finite("gradient", float(norm))
        self.optimizer.step()
        self.weights.update(done + 1)
        self.moment = replace(
            moment,
            step=moment.step + 1,
            loss=moment.loss + loss * share.images,
            images=moment.images + share.images,
            halved=halved,
        )
        self._tick()
        self._tell(done + 1, total)

    def _notes(self) -> tuple[str, ...]:
        """What a person should know of how it went."""
        halved, settings = self.moment.halved, self.settings
        if not halved:
            return ()
        together = -(-settings.batch // (self.ranks.size << halved))
        return (
            f"memory ran out with {settings.batch} images at once: from then on {together} went through the "
            f"network at once, and their gradients were added up; a step still learned from "
            f"{settings.step_images}.",
        )

    def _judge(self, train_loss: float, out_of_time: bool = False, idle: float | None = None) -> None:
        """End an epoch: validate, remember the best, decide whether to go on, and write it down."""
        moment, settings, history = self.moment, self.settings, self.moment.history
        if moment.epoch:
            self.weights.gather(moment.epoch)
        found = self.judge.at_end_of(moment.epoch, self.weights)
        row: dict[str, float] = {
            "epoch": moment.epoch,
            **found.row,
            "learning_rate": max(float(group["lr"]) for group in self.optimizer.param_groups),
        }
        if moment.epoch:
            row["train_loss"] = train_loss
        if idle is not None:
            row["idle"] = idle
        for name, value in found.row.items():
            self._check_finite(name.replace("_", " "), value)
        if not history or is_better(row, history[moment.best_epoch], settings.select, self.task.figure):
            self.best, self.kept = found.state, found.kept
            moment = replace(moment, best_epoch=moment.epoch)
        self._tick()
        row["seconds"] = self.moment.epoch_seconds
        self.moment = replace(moment, history=(*history, row), seconds=self.moment.seconds)
        before, self.moment = moment, decided(self.moment, settings, self.task.figure, out_of_time)
        if self.ranks.size > 1:
            self.moment = Moment.from_dict(self.ranks.told(self.moment.to_dict()))
        if self.moment.steps_back > before.steps_back:
            self._step_back()
        if isinstance(self.weights, Soup):
            self._keep_soup(self.weights)
        self._save()
        self._tell(moment.epoch * self.steps, settings.epochs * self.steps, self.moment.history)

    def _keep_soup(self, soup: Soup) -> None:
        """Remember the best epochs; at the end of the run, keep what is mixed of them where it helps."""
        soup.keep(ranked(self.moment.history, self.settings.select, self.task.figure))
        if self.moment.finished:
            self.moment, found = mixed(self.moment, soup, self.judge, self.settings, self.task.figure)
            if found is not None:
                self.best, self.kept = found.state, found.kept

    def _step_back(self) -> None:
        """The network as it was at its best epoch, and an optimizer that remembers nothing."""
        set_state(self.module, self.best)
        self.optimizer.state.clear()
        self.weights.restart(self.moment.best_epoch)

    def _save(self) -> None:
        if self.folder is None:
            return
        checkpoint = to_checkpoint(
            self.moment, self.module, self.optimizer, self.best, self.kept, self.weights
        )
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

    def _tell(self, done: int, total: int, history: tuple[Mapping[str, float], ...] = ()) -> None:
        best = self.moment.history[self.moment.best_epoch] if self.moment.history else None
        note = f"{self.task.figure.replace('_', ' ')} {best[self.task.figure]:.3f}" if best else ""
        if self.moment.halved:
            note = f"{note}, memory ran out: batches in {1 << self.moment.halved} parts"
        self.on_progress(Progress("fine-tuning", done, total, unit="steps", note=note, history=history))

    def _check_finite(self, what: str, value: float) -> None:
        check_finite(what, value, self.moment.epoch, self.moment.step, self.settings)
