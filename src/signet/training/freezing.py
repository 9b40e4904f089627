"""Frozen means frozen: no gradient, and no running statistic that moves.

The known trap: `module.train()` switches a frozen BatchNorm back to batch statistics, which then drift away
although no optimizer touches them. Here the mode of every layer is set by one function, before every epoch;
and what must not move is named by another (`held_tensors`), which looks at no mode, so that a run can prove
afterwards that it did not.

Source: pytorch/pytorch issue 66073; keras-team/keras pull request 9965.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType

from torch import nn

from signet.errors import BadRequest
from signet.training.settings import BatchNormPolicy
from signet.training.stages import Classifier, frozen_parameters, is_in_head

NO_STAGES: Mapping[str, BatchNormPolicy] = MappingProxyType({})
LIVE = ("batch", "re-estimated")
"""Policies under which a BatchNorm uses and gathers the statistics of each batch while it learns."""


def freeze(module: nn.Module, parameters: AbstractSet[str]) -> None:
    """Let the named parameters have no gradient, and all others one."""
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in parameters)
        parameter.grad = None


def set_learning_mode(
    module: nn.Module,
    frozen: AbstractSet[str],
    policy: BatchNormPolicy,
    head: Classifier = "",
    by_stage: Mapping[str, BatchNormPolicy] = NO_STAGES,
) -> None:
    """Training mode for what learns, evaluation mode for what is frozen, whatever was set before.

    A layer whose own parameters are all frozen is in evaluation mode; a layer without parameters (dropout, a
    BatchNorm without scale) goes with the nearest layer before it that has some. A BatchNorm of the backbone
    that is not frozen does what its policy says: under "frozen" and "adapt" it is in evaluation mode, so that
    it uses its stored statistics and keeps them, while its scale and shift may learn. Those of the head
    gather theirs under any policy: there are none from a pretraining.

    Args:
        module: the network; changed in place.
        frozen: names of the frozen parameters.
        policy: of the backbone's BatchNorm layers that are not frozen.
        head: names of the modules that were added for the task.
        by_stage: other policies, by the name of a stage or of a module inside one.

    Raises:
        UnknownName: `by_stage` names nothing of this network.
    """
    module.train()
    policies = batchnorm_policies(module, frozen, policy, head, by_stage)
    for name, layer, still in _layers(module, frozen):
        if still or policies.get(name, "batch") not in LIVE:
            layer.eval()
    _set_frozen_containers(module, frozen)


def batchnorm_policies(
    module: nn.Module,
    frozen: AbstractSet[str],
    policy: BatchNormPolicy,
    head: Classifier = "",
    by_stage: Mapping[str, BatchNormPolicy] = NO_STAGES,
) -> dict[str, BatchNormPolicy]:
    """What becomes of the statistics of each BatchNorm, by its dotted name.

    Args:
        module: the network.
        frozen: names of the frozen parameters; a BatchNorm in what is frozen is "frozen".
        policy: of all others of the backbone. One in the head has no statistics to keep or to adapt: it is
            "re-estimated" where that is the policy, else "batch".
        head: names of the modules that were added for the task.
        by_stage: other policies, by the name of a stage or of a module inside one; of several that fit the
            longest name counts.

    Raises:
        UnknownName: `by_stage` names nothing of this network.
    """
    asked = {name: frozen_parameters(module, head, (name,)) for name in by_stage}
    found: dict[str, BatchNormPolicy] = {}
    for name, layer, still in _layers(module, frozen):
        if not is_batchnorm(layer):
            continue
        own = {f"{name}.{inner}" for inner, _ in layer.named_parameters()}
        fitting = [
            stage for stage in by_stage if name.startswith(f"{stage}.") or name == stage or own & asked[stage]
        ]
        wanted = by_stage[max(fitting, key=len)] if fitting else policy
        if still:
            wanted = "frozen"
        elif is_in_head(name, head):
            wanted = "re-estimated" if wanted == "re-estimated" else "batch"
        found[name] = wanted
    return found


def refuse_moving(
    module: nn.Module,
    frozen: AbstractSet[str],
    head: Classifier,
    by_stage: Mapping[str, BatchNormPolicy],
) -> None:
    """Refuse statistics that move in what never learns.

    Args:
        module: the network.
        frozen: names of the parameters that never learn.
        head: names of the modules that were added for the task.
        by_stage: policies by the name of a stage or of a module inside one.

    Raises:
        UnknownName: `by_stage` names nothing of this network.
        BadRequest: it asks for that.
    """
    for stage, policy in by_stage.items():
        if policy != "frozen" and frozen_parameters(module, head, (stage,)) <= frozen:
            raise BadRequest(
                f"batchnorm of {stage}: expected 'frozen' in a frozen stage, got {policy!r}. What is frozen "
                "does not move, its statistics neither: let the stage learn, or leave its policy out."
            )


def refuse_shared(policies: Mapping[str, BatchNormPolicy], processes: int) -> None:
    """Refuse statistics of batches where each process sees a part of them.

    Args:
        policies: of `batchnorm_policies`.
        processes: how many learn together.

    Raises:
        BadRequest: a BatchNorm would gather them.
    """
    live = [name for name, policy in policies.items() if policy in LIVE]
    if live:
        more = f" and {len(live) - 1} more" if len(live) > 1 else ""
        raise BadRequest(
            f"batchnorm: expected statistics that stay with {processes} processes, got {live[0]!r}{more} "
            f"with {policies[live[0]]!r}. Each process would normalise by its own part of a batch, and learn "
            "another network than one process does. Keep them (batchnorm 'frozen' or 'adapt'; a new head has "
            "none to keep), choose a head without BatchNorm, or train in one process."
        )


def held_tensors(
    module: nn.Module, frozen: AbstractSet[str], policies: Mapping[str, BatchNormPolicy]
) -> tuple[str, ...]:
    """Names, as `state_dict` has them, of all that must be the same bits after training as before.

    These are the frozen parameters, every buffer in what is frozen, and the statistics of each BatchNorm
    whose policy is "frozen". They are found from parameters and names alone: a layer that forgets its
    evaluation mode is in the list all the same, and is caught by it.

    Args:
        module: the network.
        frozen: names of the frozen parameters.
        policies: of `batchnorm_policies`.
    """
    present = module.state_dict().keys()
    held = {name for name in frozen if name in present}
    before = False
    for name, layer in module.named_modules():
        own = [f"{name}.{inner}" if name else inner for inner, _ in layer.named_parameters()]
        still = all(parameter in frozen for parameter in own) if own else before
        if own and not any(True for _ in layer.children()):
            before = still
        if still or policies.get(name) == "frozen":
            buffers = (inner for inner, _ in layer.named_buffers(recurse=False))
            held.update(f"{name}.{inner}" if name else inner for inner in buffers)
    return tuple(name for name in present if name in held)


def is_batchnorm(layer: nn.Module) -> bool:
    """Whether a layer keeps running statistics of its batches.

    Told by the buffers and not by the class, because libraries have classes of their own (timm's
    `BatchNormAct2d` is a BatchNorm with an activation in it).
    """
    return isinstance(layer, nn.modules.batchnorm._BatchNorm) or hasattr(layer, "running_var")


def _layers(module: nn.Module, frozen: AbstractSet[str]) -> Iterator[tuple[str, nn.Module, bool]]:
    """(name, layer, whether it is frozen) of every layer without parts, and of every BatchNorm."""
    before = False
    for name, layer in module.named_modules():
        if any(True for _ in layer.children()) and not is_batchnorm(layer):
            continue
        own = [f"{name}.{inner}" if name else inner for inner, _ in layer.named_parameters()]
        before = all(parameter in frozen for parameter in own) if own else before
        yield name, layer, before


def _set_frozen_containers(module: nn.Module, frozen: AbstractSet[str]) -> None:
    """Blocks may drop whole branches (stochastic depth) by their own mode; frozen ones must not."""
    for name, block in module.named_modules():
        own = [f"{name}.{inner}" if name else inner for inner, _ in block.named_parameters()]
        if own and any(True for _ in block.children()) and all(parameter in frozen for parameter in own):
            block.eval()
