"""The frozen start of a network, computed once for each image instead of once an epoch.

Without augmentation an image is the same in every epoch, and so is what frozen stages make of it. Whether a
network lets itself be entered in the middle is not told by its class but tried: the frozen modules are made
to pass on what they get, the first module that learns is given what was kept, and the answer must be that of
the whole network. Where it is not (a connection that skips the cut, operations between the stages that need
the true shapes), nothing is kept and every epoch computes everything.

Shape suffixes: N images, C channels, H rows, W columns; `maps` is whatever the cut passes on, N first.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from signet.arrays import Integers
from signet.training.exactness import seed_step
from signet.training.room import Room
from signet.training.settings import TrainSettings
from signet.training.stages import frozen_start

_TOLERANCE = 1e-3  # of the logits: one batch is computed in another order of sums, no more


class KeptPrefix:
    """What a network's frozen start made of every image."""

    def __init__(self, skipped: tuple[str, ...], entered: str, maps: Tensor, shape: torch.Size) -> None:
        self._skipped, self._entered, self._maps, self._shape = skipped, entered, maps, shape

    @property
    def bytes(self) -> int:
        """The memory that the maps take."""
        return self._maps.nbytes

    def batch(self, indices: Integers, epoch: int) -> Tensor:
        """The kept maps of some images; every epoch has the same."""
        del epoch
        return _in_order(self._maps[torch.from_numpy(indices).to(self._maps.device)])

    def answer(self, module: nn.Module, maps: Tensor) -> Any:
        """What the network answers to images whose kept maps these are."""
        # The skipped modules only pass it on; what lies between them may write into it.
        images_NCHW = torch.zeros(len(maps), *self._shape, device=maps.device)
        entered = module.get_submodule(self._entered)
        handle = entered.register_forward_pre_hook(lambda _, inputs: (maps, *inputs[1:]))
        try:
            with _passing_on([module.get_submodule(name) for name in self._skipped]):
                return module(images_NCHW)
        finally:
            handle.remove()


class KeptSome(NamedTuple):
    """What a network's frozen start made of some of the images, as they are shown without augmentation.

    Attributes:
        prefix: their maps, in the order of `places`.
        places: int64, the positions of these images, rising.
    """

    prefix: KeptPrefix
    places: Integers

    def batch(self, indices: Integers) -> Tensor | None:
        """The maps of images at some positions; None where one of them is not kept."""
        if not np.isin(indices, self.places).all():
            return None
        return self.prefix.batch(np.searchsorted(self.places, indices), 0)


def kept_prefix(
    module: nn.Module,
    frozen: AbstractSet[str],
    batches: Iterator[Tensor],
    settings: TrainSettings,
    room: Room,
) -> KeptPrefix | None:
    """Compute the frozen start of a network once for each image.

    Args:
        module: in its learning mode, frozen stages in evaluation mode.
        frozen: names of the frozen parameters.
        batches: all training images, in order.
        settings: of which the classifier counts.
        room: for the maps; what is taken and not kept is given back.

    Returns:
        None where the first stage learns, where the network cannot be entered in the middle, and where the
        maps of all images would take more than there is room for.
    """
    start = frozen_start(module, settings.classifier, frozen)
    if start is None:
        return None
    skipped, entered = start
    kept: list[Tensor] = []
    shape = torch.Size()
    for images_NCHW in batches:
        shape = images_NCHW.shape[1:]
        maps = _reached(module, entered, images_NCHW)
        if maps is None or not room.take_for_maps(maps.nbytes):
            room.give_back(sum(earlier.nbytes for earlier in kept))
            return None
        if not kept and not _same_answer(module, KeptPrefix(skipped, entered, maps, shape), images_NCHW):
            room.give_back(maps.nbytes)
            return None
        kept.append(maps)
    return KeptPrefix(skipped, entered, torch.cat(kept), shape)


def _same_answer(module: nn.Module, prefix: KeptPrefix, images_NCHW: Tensor) -> bool:
    """Whether the network, entered in the middle, answers as it does from its beginning."""
    answers = []
    state = {name: tensor.clone() for name, tensor in module.named_buffers()}
    for entered in (False, True):
        seed_step(images_NCHW.device, 0)  # the same dropout in both
        with torch.no_grad():
            try:
                maps = prefix.batch(torch.arange(len(images_NCHW)).numpy(), 0)
                answer = prefix.answer(module, maps) if entered else module(_in_order(images_NCHW))
            except (RuntimeError, ValueError, TypeError, IndexError, AssertionError):
                return False
            finally:
                for name, tensor in module.named_buffers():
                    tensor.copy_(state[name])  # what a BatchNorm that learns gathered from this trial
        answers.append((answer if isinstance(answer, Tensor) else answer[0]).float())
    whole, entered_later = answers
    return whole.shape == entered_later.shape and torch.allclose(
        whole, entered_later, rtol=_TOLERANCE, atol=_TOLERANCE
    )


class _ReachedError(Exception):
    """Ends a forward pass at the cut."""


def _reached(module: nn.Module, entered: str, images_NCHW: Tensor) -> Tensor | None:
    """What comes into one module, and nothing after it is computed; None where that is no single tensor."""
    found: list[object] = []

    def stop(_: nn.Module, inputs: tuple[object, ...]) -> None:
        found.append(inputs[0] if len(inputs) == 1 else None)
        raise _ReachedError

    handle = module.get_submodule(entered).register_forward_pre_hook(stop)
    try:
        with torch.no_grad():
            module(_in_order(images_NCHW))
    except _ReachedError:
        pass
    finally:
        handle.remove()
    maps = found[0] if found else None
    return maps if isinstance(maps, Tensor) and len(maps) == len(images_NCHW) else None


@contextmanager
def _passing_on(modules: list[nn.Module]) -> Iterator[None]:
    """Let modules return what they are given."""
    try:
        for module in modules:
            # On the instance: parameters and state keep their names and places.
            module.forward = _given
        yield
    finally:
        for module in modules:
            module.__dict__.pop("forward", None)


def _given(first: Tensor, *_: object) -> Tensor:
    return first


def _in_order(maps: Tensor) -> Tensor:
    """Channels last where there are rows and columns."""
    return maps.contiguous(memory_format=torch.channels_last) if maps.ndim == 4 else maps.contiguous()
