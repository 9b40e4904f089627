"""`signet finetune --processes`: which of several processes this one is, and the others, which it starts.

Whoever starts them (this module, `torchrun`, `accelerate launch`) says to each in its environment which one
it is. The first one writes, tells and seals; the others compute with it and say nothing, unless they fail.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from signet.datasets import Dataset
from signet.environment import environment
from signet.errors import BadRequest, ProcessLost
from signet.networks import Pretrained

if TYPE_CHECKING:
    from signet.recipes import Recipe

_MINE = "SIGNET_STARTED_BY_FINETUNE"
_PATIENCE = 20.0
"""Seconds in which a process that has nothing left to do ends, or says why it has failed."""
_SAID = 4000
_LOOKS = 0.2
_GATHERING = "SIGNET_GATHERING"  # signet.training.ranks.GATHERING, which would load torch


def leads() -> bool:
    """Whether this is the first process, or the only one."""
    return _whole("WORLD_SIZE", 1) == 1 or _whole("RANK", 0) == 0


def processes_of(asked: int | None, *, tries_rates: bool = False) -> int:
    """How many train together: as a launcher has started, else as the option says.

    Args:
        asked: the option.
        tries_rates: nothing is trained.

    Raises:
        BadRequest: the two differ; or there are several, and rates are to be tried.
    """
    started = _whole("WORLD_SIZE", 1)
    if started > 1 and asked not in (None, started):
        raise BadRequest(
            f"--processes {asked}: expected {started}, which a launcher has started (WORLD_SIZE), or none. "
            "Leave it out, or start `signet finetune` by itself."
        )
    count = asked or started
    if tries_rates and count > 1:
        raise BadRequest(
            f"--find-rate: expected one process, which tries rates, got {count}. Start only one."
        )
    return count


@contextmanager
def company(processes: int, words: Sequence[str]) -> Iterator[None]:
    """Meanwhile the other processes are there; nothing is started where a launcher has done it.

    Args:
        processes: how many there are to be, this one among them.
        words: of the command line, which are theirs, too.

    Raises:
        ProcessLost: one of them has ended; with what it said.
    """
    if processes == 1 or _whole("WORLD_SIZE", 1) > 1:
        try:
            yield
        finally:
            _part()
        return
    shared = _meeting_place(processes)
    with (
        tempfile.TemporaryDirectory(prefix="signet-") as folder,
        environment({**shared, **_as_rank(0), _GATHERING: folder}),
    ):
        others: list[subprocess.Popen[bytes]] = []
        said: list[IO[bytes]] = []
        over = threading.Event()
        watching = threading.Thread(target=_watch, args=(others, Path(folder), over), daemon=True)
        watching.start()
        try:
            for place in range(1, processes):
                said.append(open(f"{folder}/{place}.txt", "w+b"))  # noqa: PTH123, SIM115 - closed below
                others.append(_started(words, {**shared, **_as_rank(place), _MINE: "1"}, said[-1]))
            yield
            _wait(others)
        except ProcessLost as error:
            _wait(others)
            for place, (process, stream) in enumerate(zip(others, said, strict=True), start=2):
                if process.poll() not in (None, 0):
                    error.add_note(f"Process {place} of {processes} {_ending(process.returncode, stream)}")
            raise
        finally:
            over.set()
            watching.join()
            _part()
            for process in others:
                process.kill()
                process.wait()
                if process.stdin is not None:
                    process.stdin.close()
            for stream in said:
                stream.close()


def compute_along(
    found: Pretrained, data: Dataset[Any], recipe: Recipe, *, offline: bool, processes: int
) -> int:
    """Be one of the others: compute until nothing is left to train.

    Args:
        found: the model, as the first process has it.
        data: likewise.
        recipe: likewise.
        offline: never ask the network, for a teacher.
        processes: how many there are.

    Returns:
        The exit code.
    """
    from signet.finetuning import RunSettings, assist

    if os.environ.get(_MINE):
        _end_with_the_first()
    try:
        assist(found, data, recipe=recipe, run=RunSettings(offline=offline, processes=processes))
    finally:
        _part()
    return 0


def _part() -> None:
    """End the talk, where there was any."""
    if "torch.distributed" in sys.modules:
        from signet.training import part_company

        part_company()


def _end_with_the_first() -> None:
    """End this process at once when the one that has started it ends, whatever it waits for."""

    def watch() -> None:
        with suppress(OSError, ValueError):
            sys.stdin.buffer.read()  # the other end of the pipe is the first one's, and is closed with it
        os._exit(1)

    threading.Thread(target=watch, name="signet-first-process", daemon=True).start()


def _meeting_place(processes: int) -> dict[str, str]:
    """Where they find each other: on this machine only."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
    }
    loopback = [name for _, name in socket.if_nameindex() if name.startswith("lo")]
    return place | ({"GLOO_SOCKET_IFNAME": loopback[0]} if loopback else {})


def _as_rank(place: int) -> dict[str, str]:
    return {"RANK": str(place), "LOCAL_RANK": str(place)}


def _started(
    words: Sequence[str], variables: Mapping[str, str], errors: IO[bytes]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "signet", *words],
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        start_new_session=True,  # Ctrl-C is for the first one, which ends them
    )


def _watch(others: Sequence[subprocess.Popen[bytes]], folder: Path, over: threading.Event) -> None:
    """Write down which process has ended, for the first one that waits for it: see `training.ranks`."""
    while not over.wait(_LOOKS):
        for place, process in enumerate(tuple(others), start=1):
            if process.poll() is not None:
                (folder / f"ended-{place}").touch()


def _wait(others: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in others:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)


def _ending(code: int, stream: IO[bytes]) -> str:
    stream.seek(0)
    words = stream.read()[-_SAID:].decode(errors="replace").strip()
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"{how}: {words}" if words else f"{how}, without a word."


def _whole(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else default
