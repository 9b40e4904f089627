"""Where a run stands between two steps, and how that is written down."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from signet.training.averaging import Weights
from signet.training.checkpoints import Checkpoint
from signet.training.holding import tensors_digest
from signet.training.settings import Selection, TrainSettings


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a run stands: everything but tensors.

    Attributes:
        epoch: that is under way, from 1; `epochs + 1` when all are done.
        step: of that epoch that comes next, from 0.
        loss: sum of the training losses of the epoch's images so far.
        images: of the epoch so far.
        best_epoch: the best so far.
        history: rows of the epochs that are done, epoch 0 first.
        seconds: spent so far.
        epoch_seconds: of them, in the epoch under way.
        finished: whether the run is over.
        stopped_early: whether patience, the budget or overfitting ended it.
        halved: how often the images that go through at once were halved, because memory ran out.
        steps_back: how often the run has gone back to its best epoch.
        since: the epoch after which it last did.
        notes: what a person must know of the run, in sentences.
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    images: int = 0
    best_epoch: int = 0
    history: tuple[Mapping[str, float], ...] = field(default=())
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    finished: bool = False
    stopped_early: bool = False
    halved: int = 0
    steps_back: int = 0
    since: int = 0
    notes: tuple[str, ...] = ()

    @property
    def reached(self) -> int:
        """Before the first step of an epoch: the epoch at whose end the network was what it is now."""
        return self.best_epoch if self.steps_back and self.since == self.epoch - 1 else self.epoch - 1

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            **dataclasses.asdict(self),
            "history": [dict(row) for row in self.history],
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Moment:
        """From the JSON form."""
        return cls(**{**facts, "history": tuple(facts["history"]), "notes": tuple(facts["notes"])})


def is_better(row: Mapping[str, float], best: Mapping[str, float], select: Selection, figure: str) -> bool:
    """Whether one epoch's validation is better than another's; equal figures are ranked by the loss.

    That is the loss of validation, or of training where validation has none: a detector that begins with
    random weights learns for some epochs before it finds anything.

    Args:
        row: of the one.
        best: of the other.
        select: what counts.
        figure: the key of the task's figure, of which more is better.
    """
    if select == "loss" or row[figure] == best[figure]:
        return _loss(row) < _loss(best)
    return row[figure] > best[figure]


def ranked(history: Sequence[Mapping[str, float]], select: Selection, figure: str) -> tuple[int, ...]:
    """The epochs after the start, the best by validation first; see `is_better`."""
    epochs = range(1, len(history))
    if select == "loss":
        return tuple(sorted(epochs, key=lambda epoch: _loss(history[epoch])))
    return tuple(sorted(epochs, key=lambda epoch: (-history[epoch][figure], _loss(history[epoch]))))


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """A copy of a module's whole state, contiguous, on the CPU."""
    return {name: _copied(tensor) for name, tensor in module.state_dict().items()}


def set_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give a module every tensor of a state; changed in place, in its own order of memory.

    Some modules (torchvision's MNASNet) ask a state for the version that it was made by, which a plain
    mapping does not have: it is that of the module itself.
    """
    versioned = module.state_dict()
    versioned.update(state)
    module.load_state_dict(versioned, strict=True)


def to_checkpoint(
    moment: Moment,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    best: Mapping[str, Tensor],
    kept: Mapping[str, Tensor],
    average: Weights,
) -> Checkpoint:
    """All that is needed to go on from a moment.

    Args:
        moment: where the run stands.
        module: its present state.
        optimizer: its present state.
        best: the module's state at the best epoch.
        kept: what the task keeps of the validation at the best epoch; names without a slash.
        average: which weights are judged and kept.
    """
    tensors = {f"module/{name}": tensor for name, tensor in state_of(module).items()}
    tensors |= {f"best/{name}": tensor.clone() for name, tensor in best.items()}
    tensors |= {name: tensor.clone() for name, tensor in kept.items()}
    tensors |= {f"average/{name}": _copied(tensor) for name, tensor in average.tensors.items()}
    for name, parameter in module.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{key}/{name}"] = _copied(value)
    return Checkpoint(tensors, moment.to_dict())


def from_checkpoint(
    checkpoint: Checkpoint, module: nn.Module, optimizer: torch.optim.Optimizer, average: Weights
) -> tuple[Moment, dict[str, Tensor], dict[str, Tensor]]:
    """(moment, best state, what was kept of its validation); module and optimizer are brought to that moment.

    Args:
        checkpoint: what was written.
        module: of the same architecture; changed in place.
        optimizer: over its parameters; changed in place.
        average: which of its weights are judged and kept; changed in place.
    """
    parts: dict[str, dict[str, Tensor]] = {"module": {}, "best": {}, "average": {}}
    moving: dict[str, dict[str, Tensor]] = {}
    kept: dict[str, Tensor] = {}
    for name, tensor in checkpoint.tensors.items():
        kind, _, rest = name.partition("/")
        if kind in parts:
            parts[kind][rest] = tensor
        elif kind == "optimizer":
            key, _, own = rest.partition("/")
            moving.setdefault(own, {})[key] = tensor
        else:
            kept[name] = tensor
    set_state(module, parts["module"])
    average.restore(parts["average"])
    fused = {
        parameter for group in optimizer.param_groups if group.get("fused") for parameter in group["params"]
    }
    for name, parameter in module.named_parameters():
        if name in moving:
            # A fused optimizer counts its steps on the device; the others on the processor.
            moved = {
                key: value.to(parameter.device) if parameter in fused else value
                for key, value in moving[name].items()
            }
            optimizer.state[parameter] = {
                # In the parameter's own order of memory: the fused optimizer goes over both in one line.
                key: torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
                for key, value in moved.items()
            }
    return Moment.from_dict(checkpoint.facts), parts["best"], kept


def fingerprint_of(module: nn.Module, facts: Mapping[str, Any], settings: TrainSettings) -> dict[str, str]:
    """What a checkpoint must have been made with: digests of the network, the data and the settings.

    Args:
        module: as it was given.
        facts: of the data, plain JSON: `LearningTask.facts`.
        settings: of the run.
    """
    return {
        "settings": _digest(settings.deciding()),
        "data": _digest(facts),
        "network weights": tensors_digest(state_of(module)),
    }


def _loss(row: Mapping[str, float]) -> float:
    # Epoch 0 has no loss of training.
    return row.get("validation_loss", row.get("train_loss", math.inf))


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
