"""The end of an epoch: the network as it would be kept is measured, and held to what must not move."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from signet.errors import CheckFailed, Diverged
from signet.training.averaging import Weights
from signet.training.freezing import LIVE
from signet.training.holding import Held
from signet.training.moments import state_of
from signet.training.overfitting import GAP, SAMPLE
from signet.training.ranks import ALONE, Ranks
from signet.training.reviewing import re_estimated, sample_loss
from signet.training.settings import BatchNormPolicy, TrainSettings
from signet.training.tasks import Judgement, LearningTask


class Evaluated(NamedTuple):
    """The network at the end of an epoch.

    Attributes:
        row: figures for the history.
        state: every tensor, on the CPU, of the weights that were measured.
        kept: what the task keeps of the validation.
    """

    row: Mapping[str, float]
    state: Mapping[str, Tensor]
    kept: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """Measures a network.

    Attributes:
        module: the network.
        task: with the images.
        settings: of the run.
        policies: of each BatchNorm.
        held: what must not move.
        ranks: the processes that share the images.
    """

    module: nn.Module
    task: LearningTask
    settings: TrainSettings
    policies: Mapping[str, BatchNormPolicy]
    held: Held
    ranks: Ranks = ALONE

    def at_end_of(self, epoch: int, weights: Weights) -> Evaluated:
        """The weights that would be kept, measured.

        Args:
            epoch: that is over; 0 for the network as it was given, whose statistics are left alone.
            weights: which ones are lent to the network meanwhile.

        Raises:
            CheckFailed: something that is frozen has moved.
        """
        with weights.in_place():
            return self.now(learned=epoch > 0, mixed=weights.mixed)

    def now(self, *, learned: bool = True, mixed: bool = False) -> Evaluated:
        """The network as it is, measured; raises as `at_end_of`.

        Args:
            learned: whether statistics that follow the weights are computed anew first.
            mixed: whether the weights are a mean, for which all statistics that are gathered are.
        """
        wanted = LIVE if mixed else ("re-estimated",)
        names = [name for name, policy in self.policies.items() if learned and policy in wanted]
        self.module.eval()
        with torch.no_grad():
            if names:
                re_estimated(self.task, self.module, names, self.settings.batch)
            judged = validated(self.task, self.module, self.settings.batch, self.ranks)
            row, seen = dict(judged.row), None
            if self._watches(row):
                seen = sample_loss(self.task, self.module, self.settings.batch, self.ranks)
            if seen is not None:
                row |= {SAMPLE: seen, GAP: row["validation_loss"] - seen}
            state = state_of(self.module)
        self.held.check(state)
        self.ranks.check_weights(state)
        return Evaluated(row, state, judged.kept)

    def adapt(self, names: Collection[str]) -> None:
        """Give some BatchNorm layers the statistics of the training images."""
        if names:
            with torch.no_grad():
                re_estimated(self.task, self.module, names, self.settings.batch)

    def _watches(self, row: Mapping[str, float]) -> bool:
        return self.settings.overfitting != "off" and "validation_loss" in row


def validated(task: LearningTask, module: nn.Module, batch: int, ranks: Ranks = ALONE) -> Judgement:
    """What validation says of a network as it is.

    Args:
        task: with the images.
        module: in evaluation mode; no gradient is recorded by the caller.
        batch: greatest number of images at a time.
        ranks: the processes that look at a share of the images each; all of them get all answers.
    """
    count = task.validation_count
    parts = np.array_split(np.arange(count), math.ceil(count / batch))
    own = [task.answers(module, part) for part in parts[ranks.rank :: ranks.size]]
    return task.judgement(ranks.gathered(own, len(parts)))


def check_finite(what: str, value: float, epoch: int, step: int, settings: TrainSettings) -> None:
    """Refuse to go on with what is no number.

    Raises:
        Diverged: it is none.
        CheckFailed: it was none before anything was learned, which no other settings would mend.
    """
    if math.isfinite(value):
        return
    if not epoch:
        raise CheckFailed(
            f"training: expected a finite {what} before anything was learned, got {value}. The network's "
            "weights or its preprocessing are not what they should be; verify the model first."
        )
    raise Diverged(
        f"training stopped in epoch {epoch}, step {step + 1}: expected a "
        f"finite {what}, got {value}. Lower backbone_rate (now {settings.backbone_rate:g}) and "
        f"head_rate (now {settings.head_rate:g}) to a third, or freeze more stages."
    )
