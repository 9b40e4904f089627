"""How fast a network learns here: for the plan that is shown before a run.

Shape suffixes: N images of a batch, C channels, H rows, W columns.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from signet.errors import CheckFailed
from signet.geometry import Size
from signet.training.activations import recomputed_activations
from signet.training.exactness import bounded_threads, own_random_states
from signet.training.freezing import freeze, refuse_moving, set_learning_mode
from signet.training.micro_batches import is_out_of_memory
from signet.training.optimizers import frozen_by, optimizer_of
from signet.training.settings import TrainSettings

_STEPS = 3


def images_per_second(
    module: nn.Module, settings: TrainSettings, size: Size, example: Mapping[str, Tensor] | None = None
) -> float:
    """Images that a network learns from in a second, by a few steps of a copy of it on empty images.

    The pace of the network alone: reading and changing pictures goes on in a thread of its own beside it.

    Args:
        module: with its head; not changed.
        settings: batch, threads, frozen stages, device.
        size: (height, width) of its input.
        example: what one image holds, of a network with `losses` of its own; None for others, whose answer
            alone is taken.
    """
    device = torch.device(settings.device)
    twin = copy.deepcopy(module).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    frozen = frozen_by(twin, settings)
    freeze(twin, frozen)
    stages = dict(settings.batchnorm_stages)
    refuse_moving(twin, frozen, settings.classifier, stages)  # the run would, but later
    set_learning_mode(twin, frozen, settings.batchnorm, settings.classifier, stages)
    optimizer = optimizer_of(twin, settings)
    images_NCHW = torch.zeros(settings.batch, 3, *size, device=device)
    images_NCHW = images_NCHW.contiguous(memory_format=torch.channels_last)
    fastest = float("inf")
    twice = settings.optimisation.checkpoint_activations
    saving = recomputed_activations(twin, settings.classifier, frozen) if twice else nullcontext()
    with saving, own_random_states(device), bounded_threads(settings.threads):
        for _ in range(_STEPS):
            start = time.perf_counter()
            with torch.autocast(device.type, torch.bfloat16, enabled=settings.bf16):
                loss = _loss(twin, images_NCHW, example)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            float(loss.detach())  # waits for the device
            fastest = min(fastest, time.perf_counter() - start)
    return settings.batch / fastest


def paces(
    module: nn.Module,
    settings: TrainSettings,
    size: Size,
    batches: Sequence[int],
    *,
    seconds: float,
    example: Mapping[str, Tensor] | None = None,
) -> dict[int, float]:
    """Images a second by batch, from the first one on, as long as memory and time suffice.

    Args:
        module: with its head; not changed.
        settings: all but the batch.
        size: (height, width) of its input.
        batches: that are tried, smallest first.
        seconds: after which nothing more is tried; the first one is tried in any case.
        example: as `images_per_second` takes it.

    Raises:
        CheckFailed: there is no memory for the first one.
    """
    found: dict[int, float] = {}
    begin = time.monotonic()
    for batch in batches:
        # The next one takes about as long as all before it together.
        if found and 2 * (time.monotonic() - begin) > seconds:
            break
        try:
            found[batch] = images_per_second(module, replace(settings, batch=batch), size, example)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            break
    if not found:
        raise CheckFailed(
            f"training: memory ran out with {batches[0]} images at once. State a smaller batch or "
            "input_size, freeze more stages, or set checkpoint_activations."
        )
    return found


def _loss(module: Any, images_NCHW: Tensor, example: Mapping[str, Tensor] | None) -> Tensor:
    """Some loss, whose gradient costs what that of the training does."""
    if example is not None:
        target = {name: tensor.to(images_NCHW.device) for name, tensor in example.items()}
        parts = module.losses(images_NCHW, [target] * len(images_NCHW))
        return torch.stack([part.float() for part in parts.values()]).sum()
    answer = module(images_NCHW)
    logits_NC = answer if isinstance(answer, Tensor) else answer[0]
    return logits_NC.float().square().mean()
