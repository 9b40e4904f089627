"""What learns in an epoch, in which mode each layer is, and which statistics are adapted at its beginning.

Training and the trial of rates ask here, so that the one rehearses what the other does.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from torch import nn

from signet.training.activations import recomputed_activations
from signet.training.freezing import batchnorm_policies, freeze, set_learning_mode
from signet.training.optimizers import frozen_in
from signet.training.settings import BatchNormPolicy, TrainSettings


@dataclass(frozen=True, slots=True)
class Phase:
    """What is so in an epoch, and in those after it until another stage thaws.

    Attributes:
        frozen: names of the parameters that do not learn.
        policies: what becomes of the statistics of each BatchNorm, by its dotted name.
    """

    frozen: frozenset[str]
    policies: Mapping[str, BatchNormPolicy]

    @property
    def adapted(self) -> frozenset[str]:
        """Names of the BatchNorm layers that keep the statistics of the training images."""
        return frozenset(name for name, policy in self.policies.items() if policy == "adapt")


def phase_of(module: nn.Module, settings: TrainSettings, epoch: int) -> Phase:
    """The phase that an epoch, from 1, belongs to.

    Raises:
        UnknownName: the settings name a stage that is none.
    """
    frozen = frozen_in(module, settings, epoch)
    return Phase(frozen, policies_of(module, settings, frozen))


def policies_of(
    module: nn.Module, settings: TrainSettings, frozen: AbstractSet[str]
) -> dict[str, BatchNormPolicy]:
    """What becomes of the statistics of each BatchNorm while some parameters are frozen."""
    stages = dict(settings.batchnorm_stages)
    return batchnorm_policies(module, frozen, settings.batchnorm, settings.classifier, stages)


def enter(module: nn.Module, settings: TrainSettings, phase: Phase) -> None:
    """Let learn what learns in a phase, each layer in its mode; the module is changed in place."""
    freeze(module, phase.frozen)
    set_modes(module, settings, phase)


def set_modes(module: nn.Module, settings: TrainSettings, phase: Phase) -> None:
    """Each layer in its mode, after a validation has put all in that of evaluation."""
    stages = dict(settings.batchnorm_stages)
    set_learning_mode(module, phase.frozen, settings.batchnorm, settings.classifier, stages)


def activations_in(module: nn.Module, settings: TrainSettings, phase: Phase) -> AbstractContextManager[None]:
    """Meanwhile what learns in a phase computes its activations twice, where the settings ask for that."""
    if not settings.optimisation.checkpoint_activations:
        return nullcontext()
    return recomputed_activations(module, settings.classifier, phase.frozen)


def to_adapt(module: nn.Module, settings: TrainSettings, epoch: int, reached: int) -> tuple[str, ...]:
    """BatchNorm layers that get the statistics of the training images before the first step of an epoch.

    Each gets them once: before the first step of all, or, where its stage thaws later, before the first in
    which that learns. A run that went back to an epoch before that has to do it again.

    Args:
        module: the network.
        settings: of the run.
        epoch: that begins.
        reached: the epoch at whose end the network was what it is now; 0 for the network as it was given.
    """
    before = phase_of(module, settings, reached).adapted if reached else frozenset()
    return tuple(sorted(phase_of(module, settings, epoch).adapted - before))
