"""The gradient of one step: of this process' share of its images, in parts, added up over all processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from signet.errors import CheckFailed
from signet.training.exactness import DRAWN_BY_NETWORK, seed_step
from signet.training.micro_batches import is_out_of_memory, parts_of, statistics_kept_on_error
from signet.training.moments import Moment
from signet.training.ranks import Ranks
from signet.training.settings import TrainSettings
from signet.training.tasks import Examples, LearningTask


class Share(NamedTuple):
    """This process' part of a step.

    Attributes:
        examples: that it learns from; none where a step has fewer images than there are processes.
        own: how many these are.
        images: of the whole step.
    """

    examples: Examples
    own: int
    images: int


@dataclass(frozen=True, slots=True, eq=False)
class Gradients:
    """What a step's gradient is computed with."""

    module: nn.Module
    task: LearningTask
    settings: TrainSettings
    device: torch.device
    ranks: Ranks

    def of(self, share: Share, moment: Moment) -> tuple[float, int]:
        """Leave the gradient of a step's mean loss in the parameters, the same in all processes.

        Where memory runs out in any process, the images that go through at once are halved in all of them.

        Args:
            share: of the step.
            moment: epoch and step, and how often was halved before.

        Returns:
            (the mean loss of all images of the step, how often was halved).

        Raises:
            CheckFailed: there is no memory for a single image, in all processes where one of them says so.
            ProcessLost: another process has ended.
        """
        halved = moment.halved
        while True:
            loss, short, hopeless = self._tried(share, moment, halved)
            learning = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
            # What no process has a gradient for must have none: zeros would decay its weights.
            having = [float(parameter.grad is not None) for parameter in learning]
            told = [loss, float(short), float(hopeless), *having]
            total, lacking, giving_up, *having = self.ranks.summed(told)
            if giving_up:
                raise CheckFailed(
                    "training: memory ran out for a single image. Give a smaller input_size, freeze more "
                    "stages, or set checkpoint_activations."
                )
            if not lacking:
                self.ranks.add_gradients(
                    [parameter for parameter, number in zip(learning, having, strict=True) if number]
                )
                return total, halved
            self._forget()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            halved += 1

    def _tried(self, share: Share, moment: Moment, halved: int) -> tuple[float, bool, bool]:
        """(this share's part of the mean loss, whether memory ran out, whether for a single image)."""
        parts = min(share.own, self.settings.optimisation.accumulate << halved)
        try:
            with statistics_kept_on_error(self.module):
                return self._added_up(share, moment, parts), False, False
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Out of the handler: what the error holds of the failed pass is free now. Nothing is raised before
        # the others know: they wait for this process' sums.
        return 0.0, True, parts == share.own

    def _added_up(self, share: Share, moment: Moment, parts: int) -> float:
        """The share's part of the mean loss, and the sum of its parts' gradients."""
        # Each process draws other numbers for what it drops: its images are others.
        own = (self.ranks.rank,) if self.ranks.rank else ()
        seed_step(self.device, self.settings.seed, DRAWN_BY_NETWORK, moment.epoch, moment.step, *own)
        self._forget()
        total = 0.0
        for part in parts_of(share.examples, share.own, parts) if share.own else ():
            loss = self.task.loss(self.module, part.examples) * (part.share * share.own / share.images)
            total += float(loss.detach())
            loss.backward()  # type: ignore[no-untyped-call]
        return total

    def _forget(self) -> None:
        for parameter in self.module.parameters():
            parameter.grad = None
