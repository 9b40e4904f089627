"""Several processes that teach one network together: who this one is, and what they tell each other.

Each process holds the same network and computes a share of every step; the gradients are added up, so that
all take the same step. What one process decides or reads (a checkpoint, the end of a run) the first one does,
and tells the others. Nothing is pickled: tensors travel as safetensors, all else as JSON.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from torch import Tensor, distributed, nn

from signet.arrays import Array, Integers
from signet.errors import BadRequest, CheckFailed, ProcessLost
from signet.training.exactness import bounded_threads
from signet.training.holding import tensors_digest
from signet.training.settings import TrainSettings

_WAIT = timedelta(days=7)
"""How long a process waits for another: one may measure, extract or seal for hours while the others have
nothing to do. That another has ended is told by its connection, at once."""

GATHERING = "SIGNET_GATHERING"
"""Environment variable: the folder in which each process says that it comes to the meeting (`ready-RANK`),
and who has started them that one never will (`ended-RANK`). Without it a launcher watches over them."""

_PROCESSOR = torch.device("cpu")

_LOOKS = 0.05
"""Seconds between two looks for the others."""

_BUCKET = 1 << 23
"""Numbers that are added up at once: 32 MiB of float32 beside the gradients, and few enough messages."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """One of the processes that train together; without arguments the only one.

    Attributes:
        rank: of this one, from 0; the first leads.
        size: how many there are.
        here: how many of them share this machine.
        device: where what is sent must lie.
    """

    rank: int = 0
    size: int = 1
    here: int = 1
    device: torch.device = _PROCESSOR

    @property
    def leads(self) -> bool:
        """Whether this one reads, writes and decides."""
        return self.rank == 0

    def own(self, settings: TrainSettings) -> TrainSettings:
        """This process' part of what all on this machine share, and its own device."""
        if self.size == 1:
            return settings
        return replace(
            settings,
            threads=max(1, settings.threads // self.here),
            memory_bytes=settings.memory_bytes // self.here,
            device=str(self.device),
        )

    def share(self, indices: Integers, reach: int = 0) -> tuple[Integers, int]:
        """(this process' part of a step's images, how many of them are its own).

        Args:
            indices: of the step's images, in order; the parts are dealt from the first process to the last,
                as nearly equal as can be, and may be empty.
            reach: how many images after its own each image needs beside it, round the end of the step.
        """
        places = np.array_split(np.arange(len(indices)), self.size)[self.rank]
        count = len(places)
        if count and reach and self.size > 1:
            places = np.concatenate([places, (places[-1] + 1 + np.arange(reach)) % len(indices)])
        return indices[places], count

    def summed(self, values: Sequence[float]) -> list[float]:
        """The sums over all processes, in float64."""
        if self.size == 1:
            return list(values)
        told = torch.tensor(values, dtype=torch.float64, device=self.device)
        with _reaching():
            distributed.all_reduce(told)
        return [float(value) for value in told.tolist()]

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Each gradient becomes the sum of all processes' own; what one of them lacks counts as zeros."""
        if self.size == 1:
            return
        for bucket in _buckets(parameters):
            for parameter in bucket:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            gradients = [parameter.grad for parameter in bucket if parameter.grad is not None]
            together = torch.cat([gradient.reshape(-1) for gradient in gradients])
            with _reaching():
                distributed.all_reduce(together)
            first = 0
            for gradient in gradients:
                last = first + gradient.numel()
                gradient.copy_(together[first:last].view(gradient.shape))
                first = last

    def told(self, value: Any) -> Any:
        """What the first process says: plain JSON; what the others give is not looked at."""
        if self.size == 1:
            return value
        data = json.dumps(value).encode() if self.leads else b""
        return json.loads(self._sent(data, 0))

    def told_tensors(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the first process holds, on the CPU; what the others give is not looked at."""
        if self.size == 1:
            return dict(tensors)
        if self.leads:
            tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
            self._sent(safetensors.torch.save(dict(tensors)), 0)
            return dict(tensors)
        return dict(safetensors.torch.load(self._sent(b"", 0)))

    def told_arrays(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The same for arrays."""
        if self.size == 1:
            return dict(arrays)
        data = safetensors.numpy.save(dict(arrays)) if self.leads else b""
        return dict(safetensors.numpy.load(self._sent(data, 0)))

    def gathered(self, own: Sequence[Mapping[str, Array]], count: int) -> list[dict[str, Array]]:
        """What all processes have found of `count` parts, in the order of the parts, for each of them.

        Args:
            own: of the parts `rank`, `rank + size`, `rank + 2 * size` ...
            count: of all parts.
        """
        if self.size == 1:
            return [dict(arrays) for arrays in own]
        found: list[dict[str, Array]] = [{} for _ in range(count)]
        named = {
            f"{self.rank + place * self.size}/{name}": np.ascontiguousarray(array)
            for place, arrays in enumerate(own)
            for name, array in arrays.items()
        }
        data = safetensors.numpy.save(named)
        for source in range(self.size):
            for key, array in safetensors.numpy.load(self._sent(data, source)).items():
                part, _, name = key.partition("/")
                found[int(part)][name] = array
        return found

    def check_alike(self, what: str, facts: Mapping[str, str]) -> None:
        """Refuse to go on where the processes have not the same.

        Args:
            what: they have, in words.
            facts: by name; equal texts for equal things.

        Raises:
            CheckFailed: they differ, in every process alike.
        """
        if self.size == 1:
            return
        first = self.told(dict(facts))
        other = [float(first[name] != fact) for name, fact in facts.items()]
        differing = [name for name, count in zip(facts, self.summed(other), strict=True) if count]
        if differing:
            raise CheckFailed(
                f"training: expected {what} to be the same in all {self.size} processes, got other "
                f"{' and '.join(differing)}. Start all of them with the same model, data and recipe, on "
                "machines that compute alike."
            )

    def check_weights(self, state: Mapping[str, Tensor]) -> None:
        """The same for a network's tensors; raises as `check_alike`."""
        if self.size > 1:
            self.check_alike("the weights that were learned", {"weights": tensors_digest(state)})

    def _sent(self, data: bytes, source: int) -> bytes:
        """The bytes that one process has, in all of them."""
        length = torch.tensor([len(data)], dtype=torch.int64, device=self.device)
        with _reaching():
            distributed.broadcast(length, source)
            if self.rank == source:
                content = torch.frombuffer(bytearray(data), dtype=torch.uint8).to(self.device)
            else:
                content = torch.empty(int(length), dtype=torch.uint8, device=self.device)
            distributed.broadcast(content, source)
        return content.cpu().numpy().tobytes()


ALONE = Ranks()


def ranks_of(processes: int, device: str) -> Ranks:
    """This process among those that were started together; they meet when the first run asks.

    Who they are is read from the environment, as `torchrun`, `accelerate launch` and `signet finetune
    --processes` set it (RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT). On
    processors they talk through gloo, on NVIDIA's accelerators through NCCL, each with one of its own.

    Args:
        processes: how many are expected.
        device: that a run asks for, as torch names it.

    Raises:
        BadRequest: another number was started.
        ProcessLost: one of them has ended on its way.
    """
    if processes == 1:
        return ALONE
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != processes:
        raise BadRequest(
            f"processes: expected {processes} that were started together, got {started}. Start them with "
            "`signet finetune --processes N`, or start the program with torchrun or accelerate launch."
        )
    _gather(processes)
    from accelerate import PartialState

    # accelerate sets torch's threads and warns about it where nobody else has; the run sets its own anyway.
    with _reaching(), bounded_threads(torch.get_num_threads()), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        state = PartialState(cpu=torch.device(device).type == "cpu", timeout=_WAIT)
    if state.num_processes != processes:
        raise BadRequest(
            f"processes: expected {processes} that compute on {device}, got {state.num_processes}, which "
            f"met for {state.device} before. Use one device in a program."
        )
    here = int(os.environ.get("LOCAL_WORLD_SIZE", started))
    return Ranks(state.process_index, state.num_processes, here, state.device)


def _gather(processes: int) -> None:
    """Wait until all others are about to meet: the meeting itself hears neither their end nor Ctrl-C."""
    if GATHERING not in os.environ or distributed.is_initialized():
        return
    place, rank = Path(os.environ[GATHERING]), int(os.environ.get("RANK", "0"))
    if rank:
        (place / f"ready-{rank}").touch()
        return
    awaited = [place / f"ready-{other}" for other in range(1, processes)]
    while not all(path.exists() for path in awaited):
        if any(place.glob("ended-*")):
            raise ProcessLost("training: another process that was to train with this one has ended before.")
        time.sleep(_LOOKS)


def part_company() -> None:
    """End the talk between the processes, where there was any; a program calls it before it ends."""
    if distributed.is_available() and distributed.is_initialized():
        from accelerate import PartialState

        distributed.destroy_process_group()
        PartialState._reset_state()  # accelerate has no other way to let processes meet again


@contextmanager
def _reaching() -> Iterator[None]:
    """Say in words that another process cannot be reached."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessLost(
            "training: another process that trains with this one has ended, or cannot be reached. Why, it "
            "has said itself, unless it was killed; what is written can be resumed by any number of them."
        ) from error


def _buckets(parameters: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Parameters in groups of one type and of bounded size, in order."""
    bucket: list[nn.Parameter] = []
    filled = 0
    for parameter in parameters:
        other = bool(bucket) and bucket[0].dtype != parameter.dtype
        if bucket and (other or filled + parameter.numel() > _BUCKET):
            yield bucket
            bucket, filled = [], 0
        bucket.append(parameter)
        filled += parameter.numel()
    if bucket:
        yield bucket
